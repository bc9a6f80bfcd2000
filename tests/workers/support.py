"""A folder in which nobody should run Python."""

from __future__ import annotations

from pathlib import Path

#: What the service's processes import early, of the library, of Twisted and of their own.
MODULES = ("aimirror", "twisted", "json", "asyncio", "attr", "sitecustomize", "treq", "zope")


def hostile_folder(name: str) -> Path:
    """A new folder whose modules leave a file in ``imported`` there when they are imported."""
    folder = Path(name).absolute()
    marks = folder / "imported"
    marks.mkdir(parents=True)
    for module in MODULES:
        mark = f"open({str(marks / module)!r}, 'w').close()\n"
        (folder / module).mkdir()
        (folder / module / "__init__.py").write_text(mark)
    return folder
