from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import attrs

from aimirror.caching.entries import Entry
from aimirror.download.spans import Spans
from aimirror.http.headers import Headers
from aimirror.store import journal, records
from aimirror.store.errors import DiskError
from aimirror.store.index import Index
from aimirror.store.journal import PartMeta
from aimirror.store.layout import Layout, entry_name
from aimirror.store.packed import beside
from aimirror.store.store import SETTLE, Store
from tests.store.support import KEY, NOW, StoreCase, digest


class RebuildTests(StoreCase):
    """An index that was lost."""

    def setUp(self) -> None:
        super().setUp()
        self.entries = {
            self.add(b"one", key="a", headers=Headers([("ETag", '"1"')]), rule="r"),
            self.add(b"one", key="a", scope="s"),
            self.add(b"two", key="b", pinned=True),
        }
        self.store.put(Entry(key="c", status=404))
        self.entries |= {Entry(key="c", status=404)}
        self.successResultOf(self.store.close())

    def remove_index(self) -> None:
        for path in self.root.glob("index.sqlite3*"):
            path.unlink()

    def test_lost(self) -> None:
        """Missing or garbage, it is rebuilt: all entries are there, and their bodies."""
        for garbage in (None, b"", b"not a database" * 100):
            self.remove_index()
            if garbage is not None:
                Layout(self.root).index.write_bytes(garbage)
            store = self.open_store()
            self.assertEqual(set(store.find()), self.entries)
            for entry in self.entries:
                if entry.blob:
                    self.assertIn(self.read(store, entry), (b"one", b"two"))
            self.assertEqual((store.usage().files, store.usage().total), (2, 6))
            self.successResultOf(store.close())

    def test_first_version(self) -> None:
        """What an older build has stored for everybody goes, its bodies too; one's own stays."""
        layout = Layout(self.root)
        rows = sqlite3.connect(layout.index)
        rows.execute("ATTACH ? AS packed", (str(beside(layout.index)),))
        for entry in self.entries:
            old = records.dump(entry).replace('"version":2,', "")
            if entry.blob:
                layout.sidecar(entry_name(entry)).write_text(old)
            rows.execute("UPDATE packed.records SET record = ?", (old,))
            rows.execute("UPDATE entries SET record = ? WHERE name = ?", (old, entry_name(entry)))
        rows.commit()
        rows.close()
        for rebuilt in (False, True):
            if rebuilt:
                self.remove_index()
            store = self.open_store()
            (left,) = store.find()
            self.assertEqual((left.key, left.scope), ("a", "s"))
            self.assertEqual((store.usage().files, store.usage().entries), (1, 1))
            self.successResultOf(store.close())

    def test_bad_sidecars(self) -> None:
        """Torn, foreign or misplaced sidecars are removed, and bodies that only they needed."""
        layout = Layout(self.root)
        self.remove_index()
        (entry,) = (e for e in self.entries if e.key == "b")
        path = layout.sidecar(entry_name(entry))
        path.write_bytes(path.read_bytes()[:-5])
        moved = layout.sidecar("ff" * 32)
        records.write_sidecar(moved, Entry(key="else"))
        (moved.parent / "draft.new").touch()
        store = self.open_store()
        self.assertEqual(set(store.find()), self.entries - {entry})
        self.assertFalse(path.exists() or moved.exists() or (moved.parent / "draft.new").exists())
        self.assertEqual(self.on_disk(), 3)
        self.assert_counted(store)

    def test_wrong_size(self) -> None:
        """A body that is not as long as its entry says is not taken up."""
        self.remove_index()
        os.truncate(Layout(self.root).blob(digest(b"two")), 2)
        store = self.open_store()
        self.assertEqual({entry.key for entry in store.find()}, {"a", "c"})
        self.assert_counted(store)


class ReconcileTests(StoreCase):
    """An index that is sound, over a disk that was changed."""

    def test_altered_bodies(self) -> None:
        """Bodies that went or changed while the service was down are dropped with their entries."""
        layout = Layout(self.root)
        kept = self.add(b"kept", key="kept")
        for name in ("gone", "cut", "edited"):
            self.add(name.encode(), key=name)
        self.successResultOf(self.store.close())
        layout.blob(digest(b"gone")).unlink()
        os.truncate(layout.blob(digest(b"cut")), 1)
        os.utime(layout.blob(digest(b"edited")), ns=(1, 1))
        self.store = self.open_store()
        self.assertEqual(list(self.store.find()), [kept])
        self.assertEqual(len(list((self.root / "entries").rglob("*.json"))), 1)
        self.assert_counted()

    def test_sidecars_are_restored(self) -> None:
        """An entry whose sidecar was lost gets it back, so that a rebuild would find it."""
        entry = self.add(b"one")
        path = Layout(self.root).sidecar(entry_name(entry))
        path.unlink()
        self.reopen()
        self.assertEqual(records.read_sidecar(path), entry)

    def test_unknown_sidecars_are_taken_up(self) -> None:
        """An entry that the index lost comes back from its sidecar."""
        self.add(b"one")
        other = Entry(key="b", blob=digest(b"one"), size=3)
        records.write_sidecar(Layout(self.root).sidecar(entry_name(other)), other)
        self.reopen()
        self.assertEqual(self.store.entries("b"), (other,))

    def test_damaged_record(self) -> None:
        """A damaged record is replaced from its sidecar, or forgotten without one."""
        one, two = self.add(b"one", key="a"), self.add(b"two", key="b")
        self.successResultOf(self.store.close())
        index = Index(Layout(self.root).index)
        index._db.execute("UPDATE entries SET record = '{'")
        index.close()
        Layout(self.root).sidecar(entry_name(two)).unlink()
        self.store = self.open_store()
        self.assertEqual(list(self.store.find()), [one])
        self.assert_counted()

    def test_foreign_files(self) -> None:
        """Files that are not ours are left alone."""
        self.add(b"one")
        foreign = [self.root / "README", self.root / "blobs" / "note", self.root / "entries" / "x"]
        for path in foreign:
            path.touch()
        self.reopen()
        self.assertTrue(all(path.exists() for path in foreign))


class CrashTests(StoreCase):
    """kill -9 at any moment, as a copy of the folder at that moment."""

    def crash_at_each_step(self, act: Callable[[], object]) -> list[Store]:
        """The stores that kill -9 would leave before each change of the disk within ``act``."""
        copies: list[Path] = []

        def before(real: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **kwargs: object) -> object:
                copy = Path(self.mktemp()).resolve()
                shutil.copytree(self.root, copy)
                copies.append(copy)
                return real(*args, **kwargs)

            return call

        with (
            mock.patch.object(Path, "rename", before(Path.rename)),
            mock.patch.object(Path, "replace", before(Path.replace)),
            mock.patch.object(Path, "unlink", before(Path.unlink)),
            mock.patch.object(os, "write", before(os.write)),
            mock.patch.object(Index, "write", before(Index.write)),
            mock.patch.object(Index, "_gather", before(Index._gather)),
            mock.patch.object(Index, "flush", before(Index.flush)),
        ):
            act()
        self.assertGreater(len(copies), 3)
        return [self.open_store(copy) for copy in copies]

    def check(self, stores: list[Store], allowed: dict[str, set[bytes]]) -> list[set[str]]:
        """Each is consistent, and serves nothing but these bodies; the keys that each has."""
        seen = []
        for store in stores:
            self.assertEqual(store.usage().total, self.on_disk(store._layout.root))
            found = list(store.find())
            for entry in found:
                self.assertIn(self.read(store, entry), allowed[entry.key])
            seen.append({entry.key for entry in found})
        return seen

    def test_commit(self) -> None:
        """While a download is stored: it is there, or it can be resumed whole."""
        data = b"0123456789" * 10
        part = self.fill(data)
        self.successResultOf(part.checkpoint())

        def act() -> None:
            self.successResultOf(self.store.commit(part, digest(data), len(data)))
            self.store.put(Entry(key=KEY, blob=digest(data), size=len(data)))

        stores = self.crash_at_each_step(act)
        for store, keys in zip(stores, self.check(stores, {KEY: {data}}), strict=True):
            resumed = store.resumable(KEY, "")
            if resumed is None:
                self.assertEqual(keys, {KEY})
                continue
            self.addCleanup(resumed.close)
            self.assertTrue(resumed.durable.covers(0, len(data)))
            self.assertEqual(os.pread(resumed.fd, 200, 0), data)

    def test_replace(self) -> None:
        """While an entry gets a new body: the old or the new one is served, never neither."""
        self.add(b"old")

        stores = self.crash_at_each_step(lambda: self.add(b"new!"))
        seen = self.check(stores, {KEY: {b"old", b"new!"}})
        self.assertEqual(seen, [{KEY}] * len(seen))

    def test_drop_and_evict(self) -> None:
        """While entries and bodies go: what is left is whole."""
        self.add(b"one", key="a")
        self.add(b"one", key="b")
        self.add(b"two" * 100, key="c")

        def act() -> None:
            self.store.drop_key("a")
            self.successResultOf(self.store.make_room((1 << 20) - 100))

        stores = self.crash_at_each_step(act)
        self.check(stores, {"a": {b"one"}, "b": {b"one"}, "c": {b"two" * 100}})

    def test_quarantine(self) -> None:
        """While bad bytes are put apart: they are never served."""
        part = self.fill(b"bad")
        self.successResultOf(part.checkpoint())
        stores = self.crash_at_each_step(lambda: self.store.quarantine(part, "wrong"))
        self.check(stores, {})

    def test_trash(self) -> None:
        """What was thrown and not yet unlinked goes at the next start."""
        self.add(b"one")
        self.threads.held = True
        self.store.drop_key(KEY)
        self.threads.held = False
        self.assertEqual(self.on_disk(), 3)
        store = self.crash()
        self.assert_counted(store, store._layout.root)
        self.assertEqual(store.usage().total, 0)
        self.threads.run()

    def test_blob_without_entry(self) -> None:
        """A body that no entry needs, and no journal explains, goes at the next start."""
        part = self.fill(b"data")
        self.successResultOf(self.store.commit(part, digest(b"data"), 4))
        self.reopen()
        self.assertEqual((self.store.usage().files, self.on_disk()), (0, 0))

    def test_journal_that_names_a_needed_blob(self) -> None:
        """A stale journal does not take away a body that an entry needs."""
        entry = self.add(b"data")
        lines = journal.opening(PartMeta(key="other"), NOW)
        lines += journal.completion(entry.blob, Spans([(0, 4)]), NOW)
        (self.root / "parts" / "x.journal").write_bytes(lines)
        self.reopen()
        self.assertEqual(self.read(self.store, entry), b"data")
        self.assertEqual(list((self.root / "parts").iterdir()), [])


class UnusableTests(StoreCase):
    """A folder that cannot be used."""

    def test_not_a_folder(self) -> None:
        """The error names the path, and the store can be tried again."""
        path = Path(self.mktemp())
        path.touch()
        store = self.make_store(path)
        error = self.failureResultOf(store.open(), DiskError).value
        self.assertIn(str(path), str(error))
        path.unlink()
        self.successResultOf(store.open())
        self.successResultOf(store.close())

    def test_blocked_inside(self) -> None:
        """A file where a folder should be is an error, and the lock is released."""
        self.successResultOf(self.store.close())
        shutil.rmtree(self.root / "parts")
        (self.root / "parts").touch()
        self.failureResultOf(self.make_store().open(), DiskError)
        (self.root / "parts").unlink()
        self.open_store()

    def test_entries_differ_only_in_scope(self) -> None:
        """Recovery keeps entries of one key apart by scope and variant."""
        entry = self.add(b"one")
        others = {attrs.evolve(entry, scope="s"), attrs.evolve(entry, variant="v")}
        for other in others:
            self.store.put(other)
        self.successResultOf(self.store.close())
        Layout(self.root).index.unlink()
        self.store = self.open_store()
        self.assertEqual(set(self.store.entries(KEY)), others | {entry})


class UnsyncedTests(StoreCase):
    """Small bodies that were stored in one go, and a loss of power soon after."""

    def at_once(self, data: bytes, key: str = KEY) -> Entry:
        self.store.add(digest(data), data, packed=False)
        entry = Entry(key=key, blob=digest(data), size=len(data))
        self.assertTrue(self.store.put(entry))
        return entry

    def damaged(self, name: str, content: bytes) -> Store:
        """A store whose index is right about the size and the time of a blob, not about bytes."""
        copy = Path(self.mktemp()).resolve()
        shutil.copytree(self.root, copy)
        path = Layout(copy).blob(name)
        stat = path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return self.open_store(copy)

    def test_bytes_lost(self) -> None:
        """A file of the right size that lost its bytes is never served; the others are."""
        lost, kept = self.at_once(b"lost"), self.at_once(b"kept", "b")
        store = self.damaged(lost.blob, b"\0\0\0\0")
        self.assertEqual((store.entries(KEY), self.read(store, kept)), ((), b"kept"))
        self.assertEqual(store._index.unsynced(), [])
        self.assert_counted(store, store.root)

    def test_synced(self) -> None:
        """Within seconds each is synced, and then taken at its word."""
        entry = self.at_once(b"body")
        self.assertEqual(self.store._index.unsynced(), [entry.blob])
        with mock.patch("aimirror.store.settling.sync_content") as sync:
            self.clock.advance(SETTLE)
        self.assertEqual([call.args for call in sync.mock_calls], [(self.path(entry),)])
        self.assertEqual(self.store._index.unsynced(), [])

    def path(self, entry: Entry) -> Path:
        return Layout(self.root).blob(entry.blob)

    def test_unknown_to_the_index(self) -> None:
        """One that the index has lost has to be what its name says, like its sidecar's word."""
        lost, kept = self.at_once(b"lost"), self.at_once(b"kept", "b")
        self.successResultOf(self.store.close())
        for path in self.root.glob("index.sqlite3*"):
            path.unlink()
        self.path(lost).write_bytes(b"\0\0\0\0")
        store = self.open_store()
        self.assertEqual(set(store.find()), {kept})
        self.assert_counted(store)

    def test_crash_before_the_entry(self) -> None:
        """A blob that no entry names is gone after a crash."""
        self.store.add(digest(b"body"), b"body")
        store = self.crash()
        self.assertEqual((store.usage().files, store.usage().total), (0, 0))
