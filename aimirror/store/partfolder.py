"""All parts of a cache: those being filled, those that wait to be resumed, and the quarantine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from attrs import field, frozen

from aimirror.platform import boot_id
from aimirror.store import journal
from aimirror.store.errors import DiskFull, disk_errors
from aimirror.store.journal import PartMeta
from aimirror.store.layout import FILE_MODE, Layout, make_folder, scan
from aimirror.store.parts import DeferToThread, Part

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

#: Seconds after its last checkpoint that a part may still be resumed.
PART_LIFE = 7 * 86400.0
#: Bodies kept apart for inspection; the oldest goes first.
MOST_QUARANTINED = 8
#: Bytes: a journal that has grown beyond this is given up.
LARGEST_JOURNAL = 64 << 20


@frozen
class Leftover:
    """A part that nobody works on."""

    id: str
    size: int
    at: float
    meta: PartMeta = field(repr=False)


@frozen
class Kept:
    """A file in quarantine."""

    path: Path
    size: int
    at: float


def survey_parts(layout: Layout, now: float) -> tuple[Leftover, ...]:
    """Clear the folder of parts that cannot be resumed and return the others; blocks."""
    leftovers: dict[tuple[str, str], Leftover] = {}
    for item in list(scan(layout.parts)):
        id, _, kind = item.name.rpartition(".")
        if kind == "journal" and not layout.part(id).exists():
            _remove(layout, id)
        elif kind == "part":
            left = _examine(layout, id)
            older = leftovers.get((left.meta.key, left.meta.scope)) if left else None
            if left is None or now - left.at > PART_LIFE or (older and older.at >= left.at):
                _remove(layout, id)
                continue
            if older:
                _remove(layout, older.id)
            leftovers[(left.meta.key, left.meta.scope)] = left
    return tuple(sorted(leftovers.values(), key=lambda left: left.at))


def survey_quarantine(layout: Layout) -> tuple[Kept, ...]:
    """What is in quarantine, oldest first; blocks."""
    items = []
    for item in list(scan(layout.quarantine)):
        if item.name.endswith(".part"):
            stat = item.stat(follow_symlinks=False)
            items.append(Kept(Path(item.path), stat.st_size, stat.st_ctime))
    return tuple(sorted(items, key=lambda kept: kept.at))


def _examine(layout: Layout, id: str) -> Leftover | None:
    """A part with a journal that fits it, or None."""
    try:
        written = read_journal(layout.journal(id))
        size = layout.part(id).stat().st_size
    except OSError:
        return None
    if written is None or not written.written or written.written.pairs[-1][1] > size:
        return None
    return Leftover(id, size, written.at, written.meta)


def read_journal(path: Path) -> journal.Journal | None:
    """What a journal says, None when it says nothing."""
    with open(path, "rb") as file:
        return journal.parse(file.read(LARGEST_JOURNAL), boot_id())


def _remove(layout: Layout, id: str) -> None:
    layout.part(id).unlink(missing_ok=True)
    layout.journal(id).unlink(missing_ok=True)


class PartFolder:
    """Makes parts, finds them again, and knows the bytes that all of them take.

    ``room(count)`` says whether ``count`` more bytes may be used, and may evict for it;
    ``throw(path)`` gets rid of a file.
    """

    def __init__(
        self,
        layout: Layout,
        clock: IReactorTime,
        defer_to_thread: DeferToThread,
        room: Callable[[int], bool],
        throw: Callable[[Path], None],
    ) -> None:
        self._layout = layout
        self._clock = clock
        self._defer_to_thread = defer_to_thread
        self._room = room
        self._throw = throw
        #: By key and scope, the least recently left first.
        self._left: dict[tuple[str, str], Leftover] = {}
        self._kept: list[Kept] = []
        #: Bytes of parts being filled, of parts left, and in quarantine.
        self.active = self.left = self.kept = 0

    @property
    def bytes(self) -> int:
        """Bytes of all files here."""
        return self.active + self.left + self.kept

    def adopt(self, left: tuple[Leftover, ...], kept: tuple[Kept, ...]) -> None:
        """Take over what an earlier life of the service left."""
        self._left = {(one.meta.key, one.meta.scope): one for one in left}
        self._kept = list(kept)
        self.left = sum(one.size for one in left)
        self.kept = sum(one.size for one in kept)

    # -- parts -----------------------------------------------------------------------------

    def create(self, meta: PartMeta) -> Part:
        """A new, empty part; one that was left of the same key and scope is given up."""
        self.forget(meta.key, meta.scope)
        id = token_hex(8)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        with disk_errors("cannot create a file for a download"):
            try:
                fd = self._open(id, flags)
            except FileNotFoundError:  # somebody emptied the cache folder
                make_folder(self._layout.parts)
                fd = self._open(id, flags)
        return self._part(id, meta, fd)

    def resumable(self, key: str, scope: str) -> Part | None:
        """The part that was left of a key, open again, or None."""
        left = self._left.pop((key, scope), None)
        if left is None:
            return None
        self.left -= left.size
        fd = journal_fd = -1
        try:
            recorded = read_journal(self._layout.journal(left.id))
            fd = self._open(left.id, os.O_RDWR)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            journal_fd = os.open(self._layout.journal(left.id), flags)
            part = self._reopen(left.id, fd, journal_fd, recorded)
        except (OSError, ValueError):
            for opened in (fd, journal_fd):
                if opened >= 0:
                    os.close(opened)
            self._throw_part(left.id)
            return None
        self.active += part.size
        return part

    def _reopen(self, id: str, fd: int, journal_fd: int, recorded: journal.Journal | None) -> Part:
        if recorded is None or not recorded.written:
            raise ValueError("nothing to resume")
        part = Part.reopen(self._part(id, recorded.meta, fd), recorded, journal_fd)
        if os.fstat(fd).st_nlink != 1 or recorded.written.pairs[-1][1] > part.size:
            raise ValueError("not the file that the journal describes")
        return part

    def forget(self, key: str, scope: str) -> None:
        """Give up what was left of a key."""
        left = self._left.pop((key, scope), None)
        if left is not None:
            self.left -= left.size
            self._throw_part(left.id)

    def _open(self, id: str, flags: int) -> int:
        flags |= os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self._layout.part(id), flags, FILE_MODE)

    def _part(self, id: str, meta: PartMeta, fd: int) -> Part:
        folder = self._layout.parts
        return Part(id, meta, folder, fd, self, self._clock, self._defer_to_thread)

    def _throw_part(self, id: str) -> None:
        self._throw(self._layout.part(id))
        self._throw(self._layout.journal(id))

    # -- what a part tells its owner ---------------------------------------------------------

    def reserve(self, count: int) -> None:
        """Refuse growth beyond the cache's limit."""
        if not self._room(count):
            raise DiskFull(0, "the cache has reached its size limit")

    def resized(self, part: Part, change: int) -> None:
        """Count."""
        self.active += change

    def closed(self, part: Part) -> None:
        """Keep a part for being resumed."""
        self.forget(part.meta.key, part.meta.scope)
        self.active -= part.size
        self.left += part.size
        left = Leftover(part.id, part.size, self._clock.seconds(), part.meta)
        self._left[(part.meta.key, part.meta.scope)] = left

    # -- quarantine --------------------------------------------------------------------------

    def quarantine(self, part: Part, why: str) -> None:
        """Keep a part's bytes and journal apart, never to be served; the oldest make way."""
        if part.settled:
            return
        part.settle()
        now = self._clock.seconds()
        target = self._layout.quarantine / f"{part.id}.part"
        try:
            with disk_errors("cannot quarantine a download"):
                make_folder(target.parent)
                with open(target.with_suffix(".journal"), "wb", opener=_private) as file:
                    file.write(journal.opening(part.meta, now) + journal.verdict(why, now))
                part.path.rename(target)
        finally:  # whatever failed, nobody may resume it
            self._throw_part(part.id)
        self._kept.append(Kept(target, part.size, now))
        self.kept += part.size
        while len(self._kept) > MOST_QUARANTINED:
            self._release()

    def _release(self) -> int:
        oldest = self._kept.pop(0)
        self.kept -= oldest.size
        self._throw(oldest.path)
        self._throw(oldest.path.with_suffix(".journal"))
        return oldest.size

    def shed(self, needed: int) -> int:
        """Give up quarantined and left files, oldest first, until ``needed`` bytes are freed."""
        freed = 0
        while freed < needed and self._kept:
            freed += self._release()
        while freed < needed and self._left:
            left = next(iter(self._left.values()))
            self.forget(left.meta.key, left.meta.scope)
            freed += left.size
        return freed


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)
