from __future__ import annotations

import os
from unittest import mock

import attrs

from aimirror.caching.entries import Entry
from aimirror.store import shelf
from aimirror.store.errors import DiskError
from tests.store.support import KEY, StoreCase, digest


class BodyTests(StoreCase):
    """What is served, and what not."""

    def test_altered(self) -> None:
        """A file truncated, lengthened, edited or removed is not served, and not kept."""
        entry = self.add(b"0123456789")
        path = self.root / "blobs" / entry.blob[:2] / entry.blob

        def edit() -> None:
            path.write_bytes(b"012345678X")
            os.utime(path, ns=(1, 1))

        for opened in (True, False):
            for change in (
                lambda: os.truncate(path, 5),
                lambda: path.write_bytes(b"0123456789+"),
                edit,
                lambda: path.unlink(),
            ):
                self.add(b"0123456789")
                other = attrs.evolve(entry, scope="s")
                self.store.put(other)
                if opened:
                    self.assertEqual(self.read(self.store, entry), b"0123456789")
                change()
                self.assertIsNone(self.store.body(entry))
                self.assertEqual(self.store.entries(KEY), ())
                self.assertFalse(path.exists())
                self.assertEqual(self.store.usage().entries, 0)
                self.assert_counted()

    def test_replaced_by_itself(self) -> None:
        """A copy with the same bytes and time, as a restore from a backup leaves, is served."""
        entry = self.add(b"0123456789")
        path = self.root / "blobs" / entry.blob[:2] / entry.blob
        self.read(self.store, entry)
        stat = path.stat()
        copy = path.with_suffix(".copy")
        copy.write_bytes(path.read_bytes())
        os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        copy.rename(path)
        self.assertEqual(self.read(self.store, entry), b"0123456789")

    def test_without_body(self) -> None:
        """An entry without a body has none, and one whose blob was evicted has none."""
        entry = Entry(key="a", status=404)
        self.assertTrue(self.store.put(entry))
        self.assertIsNone(self.store.body(entry))
        self.assertIsNone(self.store.body(attrs.evolve(entry, blob="ab" * 32)))

    def test_no_descriptors(self) -> None:
        """Running out of descriptors is an error, not a reason to drop what is sound."""
        entry = self.add(b"0123456789")
        self.reopen()

        def refuse(*args: object) -> int:
            raise OSError(24, "too many open files")

        with mock.patch.object(os, "open", refuse):
            self.assertRaises(DiskError, self.store.body, entry)
        self.assertEqual(self.read(self.store, entry), b"0123456789")

    def test_dropped_while_read(self) -> None:
        """A blob without entries goes once its last reader has left."""
        entry = self.add(b"0123456789")
        body = self.store.body(entry)
        assert body is not None
        readers = [body.reader(0, None), body.reader(0, None)]
        self.store.drop(entry)
        self.assertEqual(self.store.usage().files, 1)
        readers[0].close()
        self.assertEqual(os.pread(readers[1].fd, 2, 0), b"01")
        readers[1].close()
        self.assertEqual((self.store.usage().files, self.on_disk()), (0, 0))

    def test_needed_again(self) -> None:
        """A blob that gets a new entry while its last reader is there stays."""
        entry = self.add(b"0123456789")
        body = self.store.body(entry)
        assert body is not None
        reader = body.reader(0, None)
        self.store.drop(entry)
        self.store.put(entry)
        reader.close()
        self.assertEqual(self.read(self.store, entry), b"0123456789")


class InstallTests(StoreCase):
    """How a part becomes a blob."""

    def test_once(self) -> None:
        """Equal content is stored once, also when two parts end at the same moment."""
        first, second = self.fill(b"same", "a"), self.fill(b"same", "b")
        self.threads.held = True
        commits = [self.store.commit(part, digest(b"same"), 4) for part in (first, second)]
        self.threads.run()
        paths = {self.successResultOf(commit) for commit in commits}
        self.assertEqual(len(paths), 1)
        self.assertEqual((self.store.usage().files, self.store.usage().total), (1, 4))
        self.assertEqual(list((self.root / "parts").iterdir()), [])
        self.threads.held = False
        self.assert_counted()

    def test_damaged_one_is_replaced(self) -> None:
        """New bytes take the place of a stored blob that was altered."""
        entry = self.add(b"0123456789")
        path = self.root / "blobs" / entry.blob[:2] / entry.blob
        os.truncate(path, 3)
        again = self.add(b"0123456789", key="b")
        self.assertEqual(self.read(self.store, again), b"0123456789")
        self.assert_counted()

    def test_shared(self) -> None:
        """A shared blob stays as long as one entry needs it."""
        one, two = self.add(b"same", key="a"), self.add(b"same", key="b")
        self.store.drop(one)
        self.assertEqual(self.read(self.store, two), b"same")
        self.store.drop(two)
        self.assertEqual((self.store.usage().files, self.on_disk()), (0, 0))

    def test_index_fails(self) -> None:
        """When the index cannot be written, the part is as it was."""
        part = self.fill(b"data")
        failing = DiskError(5, "broken")
        with mock.patch.object(shelf.Index, "add_blob", side_effect=failing):
            self.failureResultOf(self.store.commit(part, digest(b"data"), 4), DiskError)
        self.assertEqual(part.path.read_bytes(), b"data")
        self.assert_counted()
        self.successResultOf(self.store.commit(part, digest(b"data"), 4))
        self.assert_counted()
