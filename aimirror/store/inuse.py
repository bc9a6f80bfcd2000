"""Stored files that clients read: which may be unlinked under their readers, and who is too slow.

A file keeps its place on the disk until its last reader has left, also without a name.  So what
was unlinked while it was read is counted here until then.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from attrs import Factory, define

#: A reader that takes fewer bytes than STEP in SLOW seconds (35 kB/s) is slow: its connection ends
#: where others need the room that its file takes.
STEP = 4 << 20
SLOW = 120.0


@define
class Pace:
    """How fast one reader goes on: where it was last seen to have taken STEP bytes, and when."""

    position: int
    at: float

    def moved(self, position: int, now: float) -> None:
        """It is at ``position`` at the time ``now``, in seconds."""
        if position - self.position >= STEP:
            self.position, self.at = position, now

    def slow(self, now: float) -> bool:
        """Whether it has not taken a step for too long."""
        return now - self.at > SLOW


class OpenFile(Protocol):
    """A file with readers."""

    def slow(self) -> bool:
        """Whether it has readers, and all of them are slow."""

    def cut(self) -> None:
        """Let go of the file's bytes at once: its readers are cut off where they are."""


@define(eq=False)
class Use:
    """One file on the disk and all that read it, each by a descriptor of its own."""

    blob: str
    size: int
    files: set[OpenFile] = Factory(set)

    def slow(self) -> bool:
        """Whether all of its readers are slow."""
        return all(file.slow() for file in self.files)

    def cut(self) -> None:
        """Cut all of its readers off."""
        for file in tuple(self.files):
            file.cut()


class InUse:
    """The files that are being read, by blob, and those of them that have no name any more."""

    def __init__(self) -> None:
        self._named: dict[str, Use] = {}
        self._nameless: set[Use] = set()
        self._of: dict[OpenFile, Use] = {}
        #: How many must keep each blob where it is.
        self._guarded: dict[str, int] = {}
        #: Told each blob whose last reader has left.
        self.unread: Callable[[str], object] = lambda sha256: None

    def __contains__(self, sha256: str) -> bool:
        """Whether a blob is being read."""
        return sha256 in self._named or sha256 in self._guarded

    @property
    def blobs(self) -> frozenset[str]:
        """The blobs that are being read."""
        return frozenset((*self._named, *self._guarded))

    @property
    def nameless(self) -> int:
        """Bytes that are on the disk for readers alone."""
        return sum(use.size for use in self._nameless)

    def opened(self, file: OpenFile, size: int, sha256: str = "") -> None:
        """A file of ``size`` bytes is read, that of a blob, or one without a name."""
        if sha256:
            use = self._named.setdefault(sha256, Use(sha256, size))
        else:
            use = Use("", size)
            self._nameless.add(use)
        use.files.add(file)
        self._of[file] = use

    def closed(self, file: OpenFile) -> None:
        """Its last reader has left, or was cut off; idempotent."""
        use = self._of.pop(file, None)
        if use is None:
            return
        use.files.discard(file)
        if not use.files:
            self._nameless.discard(use)
            if self._named.get(use.blob) is use:
                del self._named[use.blob]
                if use.blob not in self:
                    self.unread(use.blob)

    def unlinked(self, sha256: str) -> Use | None:
        """The file of a blob has lost its name; who reads it goes on."""
        use = self._named.pop(sha256, None)
        if use is not None:
            self._nameless.add(use)
        return use

    def guard(self, sha256: str) -> None:
        """Keep a blob's file where it is until ``release``."""
        self._guarded[sha256] = self._guarded.get(sha256, 0) + 1

    def release(self, sha256: str) -> None:
        """The opposite of ``guard``."""
        self._guarded[sha256] -= 1
        if not self._guarded[sha256]:
            del self._guarded[sha256]
            if sha256 not in self:
                self.unread(sha256)

    def use(self, sha256: str) -> Use | None:
        """Who reads a blob that may be taken from them; None when nobody does, or it may not."""
        return None if sha256 in self._guarded else self._named.get(sha256)

    def cut_slow(self) -> None:
        """Cut off those slow readers whose files have no name any more."""
        for use in tuple(self._nameless):
            if use.slow():
                use.cut()

    @property
    def slow_nameless(self) -> int:
        """What that would free."""
        return sum(use.size for use in self._nameless if use.slow())


def hollow(fd: int) -> None:
    """Have a descriptor lead to an empty file, so that its own one is closed under its users."""
    empty = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.dup2(empty, fd, inheritable=False)
    finally:
        os.close(empty)
