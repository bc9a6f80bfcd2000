"""Settings of clients on this machine: which files they are, how they are changed and restored.

What was written is remembered in the user's state folder, each file as it was and as it became, so
that it can be taken back when others have changed the file since.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path

from attrs import evolve, frozen

from aimirror.commands.common import Complaint
from aimirror.settings.patching import Conflict, taken_back
from aimirror.settings.setting import Setting

#: Bytes of a file of settings; others are not for people.
MAX_SETTINGS = 1 << 20
#: Folders that variables move (XDG base directory specification, The Cargo Book).
_MOVED = {"~/.config/": "XDG_CONFIG_HOME", "~/.cargo/": "CARGO_HOME"}
#: Files of the home that their client looks for in such a folder alone, where there is one.
_MOVED_ALONE = {"~/.bunfig.toml": "XDG_CONFIG_HOME"}
#: Below which the files of the system lie.
ROOT = Path("/")
_BOM = "\ufeff"


@frozen
class Edit:
    """A file to be changed; None where there is none, before or after."""

    client: str
    path: Path
    before: str | None
    after: str | None

    @property
    def diff(self) -> str:
        """As people read it; without a difference ""."""
        old, new = (
            [line if line.endswith("\n") else f"{line}\n" for line in (text or "").splitlines(True)]
            for text in (self.before, self.after)
        )
        return "".join(unified_diff(old, new, str(self.path), str(self.path)))


def edits(client: str, setting: Setting) -> list[Edit]:
    """What has to be changed on this machine; raises Complaint where a file is not understood.

    What we wrote before, perhaps for another URL, gives way.
    """
    planned = [edit for each in _wanted(setting) for edit in _edits(client, each)]
    return list({edit.path: edit for edit in planned}.values())


def undoings(client: str) -> list[Edit]:
    """How the files become what they were before we changed them; raises Complaint."""
    return [_undoing(client, record) for record in _records(client)]


def write(edit: Edit) -> list[str]:
    """Write a changed file, and what there is to tell of it.  Raises Complaint.

    The first time the file of before stays beside it.  A link goes on being one, and the rights of
    a file stay as they were.
    """
    said = []
    try:
        if edit.before is not None and _record(edit.client, edit.path) is None:
            backup = _unused(edit.path)
            _create(backup, edit.before, edit.path.stat())
            said = [f"{edit.path}: was kept as {backup}"]
        _replace(edit)
        _remember(edit)
    except OSError as error:
        raise Complaint(_told(edit.path, error)) from None
    return [*said, f"{edit.path}: written"]


def restore(edit: Edit) -> str:
    """Write what a file was before.  Raises Complaint."""
    try:
        if edit.after is None:
            edit.path.unlink(missing_ok=True)
        elif edit.after != edit.before:
            _replace(edit)
        _record_file(edit.client, edit.path).unlink(missing_ok=True)
    except OSError as error:
        raise Complaint(_told(edit.path, error)) from None
    return f"{edit.path}: {'removed' if edit.after is None else 'restored'}"


def texts(setting: Setting) -> Iterator[tuple[Path, str]]:
    """The files of a setting that are there, with their texts."""
    for each in _wanted(setting):
        for path in _places(each):
            text = _read(path)
            if text is not None:
                yield path, text


# -- which files ---------------------------------------------------------------------------------


def _wanted(setting: Setting) -> Iterator[Setting]:
    yield setting
    for condition, other in setting.also:
        name, is_variable, ending = condition.removeprefix("$").partition("=")
        if is_variable:
            wanted = os.environ.get(name, "").endswith(ending)
        else:
            wanted = expanded(condition).exists()
        if wanted:
            yield evolve(other, also=())


def _places(setting: Setting) -> list[Path]:
    if setting.existing:
        names = (each.removeprefix("/") for each in setting.existing)
        paths = [path for name in names for path in sorted(ROOT.glob(name))]
        if not paths:
            raise Complaint(f"none of {', '.join(setting.existing)} is there")
        return paths
    there = (path for each in setting.instead if (path := expanded(each)).exists())
    return [next(there, expanded(setting.path))]


def expanded(path: str, environ: Mapping[str, str] | None = None) -> Path:
    """A path with the user's home and the folders that variables name, else of this folder."""
    environ = os.environ if environ is None else environ
    alone = environ.get(_MOVED_ALONE.get(path, ""), "")
    if alone.startswith("/"):
        return Path(alone) / path.removeprefix("~/")
    for folder, variable in _MOVED.items():
        moved = environ.get(variable, "")
        if path.startswith(folder) and moved.startswith("/"):
            return Path(moved) / path.removeprefix(folder)
    return Path(path).expanduser().absolute()


# -- what becomes of them ------------------------------------------------------------------------


def _edits(client: str, setting: Setting) -> Iterator[Edit]:
    refusals = []
    for path in _places(setting):
        before = _read(path)
        try:
            yield Edit(client, path, before, _merged(client, setting, path, before))
        except ValueError as error:
            if not setting.existing:
                raise Complaint(f"{path}: not changed: {error}") from None
            refusals.append(f"{path}: {error}")
    if setting.existing and len(refusals) == len(_places(setting)):
        raise Complaint("; ".join(refusals))


def _merged(client: str, setting: Setting, path: Path, before: str | None) -> str:
    base = before
    record = _record(client, path)
    if record is not None and before is not None:
        try:
            base = _taken_back(record, before)
        except Conflict:
            base = before
    if base is None:
        return setting.merges(None)
    windows, bom = "\r\n" in base, base.startswith(_BOM)
    plain = base.removeprefix(_BOM).replace("\r\n", "\n")
    after = setting.merges(plain)
    after = after.replace("\n", "\r\n") if windows else after
    return f"{_BOM}{after}" if bom else after


def _undoing(client: str, record: Edit) -> Edit:
    now = _read(record.path)
    if now is None:
        return evolve(record, before=None, after=None)
    try:
        return Edit(client, record.path, now, _taken_back(record, now))
    except Conflict as error:
        raise Complaint(f"{record.path}: not restored: {error}; see the backup beside it") from None


def _taken_back(record: Edit, now: str) -> str | None:
    text = taken_back(record.before or "", record.after or "", now)
    return None if record.before is None and not text.strip() else text


# -- files and records ---------------------------------------------------------------------------


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SETTINGS + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Complaint(_told(path, error)) from None
    if len(data) > MAX_SETTINGS:
        raise Complaint(f"{path}: not changed: longer than {MAX_SETTINGS} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Complaint(f"{path}: not changed: it is no text in UTF-8") from None


def _replace(edit: Edit) -> None:
    path = edit.path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _create(fresh, edit.after or "", path.stat() if path.exists() else None)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _create(path: Path, text: str, like: os.stat_result | None) -> None:
    """A new file that is at no time wider open than another: settings may hold tokens."""
    mode = 0o644 if like is None else like.st_mode & 0o777
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        if like is not None and (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(file.fileno(), like.st_uid, like.st_gid)
        os.fchmod(file.fileno(), mode)
        file.write(text.encode())


def _unused(path: Path) -> Path:
    """The first free name of a backup."""
    number = 0
    while (backup := path.with_name(f"{path.name}.bak{number or ''}")).exists():
        number += 1
    return backup


def _state() -> Path:
    given = os.environ.get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else Path("~/.local/state").expanduser()
    return base / "aimirror" / "setup"


def _record_file(client: str, path: Path) -> Path:
    return _state() / f"{client}-{sha256(str(path).encode()).hexdigest()[:16]}.json"


def _record(client: str, path: Path) -> Edit | None:
    return _parsed(client, _record_file(client, path))


def _records(client: str) -> list[Edit]:
    files = sorted(_state().glob(f"{client}-{'[0-9a-f]' * 16}.json"))
    return [record for file in files if (record := _parsed(client, file)) is not None]


def _parsed(client: str, file: Path) -> Edit | None:
    try:
        value = json.loads(file.read_text("utf-8"))
        return Edit(client, Path(value["path"]), value["before"], value["after"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(edit: Edit) -> None:
    old = _record(edit.client, edit.path)
    before = edit.before
    if old is not None and edit.before is not None:
        try:
            before = _taken_back(old, edit.before)
        except Conflict:
            before = old.before
    file = _record_file(edit.client, edit.path)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    record = {"path": str(edit.path), "before": before, "after": edit.after}
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(record, stream)


def _told(path: Path, error: OSError) -> str:
    hint = "; is sudo needed?" if isinstance(error, PermissionError) else ""
    return f"{path}: {error.strerror}{hint}"
