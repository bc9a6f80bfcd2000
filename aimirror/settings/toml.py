"""TOML files, by tomlkit, which keeps comments, order and blanks.

It is imported where it is used: a service, which reads the worlds too, writes no settings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aimirror.settings.merging import Merge


def edited(change: Callable[[Any], None]) -> Merge:
    """What ``change`` makes of a document, which it gets as a mutable mapping."""

    def merge(before: str | None) -> str:
        import tomlkit
        from tomlkit.exceptions import TOMLKitError

        try:
            document = tomlkit.parse(before or "")
            old = document.unwrap()
            change(document)
            text = tomlkit.dumps(document)
            new = tomlkit.parse(text).unwrap()
        except (TOMLKitError, TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"it is no TOML as was expected: {error}") from None
        return before if before is not None and new == old else text

    return merge


def table(parent: Any, name: str) -> Any:
    """The table of a name, made when there is none."""
    import tomlkit

    if name not in parent:
        parent[name] = tomlkit.table(is_super_table=True)
    child = parent[name]
    if not hasattr(child, "items"):
        raise ValueError(f"{name!r} is no table in it")
    return child


def tables(parent: Any, name: str) -> Any:
    """The array of tables of a name, made when there is none."""
    import tomlkit
    from tomlkit.items import AoT

    if name not in parent:
        parent[name] = tomlkit.aot()
    child = parent[name]
    if not isinstance(child, AoT):
        raise ValueError(f"{name!r} is written in a way that can't be added to")
    return child


def new_table(**values: object) -> Any:
    """A table of its own with some values."""
    import tomlkit

    made = tomlkit.table()
    for key, value in values.items():
        made[key.replace("_", "-")] = value
    return made
