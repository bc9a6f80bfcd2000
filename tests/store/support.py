"""What the tests of the disk layer share: a store in a temporary folder, and no threads."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.store.journal import PartMeta
from aimirror.store.parts import Part
from aimirror.store.store import Store

NOW = 1_700_000_000.0
KEY = "https://pypi.test/files/one.whl"


def digest(data: bytes) -> str:
    """The name of a blob."""
    return sha256(data).hexdigest()


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


class Threads:
    """Stands in for deferToThread: at once, or when told."""

    def __init__(self) -> None:
        self.held = False
        self.waiting: list[tuple[Deferred[Any], Any]] = []

    def __call__(self, call: Any, *args: Any) -> Deferred[Any]:
        if not self.held:
            return maybeDeferred(call, *args)
        waiter: Deferred[Any] = Deferred()
        self.waiting.append((waiter, lambda: call(*args)))
        return waiter

    def run(self) -> None:
        """Let what waits happen."""
        waiting, self.waiting = self.waiting, []
        for waiter, call in waiting:
            maybeDeferred(call).chainDeferred(waiter)


class StoreCase(SynchronousTestCase):
    """A test with a store."""

    max_bytes = 1 << 20
    evict = True

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.threads = Threads()
        self.root = Path(self.mktemp()).resolve()
        self.store = self.open_store()

    def make_store(self, root: Path | None = None) -> Store:
        return Store(
            root or self.root,
            max_bytes=self.max_bytes,
            evict=self.evict,
            clock=self.clock,
            defer_to_thread=self.threads,
        )

    def open_store(self, root: Path | None = None) -> Store:
        store = self.make_store(root)
        self.successResultOf(store.open())
        self.addCleanup(lambda: self.successResultOf(store.close()))
        return store

    def reopen(self) -> None:
        """As after a clean stop."""
        self.successResultOf(self.store.close())
        self.store = self.open_store()

    def crash(self) -> Store:
        """A store on what kill -9 would leave at this moment; the old one still lives."""
        copy = Path(self.mktemp()).resolve()
        shutil.copytree(self.root, copy)
        return self.open_store(copy)

    def fill(self, data: bytes, key: str = KEY, **meta: Any) -> Part:
        """A complete part, closed when the test ends."""
        part = self.store.create_part(PartMeta(key=key, total=len(data), **meta))
        self.addCleanup(part.close)
        part.allocate(len(data))
        part.write(0, data)
        return part

    def add(self, data: bytes, key: str = KEY, **values: Any) -> Entry:
        """A stored entry with a body."""
        part = self.fill(data, key)
        self.successResultOf(self.store.commit(part, digest(data), len(data)))
        part.close()
        entry = Entry(key=key, blob=digest(data), size=len(data), **values)
        self.assertTrue(self.store.put(entry))
        return entry

    def read(self, store: Store, entry: Entry) -> bytes | None:
        """The body of an entry as a client would get it."""
        body = store.body(entry)
        return None if body is None else body.data()

    def on_disk(self, root: Path | None = None) -> int:
        """Bytes of all bodies, by walking."""
        total = 0
        for folder in ("blobs", "parts", "quarantine", "trash"):
            for path in ((root or self.root) / folder).rglob("*"):
                if path.is_file() and path.suffix != ".journal":
                    total += path.stat().st_size
        return total + self.packed(root)

    def packed(self, root: Path | None = None) -> int:
        """Bytes of the bodies that have no file."""
        rows = sqlite3.connect(f"file:{(root or self.root) / 'packed.sqlite3'}?mode=ro", uri=True)
        with closing(rows):
            sql = "SELECT coalesce(sum(length(content)), 0) FROM bodies"
            return int(rows.execute(sql).fetchone()[0])

    def assert_counted(self, store: Store | None = None, root: Path | None = None) -> None:
        """What the store says it uses is what the disk says."""
        store = store or self.store
        store._index.flush()
        self.assertEqual(store.usage().total, self.on_disk(root))
