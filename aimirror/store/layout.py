"""Where things lie under a cache root, and the lock that gives the root to one service."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from json.encoder import encode_basestring_ascii as _text
from pathlib import Path

from attrs import frozen

from aimirror.caching.entries import Entry
from aimirror.store.errors import CacheInUse, disk_errors

#: Others on the machine may not read what was fetched with somebody's credentials.
FILE_MODE = 0o600
FOLDER_MODE = 0o700
#: Blobs and entries are spread over folders named by this many leading characters.
FAN_OUT = 2
_NAME = re.compile(r"[0-9a-f]{64}")


def entry_name(entry: Entry) -> str:
    """The name of an entry's sidecar, and its primary key in the index."""
    identity = f"[{_text(entry.key)}, {_text(entry.scope)}, {_text(entry.variant)}]"  # JSON
    return sha256(identity.encode()).hexdigest()


def is_name(text: str) -> bool:
    """Whether this is a sha256 in lower-case hex, such as blobs and entries have for a name."""
    return _NAME.fullmatch(text) is not None


@frozen
class Layout:
    """The paths of one cache; nothing is created before ``create``."""

    root: Path

    @property
    def index(self) -> Path:
        """The SQLite file."""
        return self.root / "index.sqlite3"

    @property
    def blobs(self) -> Path:
        """The folder of finished bodies."""
        return self.root / "blobs"

    @property
    def entries(self) -> Path:
        """The folder of sidecars."""
        return self.root / "entries"

    @property
    def parts(self) -> Path:
        """The folder of bodies on their way and their journals."""
        return self.root / "parts"

    @property
    def quarantine(self) -> Path:
        """The folder of bodies that failed their digest."""
        return self.root / "quarantine"

    @property
    def trash(self) -> Path:
        """The folder of files that wait for being unlinked."""
        return self.root / "trash"

    def blob(self, name: str) -> Path:
        """The file of a blob."""
        return self.blobs / name[:FAN_OUT] / name

    def sidecar(self, name: str) -> Path:
        """The file of an entry."""
        return self.entries / name[:FAN_OUT] / f"{name}.json"

    def named(self, folder: str, name: str, suffix: str = "") -> str:
        """The same two as text, for ``blobs`` or ``entries``: making a Path takes ten times it."""
        return f"{self.root}/{folder}/{name[:FAN_OUT]}/{name}{suffix}"

    def part(self, id: str) -> Path:
        """The file of a part."""
        return self.parts / f"{id}.part"

    def journal(self, id: str) -> Path:
        """The journal of a part."""
        return self.parts / f"{id}.journal"

    def create(self) -> None:
        """Make the folders that are missing; those that exist keep their modes."""
        self.root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for folder in (self.blobs, self.entries, self.parts, self.quarantine, self.trash):
            make_folder(folder)

    def free(self) -> int:
        """Bytes that are free on the disk; raises DiskError."""
        try:
            disk = os.statvfs(self.root)
        except OSError:
            with disk_errors("cannot tell the free space"):
                raise
        return disk.f_bavail * disk.f_frsize

    def lock(self) -> int:
        """Take the root for this process; the caller owns the fd, and closing it is the release.

        Fails with CacheInUse when another process has it.
        """
        path = self.root / "lock"
        with disk_errors("cannot lock the cache folder"):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
            os.close(fd)
            text = f"cache folder {self.root} is in use by process {owner or 'unknown'}"
            raise CacheInUse(error.errno, text) from error
        with suppress(OSError):  # the number is for the other's message; a full disk may lack it
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        return fd


def make_folder(path: Path) -> None:
    """Make one folder for this user alone, its parents too; it may exist."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)


def scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The regular files directly in a folder; none when it does not exist."""
    try:
        items = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with items:
        for item in items:
            if item.is_file(follow_symlinks=False):
                yield item
