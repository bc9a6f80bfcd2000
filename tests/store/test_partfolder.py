from __future__ import annotations

import os

from aimirror.caching.entries import Entry
from aimirror.download.spans import Spans
from aimirror.http.validator import Validator
from aimirror.store import journal, partfolder
from aimirror.store import parts as partsmodule
from aimirror.store.errors import DiskError, DiskFull
from aimirror.store.journal import PartMeta
from aimirror.store.partfolder import MOST_QUARANTINED, PART_LIFE
from aimirror.store.parts import Part
from tests.store.support import KEY, StoreCase

META = PartMeta(key=KEY, scope="s", validator=Validator('"v1"'), total=100)


class ResumeTests(StoreCase):
    """Going on after a stop, a failure or a crash."""

    def half(self, meta: PartMeta = META) -> Part:
        """A part of which 40 bytes are durable and 10 more only written."""
        part = self.store.create_part(meta)
        self.addCleanup(part.close)
        part.allocate(100)
        part.write(0, b"a" * 40)
        self.successResultOf(part.checkpoint())
        part.write(60, b"b" * 10)
        return part

    def names(self) -> list[str]:
        return sorted(path.name for path in (self.root / "parts").iterdir())

    def test_crash(self) -> None:
        """After kill -9 the durable bytes are there, with all that is needed to go on."""
        self.half()
        store = self.crash()
        part = store.resumable(KEY, "s")
        assert part is not None
        self.addCleanup(part.close)
        self.assertEqual((part.meta, part.written, part.durable), (META,) + (Spans([(0, 40)]),) * 2)
        self.assertEqual(os.pread(part.fd, 40, 0), b"a" * 40)
        self.assertEqual((store.usage().total, part.size), (100, 100))
        self.assertIsNone(store.resumable(KEY, "s"))

    def test_goes_on(self) -> None:
        """A resumed part can be finished; what it journals adds to what was there."""
        self.half().close()
        part = self.store.resumable(KEY, "s")
        assert part is not None
        part.write(40, b"a" * 20)
        self.successResultOf(part.checkpoint())
        part.close()
        part = self.store.resumable(KEY, "s")
        assert part is not None
        self.assertEqual(part.written, Spans([(0, 70)]))
        part.write(60, b"a" * 40)
        self.successResultOf(self.store.commit(part, "ab" * 32, 100))
        part.close()
        self.store.put(Entry(key=KEY, blob="ab" * 32, size=100))
        self.assertEqual((self.names(), self.store.usage().parts), ([], 0))
        self.assert_counted()

    def test_noted_bytes_outlive_processes(self) -> None:
        """After kill -9 noted bytes are there, too; after a loss of power only durable ones."""
        part = self.half()
        self.successResultOf(part.note())
        part.write(70, b"c" * 10)
        killed = self.crash().resumable(KEY, "s")
        assert killed is not None
        self.addCleanup(killed.close)
        self.assertEqual(killed.written, Spans([(0, 40), (60, 70)]))
        self.assertEqual(killed.durable, Spans([(0, 40)]))
        for module in (partfolder, partsmodule):
            self.patch(module, "boot_id", lambda: "another")
        lost = self.crash().resumable(KEY, "s")
        assert lost is not None
        self.addCleanup(lost.close)
        self.assertEqual((lost.written, lost.durable), (Spans([(0, 40)]),) * 2)

    def test_closing_notes(self) -> None:
        """Who closes a part in order loses nothing of it; unless boots can't be told apart."""
        self.half().close()
        part = self.store.resumable(KEY, "s")
        assert part is not None
        self.assertEqual(part.written, Spans([(0, 40), (60, 70)]))
        part.write(80, b"d" * 5)
        self.patch(partsmodule, "boot_id", lambda: "")
        part.close()
        again = self.store.resumable(KEY, "s")
        assert again is not None
        self.addCleanup(again.close)
        self.assertEqual(again.written, Spans([(0, 40), (60, 70)]))

    def test_not_for_others(self) -> None:
        """A part is found under its own key and scope alone."""
        self.half().close()
        self.assertIsNone(self.store.resumable(KEY, ""))
        self.assertIsNone(self.store.resumable(KEY + "x", "s"))

    def test_not_while_it_is_filled(self) -> None:
        """A part that somebody works on is nobody else's."""
        self.half()
        self.assertIsNone(self.store.resumable(KEY, "s"))

    def test_torn_tail(self) -> None:
        """A torn tail of the journal is cut off, so that later lines count."""
        part = self.half()
        self.patch(partsmodule, "boot_id", lambda: "")
        part.close()
        with part.journal_path.open("ab") as file:
            file.write(b"0badc0de {torn")
        again = self.store.resumable(KEY, "s")
        assert again is not None
        again.write(40, b"c" * 10)
        self.successResultOf(again.checkpoint())
        again.close()
        found = journal.parse(part.journal_path.read_bytes())
        assert found is not None
        self.assertEqual(found.durable, Spans([(0, 50)]))

    def test_a_new_part_replaces(self) -> None:
        """Who begins anew gives up what was left; a part left later replaces an earlier one."""
        first = self.half()
        second = self.half()
        first.close()
        second.close()
        self.assertEqual(self.names(), [f"{second.id}.journal", f"{second.id}.part"])
        self.store.create_part(META).close()
        self.assertEqual((self.names(), self.store.usage().total), ([], 0))

    def test_cleared_at_open(self) -> None:
        """At open go parts without a journal, journals without a part, and old ones."""
        self.half().close()
        for name in ("x.part", "y.journal", "z.part", "z.journal"):
            (self.root / "parts" / name).write_bytes(b"?")
        self.reopen()
        self.assertEqual(len(self.names()), 2)
        self.clock.advance(PART_LIFE + 1)
        self.reopen()
        self.assertEqual((self.names(), self.store.usage().total), ([], 0))

    def test_the_later_of_two_wins(self) -> None:
        """Of two parts of one key that a crash left, the one worked on last is kept."""
        self.half()
        self.clock.advance(1)
        second = self.half()
        store = self.crash()
        found = store.resumable(KEY, "s")
        assert found is not None
        found.close()
        self.assertEqual(found.id, second.id)

    def test_not_the_file_described(self) -> None:
        """A part shorter than its journal says, a link, or one that is gone is not resumed."""

        def cut(part: Part) -> None:
            os.truncate(part.path, 30)

        def link(part: Part) -> None:
            part.path.rename(self.root / "elsewhere")
            part.path.symlink_to(self.root / "elsewhere")

        def share(part: Part) -> None:
            os.link(part.path, part.path.with_suffix(".copy"))

        for spoil in (cut, link, share, lambda part: part.path.unlink()):
            part = self.half()
            part.close()
            spoil(part)
            self.assertIsNone(self.store.resumable(KEY, "s"))
            self.assertEqual(self.store.usage().total, 0)

    def test_private(self) -> None:
        """A part is readable by this user alone."""
        self.assertEqual(os.fstat(self.half().fd).st_mode & 0o777, 0o600)

    def test_emptied_folder(self) -> None:
        """When somebody emptied the cache folder, downloads go on into a new one."""
        (self.root / "parts").rmdir()
        part = self.half()
        self.assertEqual(self.names(), [f"{part.id}.journal", f"{part.id}.part"])

    def test_unusable_folder(self) -> None:
        """Where no file can be made, the error is typed."""
        (self.root / "parts").rmdir()
        (self.root / "parts").touch()
        self.assertRaises(DiskError, self.store.create_part, META)


class QuarantineTests(StoreCase):
    """Bytes that failed their digest."""

    def kept(self) -> list[str]:
        return sorted(path.name for path in (self.root / "quarantine").iterdir())

    def test_kept_apart(self) -> None:
        """Bytes and reason are kept; they count, and are never resumed or served."""
        part = self.fill(b"bad")
        self.successResultOf(part.checkpoint())
        self.store.quarantine(part, "sha256 is wrong")
        part.close()
        self.assertEqual(self.kept(), [f"{part.id}.journal", f"{part.id}.part"])
        why = (self.root / "quarantine" / f"{part.id}.journal").read_text()
        self.assertIn("sha256 is wrong", why)
        self.assertEqual((self.store.usage().quarantine, self.store.usage().parts), (3, 0))
        self.assertIsNone(self.store.resumable(KEY, ""))
        self.reopen()
        self.assertIsNone(self.store.resumable(KEY, ""))
        self.assertEqual(self.store.usage().quarantine, 3)
        self.assert_counted()

    def test_bounded(self) -> None:
        """Only the latest few are kept."""
        ids = []
        for n in range(MOST_QUARANTINED + 2):
            part = self.fill(b"bad", key=str(n))
            self.store.quarantine(part, "wrong")
            ids.append(part.id)
        self.assertEqual(
            self.kept(), sorted(f"{id}.{kind}" for id in ids[2:] for kind in ("journal", "part"))
        )
        self.assert_counted()

    def test_impossible(self) -> None:
        """When it cannot be kept, it is removed: nobody may resume it."""
        (self.root / "quarantine").rmdir()
        (self.root / "quarantine").touch()
        part = self.fill(b"bad")
        self.successResultOf(part.checkpoint())
        self.assertRaises(DiskError, self.store.quarantine, part, "wrong")
        part.close()
        self.assertEqual(list((self.root / "parts").iterdir()), [])
        self.assertEqual(self.store.usage().total, 0)


class GrowthTests(StoreCase):
    """The limit and parts."""

    max_bytes = 1000

    def test_refused(self) -> None:
        """A part does not grow, nor is it allocated, beyond what the cache may hold."""
        part = self.store.create_part(PartMeta(key=KEY))
        self.addCleanup(part.close)
        part.write(0, b"x" * 900)
        self.assertRaises(DiskFull, part.write, 900, b"x" * 101)
        other = self.store.create_part(PartMeta(key="other"))
        self.addCleanup(other.close)
        self.assertRaises(DiskFull, other.allocate, 101)
        self.assert_counted()

    def test_others_make_way(self) -> None:
        """While a part grows, what was least used makes way, quarantine and left parts first."""
        self.add(b"a" * 300, key="a")
        bad = self.fill(b"b" * 300, key="b")
        self.store.quarantine(bad, "wrong")
        left = self.fill(b"c" * 300, key="c")
        self.successResultOf(left.checkpoint())
        left.close()
        part = self.store.create_part(PartMeta(key=KEY))
        self.addCleanup(part.close)
        for n, (quarantine, files) in enumerate([(300, 1), (0, 1), (0, 1), (0, 0), (0, 0)]):
            part.write(n * 180, b"x" * (100 if n == 0 else 180))
            usage = self.store.usage()
            self.assertEqual((usage.quarantine, usage.files), (quarantine, files), n)
            self.assertLessEqual(usage.total, 1000)
        self.assert_counted()
