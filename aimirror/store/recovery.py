"""Making index and disk agree again when a cache is opened, whatever happened to either.

The index is right about what it knows, the disk about what is there; the sidecars fill in what
the index lost.  Small blobs are synced a little after they are stored: one that the index does not
know, or knows as not synced, has to be what its name says.  A blob without an entry is removed,
unless a journal tells that a part became it and the service died before the entry was written:
then it becomes that part again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from attrs import frozen

from aimirror.caching.entries import Entry
from aimirror.store import database, packed, records, trash
from aimirror.store.bodies import SMALL
from aimirror.store.database import PACKED, Blob
from aimirror.store.errors import DiskError, disk_errors
from aimirror.store.index import Index
from aimirror.store.journalfile import sync_content
from aimirror.store.layout import Layout, entry_name, is_name, scan
from aimirror.store.partfolder import Kept, Leftover, read_journal, survey_parts, survey_quarantine

#: Blobs and entries are compared in groups with the same first two digits.
_GROUPS = tuple((f"{i:02x}", f"{i + 1:02x}" if i < 255 else "g") for i in range(256))


@frozen
class Recovered:
    """What was found beside the index."""

    #: The index was missing or damaged, and was made anew.
    rebuilt: bool
    left: tuple[Leftover, ...]
    kept: tuple[Kept, ...]
    #: Blobs removed: altered on the disk, or of no use to any entry.
    dropped: int


def recover(layout: Layout, now: float) -> Recovered:
    """Repair a cache at start.  Blocks for as long as a walk over all names takes."""
    with disk_errors("cannot open the cache folder"):
        layout.create()
        trash.empty(layout)
        rebuilt = database.prepare(layout.index)
        packed.prepare(layout.index)
        dropped = _compare(layout)
        if dropped is None:  # whatever is damaged: the index is made again of what is stored
            database.put_away(layout.index)
            rebuilt = database.prepare(layout.index)
            dropped = _compare(layout)
        if dropped is None:
            packed.put_away(layout.index)
            dropped = _compare(layout)
        if dropped is None:
            raise DiskError(0, "the disk damages what is written to it")
        left = survey_parts(layout, now)
        return Recovered(rebuilt, left, survey_quarantine(layout), dropped)


def _compare(layout: Layout) -> int | None:
    """Blobs that had to go; None where a database turned out to be damaged."""
    index = Index(layout.index)
    try:
        dropped = _prove_unsynced(layout, index)
        for start, stop in _GROUPS:
            with index.transaction():
                dropped += _compare_blobs(layout, index, start, stop)
        for start, stop in _GROUPS:
            with index.transaction():
                _compare_entries(layout, index, start, stop)
        dropped += _remove_orphans(layout, index)
    except DiskError as error:
        index.packed.failed(error)
        if not index.packed.damaged:
            raise
    finally:
        index.close()
    return None if index.packed.damaged else dropped


def _prove_unsynced(layout: Layout, index: Index) -> int:
    """Remove the blobs that a power loss has taken; the others are synced now."""
    names = index.unsynced()
    bad = [name for name in names if not _proven(layout.blob(name), name)]
    with index.transaction():
        for name in bad:
            _remove_blob(layout, index, name)
        index.synced(names)
    return len(bad)


def _proven(path: Path, name: str) -> bool:
    """Whether a file holds what its name says; then it is synced."""
    try:
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != name:
                return False
        sync_content(path)
    except FileNotFoundError:
        return False
    return True


def _compare_blobs(layout: Layout, index: Index, start: str, stop: str) -> int:
    """Forget blobs that are gone, remove those that were altered, record unknown ones."""
    known = {blob.sha256: blob for blob in index.blobs_between(start, stop)}
    dropped = _compare_packed(index, known, start, stop)
    for item in list(scan(layout.blobs / start)):
        stat = item.stat(follow_symlinks=False)
        blob = known.pop(item.name, None)
        if blob is None and is_name(item.name):
            if stat.st_size <= SMALL and not _proven(Path(item.path), item.name):
                _remove_blob(layout, index, item.name)
                dropped += 1
                continue
            index.add_blob(Blob(item.name, stat.st_size, stat.st_mtime_ns, stat.st_mtime))
        elif blob and (blob.size, blob.mtime_ns) != (stat.st_size, stat.st_mtime_ns):
            _remove_blob(layout, index, item.name)
            dropped += 1
    for name in known:
        _remove_blob(layout, index, name)
    return dropped + len(known)


def _compare_packed(index: Index, known: dict[str, Blob], start: str, stop: str) -> int:
    """The same for bodies that have no file; those that are here are taken from ``known``."""
    dropped = 0
    for name in index.packed.names(start, stop):
        blob = known.get(name)
        if blob is not None and blob.packed:
            del known[name]
            continue
        content = None if blob is not None else index.packed.read(name)
        if content is not None:
            index.add_blob(Blob(name, len(content), PACKED, 0.0))
        else:
            index.packed.drop(name, 0)
            dropped += 1
    return dropped


def _remove_blob(layout: Layout, index: Index, sha256: str) -> None:
    layout.blob(sha256).unlink(missing_ok=True)
    for name, _ in index.remove_blob(sha256):
        layout.sidecar(name).unlink(missing_ok=True)


def _compare_entries(layout: Layout, index: Index, start: str, stop: str) -> None:
    """Take up sidecars that the index lacks, write those that the disk lacks."""
    known = index.entries_between(start, stop)
    for name, record in index.packed.records(start, stop):
        if known.pop(name, None) is not None:
            continue
        entry = _load(name, record)
        if entry is not None and _has_body(index, entry):
            index.put(entry, entry.received_at, record=record)
        else:
            index.packed.forget(name)
            index.remove(name)
    for item in list(scan(layout.entries / start)):
        path = Path(item.path)
        if path.stem in known and path.suffix == ".json" and known[path.stem] is not None:
            del known[path.stem]
            continue
        entry = _read(path)
        if entry is not None and _has_body(index, entry):
            index.put(entry, entry.received_at)
            known.pop(path.stem, None)
        else:
            path.unlink()
    for name, entry in known.items():
        if entry is None:
            index.remove(name)
        else:
            records.write_sidecar(layout.sidecar(name), entry)


def _read(path: Path) -> Entry | None:
    """The entry of a sidecar, if it is whole and lies where it belongs."""
    try:
        entry = records.read_sidecar(path)
    except ValueError:
        return None
    return entry if path.name == f"{entry_name(entry)}.json" else None


def _load(name: str, record: str) -> Entry | None:
    """The same for one that has no file."""
    try:
        entry = records.load(record)
    except ValueError:
        return None
    return entry if entry_name(entry) == name else None


def _has_body(index: Index, entry: Entry) -> bool:
    if not entry.blob:
        return True
    blob = index.blob(entry.blob)
    return blob is not None and blob.size == entry.size


def _remove_orphans(layout: Layout, index: Index) -> int:
    orphans = {blob.sha256 for blob in index.orphans()}
    if orphans:
        orphans -= _return_to_parts(layout, index, orphans)
    for sha256 in orphans:
        _remove_blob(layout, index, sha256)
    return len(orphans)


def _return_to_parts(layout: Layout, index: Index, orphans: set[str]) -> set[str]:
    """Undo the renaming of parts that became blobs just before the service died."""
    returned: set[str] = set()
    for item in list(scan(layout.parts)):
        id, _, kind = item.name.rpartition(".")
        if kind != "journal" or layout.part(id).exists():
            continue
        recorded = read_journal(Path(item.path))
        if recorded is not None and recorded.blob in orphans - returned:
            layout.blob(recorded.blob).rename(layout.part(id))
            index.remove_blob(recorded.blob)
            returned.add(recorded.blob)
    return returned
