from __future__ import annotations

from unittest import mock

import attrs

from aimirror.caching.entries import Entry
from aimirror.store import catalogue as module
from aimirror.store.catalogue import (
    MOST_OF_KEY,
    MOST_TOUCHES,
    MOST_VARIANTS,
    NEGATIVE_SECONDS,
    SURPLUS,
    Catalogue,
)
from aimirror.store.database import Blob
from aimirror.store.errors import DiskError
from aimirror.store.index import Index
from aimirror.store.layout import Layout, entry_name
from aimirror.store.records import dump, read_sidecar
from tests.store.support import NOW, StoreCase


class CatalogueCase(StoreCase):
    """A catalogue over an index of its own, which the test may look into."""

    def setUp(self) -> None:
        super().setUp()
        self.layout = Layout(self.root)
        self.index = Index(self.layout.index)
        self.addCleanup(self.index.close)
        self.catalogue = Catalogue(self.layout, self.index, self.clock)
        self.index.add_blob(Blob("ab" * 32, 1, 1, 0.0))

    def sidecars(self) -> list[str]:
        files = [path.stem for path in (self.root / "entries").rglob("*.json")]
        return sorted([*files, *(name for name, _ in self.index.packed.records("", "g"))])


class EntriesTests(CatalogueCase):
    """What is stored and found."""

    def test_sure_at_once(self) -> None:
        """What the tier is to get is committed at once, other new entries a moment later."""
        index = Index(self.layout.index, self.clock.callLater)
        self.addCleanup(index.close)
        catalogue = Catalogue(self.layout, index, self.clock)
        catalogue.put(Entry(key="a", status=404))
        self.assertEqual(self.index.rows("SELECT key FROM entries"), [])
        catalogue.put(Entry(key="b", status=404), send=True)
        self.assertEqual(self.index.rows("SELECT key FROM entries"), [("a",), ("b",)])
        self.assertEqual(self.index.outbox.waiting()[0], 1)

    def test_sidecars(self) -> None:
        """Each entry has its sidecar, with the same content, and dropped ones have none.

        Those whose body is no file have a packed one.
        """
        one, two = Entry(key="a", blob="ab" * 32), Entry(key="a", scope="s")
        self.catalogue.put(one)
        self.catalogue.put(two)
        self.assertEqual(self.sidecars(), sorted([entry_name(one), entry_name(two)]))
        self.assertEqual(read_sidecar(self.layout.sidecar(entry_name(one))), one)
        self.assertEqual(self.index.packed.records("", "g"), [(entry_name(two), dump(two))])
        self.catalogue.drop(one)
        self.assertEqual(self.sidecars(), [entry_name(two)])

    def test_memory_is_current(self) -> None:
        """What is remembered of a key follows each change."""
        blob = "ab" * 32
        entry = Entry(key="a", blob=blob)
        self.assertEqual(self.catalogue.of_key("a"), ())
        self.catalogue.put(entry)
        self.assertEqual(self.catalogue.of_key("a"), (entry,))
        self.catalogue.invalidate("a")
        self.assertTrue(self.catalogue.of_key("a")[0].invalidated)
        self.catalogue.drop_blobs([blob])
        self.assertEqual((self.catalogue.of_key("a"), self.sidecars()), ((), []))

    def test_remembered(self) -> None:
        """A key asked for again costs no database."""
        self.catalogue.put(Entry(key="a"))
        found = self.catalogue.of_key("a")
        self.index.close()
        self.assertIs(self.catalogue.of_key("a"), found)
        self.assertRaises(DiskError, self.catalogue.of_key, "b")

    def test_loose_blobs(self) -> None:
        """Who puts or drops is told which blobs may be needed no more."""
        one, two = "ab" * 32, "cd" * 32
        self.index.add_blob(Blob(two, 1, 1, 0.0))
        entry = Entry(key="a", blob=one)
        self.assertEqual(self.catalogue.put(entry), set())
        self.assertEqual(self.catalogue.put(attrs.evolve(entry, status=203)), set())
        self.assertEqual(self.catalogue.put(attrs.evolve(entry, blob=two)), {one})
        self.assertEqual(self.catalogue.drop(entry), {two})
        self.assertEqual(self.catalogue.drop(entry), set())

    def test_put_is_whole(self) -> None:
        """When the sidecar cannot be written, the index knows nothing of the entry."""
        (self.root / "entries").rename(self.root / "away")
        (self.root / "entries").touch()
        self.assertRaises(DiskError, self.catalogue.put, Entry(key="a", blob="ab" * 32))
        self.assertEqual((self.catalogue.of_key("a"), self.index.entries), ((), 0))

    def test_bounded(self) -> None:
        """Beyond so many entries the ones used longest ago go, pinned ones stay."""
        catalogue = Catalogue(self.layout, self.index, self.clock, most=SURPLUS + 10)
        catalogue.put(Entry(key="pinned", pinned=True))
        for n in range(SURPLUS + 10):
            self.clock.advance(1)
            catalogue.put(Entry(key=str(n)))
        self.assertEqual(self.index.entries, 11)
        self.assertEqual(len(self.sidecars()), 11)
        self.assertEqual(len(catalogue.of_key("pinned")), 1)
        self.assertEqual(catalogue.of_key("0"), ())
        self.assertEqual(len(catalogue.of_key(str(SURPLUS + 9))), 1)


class BoundsTests(CatalogueCase):
    """What anybody could have stored any number of."""

    def test_negative(self) -> None:
        """Answers that there is nothing are bounded by number, the oldest go; others stay."""
        self.patch(module, "MOST_NEGATIVE", 100)
        self.catalogue.put(Entry(key="file"))
        for n in range(300):
            self.clock.advance(1)
            self.catalogue.put(Entry(key=str(n), status=404, received_at=self.clock.seconds()))
            self.assertLessEqual(self.index.negatives(), 100)
        self.assertEqual(len(self.sidecars()), self.index.entries)
        self.assertTrue(self.catalogue.of_key("file") and self.catalogue.of_key("299"))
        self.assertEqual(self.catalogue.of_key("0"), ())

    def test_old_negative(self) -> None:
        """After a day they are gone."""
        self.catalogue.put(Entry(key="old", status=404, received_at=self.clock.seconds()))
        self.catalogue.put(Entry(key="file", received_at=self.clock.seconds()))
        self.clock.advance(NEGATIVE_SECONDS + 1)
        self.catalogue.put(Entry(key="new", status=404, received_at=self.clock.seconds()))
        self.assertEqual([e.key for e in self.catalogue.find("", None, None)], ["file", "new"])

    def test_negatives_in_the_way(self) -> None:
        """Who looks for files below a path does not look at what is not there."""
        for n in range(5):
            self.catalogue.put(Entry(key=f"dists/{n}", status=404))
        self.catalogue.put(Entry(key="dists/Release"))
        found = self.catalogue.find("dists/", None, None, negative=False)
        self.assertEqual([entry.key for entry in found], ["dists/Release"])

    def test_variants(self) -> None:
        """A key has so many variants for each scope, and so many entries; the oldest go."""
        for n in range(MOST_VARIANTS + 10):
            self.catalogue.put(Entry(key="a", variant=str(n), received_at=n))
        kept = self.catalogue.of_key("a")
        self.assertEqual({e.variant for e in kept}, {str(n + 10) for n in range(MOST_VARIANTS)})
        for n in range(2 * MOST_OF_KEY):
            self.catalogue.put(Entry(key="a", scope=str(n), received_at=100 + n))
        self.assertEqual(len(self.catalogue.of_key("a")), MOST_OF_KEY)
        self.assertEqual(self.index.entries, MOST_OF_KEY)


class TouchTests(CatalogueCase):
    """Uses."""

    def setUp(self) -> None:
        super().setUp()
        self.entry = Entry(key="a", blob="ab" * 32)
        self.catalogue.put(self.entry)

    def used(self) -> float:
        (page,) = self.index.least_used((-1.0, ""))
        return page[0].used

    def test_written_together(self) -> None:
        """Uses are noted in memory, and written by ``flush``."""
        self.clock.advance(3)
        for _ in range(5):
            self.catalogue.touch(self.entry)
        self.assertEqual(self.used(), NOW)
        self.catalogue.flush()
        self.assertEqual(self.used(), NOW + 3)
        self.index.close()
        self.catalogue.flush()

    def test_bounded(self) -> None:
        """Memory for uses is bounded: beyond it they are written at once."""
        self.clock.advance(3)
        self.catalogue.touch(self.entry)
        with mock.patch.object(self.index, "touch", wraps=self.index.touch) as written:
            for n in range(MOST_TOUCHES - 1):
                self.catalogue.touch(Entry(key=str(n)))
        self.assertEqual([len(call.args[0]) for call in written.mock_calls], [MOST_TOUCHES])
        self.assertEqual(self.used(), NOW + 3)

    def test_failure(self) -> None:
        """Uses that could not be written are given up, so that they do not pile up."""
        self.catalogue.touch(self.entry)
        self.index.close()
        self.assertRaises(DiskError, self.catalogue.flush)
        self.catalogue.flush()
