from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.spans import Spans
from aimirror.http.headers import Headers
from aimirror.http.validator import Validator
from aimirror.store import journal
from aimirror.store.journal import PartMeta

META = PartMeta(
    key="https://a.test/x?sig=secret",
    scope="s",
    url="https://cdn.test/x?sig=secret",
    validator=Validator('"e\u00e9"', "Mon"),
    total=None,
    status=206,
    headers=Headers([("ETag", '"e"'), ("A", "1"), ("A", "2")]),
    requested_at=1.5,
    received_at=2.0,
    rule="r",
)
spans = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda p: (min(p), max(p))),
    max_size=3,
).map(Spans)
journals = st.lists(spans, max_size=5)


def written(steps: list[Spans]) -> list[bytes]:
    lines = [journal.progress(step, float(i)) for i, step in enumerate(steps)]
    return [journal.opening(META, 0.0), *lines]


class JournalTests(SynchronousTestCase):
    """What can be trusted."""

    def test_round_trip(self) -> None:
        """The description comes back whole, and all that was added."""
        lines = written([Spans([(0, 5)]), Spans([(5, 9), (20, 30)])])
        done = journal.completion("ab" * 32, Spans([(9, 20)]), 7.0)
        found = journal.parse(b"".join([*lines, done]))
        assert found is not None
        self.assertEqual((found.meta, found.durable), (META, Spans([(0, 30)])))
        self.assertEqual((found.at, found.blob), (7.0, "ab" * 32))

    def test_notes_count_during_their_boot(self) -> None:
        """What was only noted counts as written until the machine boots again, never as durable."""
        lines = b"".join([*written([Spans([(0, 5)])]), journal.note(Spans([(8, 9)]), "b1", 2.0)])
        for boot, known in (("b1", [(0, 5), (8, 9)]), ("b2", [(0, 5)]), ("", [(0, 5)])):
            found = journal.parse(lines, boot)
            assert found is not None
            self.assertEqual((found.written, found.durable), (Spans(known), Spans([(0, 5)])), boot)
        unknown = journal.parse(lines + journal.note(Spans([(1, 7)]), "", 3.0), "")
        assert unknown is not None
        self.assertEqual(unknown.written, Spans([(0, 5)]))

    @settings(max_examples=50, deadline=None)
    @given(journals, st.data())
    def test_torn_anywhere(self, steps: list[Spans], data: st.DataObject) -> None:
        """Cut at any byte, followed by anything, it claims a prefix of what was added."""
        lines = written(steps)
        whole = b"".join(lines)
        cut = data.draw(st.integers(0, len(whole)))
        tail = data.draw(st.binary(max_size=40))
        found = journal.parse(whole[:cut] + tail)
        prefixes = [Spans(p for step in steps[:n] for p in step) for n in range(len(steps) + 1)]
        if found is None:
            self.assertLess(cut, len(lines[0]))
        else:
            self.assertIn(found.durable, prefixes)
            self.assertEqual((whole[:cut] + tail)[: found.length], whole[: found.length])

    @settings(max_examples=50, deadline=None)
    @given(journals, st.data())
    def test_flipped_anywhere(self, steps: list[Spans], data: st.DataObject) -> None:
        """With any byte overwritten, it claims no more than was added."""
        whole = bytearray(b"".join(written(steps)))
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= data.draw(st.integers(1, 255))
        found = journal.parse(bytes(whole))
        if found is not None:
            added = Spans(p for step in steps for p in step)
            self.assertTrue(all(added.covers(a, b) for a, b in found.durable))
            self.assertEqual(found.meta, META)

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=200))
    def test_garbage(self, data: bytes) -> None:
        """Garbage is no journal."""
        self.assertIsNone(journal.parse(data))

    def test_secrets(self) -> None:
        """A signed URL is not shown with the part."""
        self.assertNotIn("cdn.test", repr(META))
