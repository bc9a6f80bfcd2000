"""Range and Content-Range."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.ranges import (
    MAX_RANGES,
    ContentRange,
    RangeSet,
    Unsatisfied,
    Verdict,
    format_content_range,
    format_range,
    format_unsatisfied,
    parse_content_range,
    parse_range,
)

WHOLE = RangeSet(Verdict.WHOLE)
UNSATISFIABLE = RangeSet(Verdict.UNSATISFIABLE)


def partial(*spans: tuple[int, int]) -> RangeSet:
    return RangeSet(Verdict.PARTIAL, spans)


class ParseRangeTests(SynchronousTestCase):
    """What a Range field asks of a representation."""

    def test_one_range(self) -> None:
        """Inclusive positions become a half-open span, clamped to the size."""
        for value, spans in {
            "bytes=0-0": (0, 1),
            "bytes=0-": (0, 100),
            "bytes=10-19": (10, 20),
            "bytes=99-": (99, 100),
            "bytes=90-1000": (90, 100),
            f"bytes=0-{2**64 - 1}": (0, 100),
            "bytes=-1": (99, 100),
            "bytes=-100": (0, 100),
            "bytes=-500": (0, 100),
            "Bytes=5-5": (5, 6),
            " bytes=5-5 ": (5, 6),
        }.items():
            asked = parse_range(value, 100)
            self.assertEqual((asked.verdict, asked.spans), (Verdict.PARTIAL, (spans,)), value)
            self.assertEqual(asked.rest, value.endswith("-"), value)

    def test_unsatisfiable(self) -> None:
        """A range with no byte of the file in it is unsatisfiable."""
        for value in ("bytes=100-", "bytes=100-200", "bytes=-0", "bytes=200-,-0"):
            self.assertEqual(parse_range(value, 100), UNSATISFIABLE, value)

    def test_ignored(self) -> None:
        """An absent or malformed field and other units mean the whole."""
        for value in (
            *(None, "", "bytes", "bytes=", "bytes=,", "items=0-1", "bytes 0-1", "bytes=1"),
            *("bytes=-", "bytes=--1", "bytes=5-4", "bytes=a-b", "bytes=0x1-2", "bytes=1-2-3"),
            *("bytes=+1-2", "bytes=1 - 2", "bytes=\u0661-2", "bytes=0-1;2-3", "bytes=0-1,x"),
            f"bytes=0-{'9' * 5000}",
        ):
            self.assertEqual(parse_range(value, 100), WHOLE, value)

    def test_empty_file(self) -> None:
        """Of nothing no position can be had; its last bytes can, but only 200 can say so."""
        self.assertEqual(parse_range("bytes=0-", 0), UNSATISFIABLE)
        self.assertEqual(parse_range("bytes=0-0", 0), UNSATISFIABLE)
        self.assertEqual(parse_range("bytes=-0", 0), UNSATISFIABLE)
        self.assertEqual(parse_range("bytes=-5", 0), WHOLE)

    def test_several(self) -> None:
        """Members keep their order, empty and unsatisfiable ones are dropped."""
        self.assertEqual(
            parse_range("bytes=50-59, 0-9,-10", 100), partial((50, 60), (0, 10), (90, 100))
        )
        self.assertEqual(parse_range("bytes=, 0-9 ,, 200-300", 100), partial((0, 10)))

    def test_coalesced(self) -> None:
        """What overlaps or touches is joined at the place of the first of them."""
        self.assertEqual(parse_range("bytes=50-59,0-9,60-69", 100), partial((50, 70), (0, 10)))
        self.assertEqual(parse_range("bytes=20-29,0-9,5-24", 100), partial((0, 30)))
        self.assertEqual(parse_range("bytes=0-9,20-29,10-19", 100), partial((0, 30)))

    def test_overlapping_abuse(self) -> None:
        """Members that ask for more bytes than there are get the whole once."""
        self.assertEqual(parse_range("bytes=0-,0-,0-", 100), WHOLE)
        self.assertEqual(parse_range("bytes=0-59,40-99", 100), WHOLE)

    def test_too_many(self) -> None:
        """One member more than MAX_RANGES is too many, whatever they are."""
        members = [f"{2 * i}-{2 * i}" for i in range(MAX_RANGES)]
        self.assertEqual(len(parse_range(f"bytes={','.join(members)}", 100).spans), MAX_RANGES)
        self.assertEqual(parse_range(f"bytes={','.join([*members, '999-'])}", 100), WHOLE)

    @given(
        st.lists(
            st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda p: (min(p), max(p))),
            min_size=1,
            max_size=MAX_RANGES,
        ),
        st.integers(1, 30),
    )
    @settings(max_examples=100, deadline=None)
    def test_same_bytes(self, members: list[tuple[int, int]], size: int) -> None:
        """The spans hold just the bytes asked for, each once, and touch each other nowhere."""
        answer = parse_range("bytes=" + ",".join(f"{a}-{b}" for a, b in members), size)
        wanted = {k for a, b in members for k in range(a, b + 1) if k < size}
        if answer.verdict is Verdict.PARTIAL:
            got = [k for a, b in answer.spans for k in range(a, b)]
            self.assertEqual(sorted(got), sorted(wanted))
            stops = {b for _, b in answer.spans}
            self.assertFalse(stops & {a for a, _ in answer.spans})
        elif answer.verdict is Verdict.UNSATISFIABLE:
            self.assertEqual(wanted, set())
        else:
            self.assertGreater(sum(max(0, min(b + 1, size) - a) for a, b in members), size)


class ContentRangeTests(SynchronousTestCase):
    """Content-Range in both directions."""

    def test_parsed(self) -> None:
        """The valid forms."""
        for value, expected in {
            "bytes 0-0/1": ContentRange(0, 1, 1),
            "bytes 5-9/10": ContentRange(5, 10, 10),
            "BYTES 5-9/*": ContentRange(5, 10, None),
            "bytes */0": Unsatisfied(0),
            "bytes */123": Unsatisfied(123),
        }.items():
            self.assertEqual(parse_content_range(value), expected, value)

    def test_refused(self) -> None:
        """Anything that is not exactly one is none."""
        for value in (
            *(None, "", "bytes", "bytes 0-9", "bytes=0-9/10", "bytes 9-5/10", "bytes 0-10/10"),
            *("bytes */*", "bytes -1-5/10", "bytes 0-9/10, bytes 0-9/10", "bytes 0-+9/10"),
            *(
                "bytes  0-9/10",
                "items 0-9/10",
                "bytes 0 - 9/10",
                "bytes 0-9/10x",
                "bytes 0-\u0669/10",
            ),
            f"bytes 0-9/{'9' * 5000}",
        ):
            self.assertIsNone(parse_content_range(value), value)

    @given(st.integers(0, 10**18), st.integers(1, 10**12), st.none() | st.integers(0, 10**12))
    @settings(max_examples=50, deadline=None)
    def test_round_trip(self, start: int, length: int, rest: int | None) -> None:
        """What is formatted reads back the same."""
        stop = start + length
        total = None if rest is None else stop + rest
        text = format_content_range(start, stop, total)
        self.assertEqual(parse_content_range(text), ContentRange(start, stop, total))

    def test_unsatisfied(self) -> None:
        """The form of a 416."""
        self.assertEqual(format_unsatisfied(0), "bytes */0")

    def test_request(self) -> None:
        """A request's Range is inclusive, and open without a stop."""
        self.assertEqual(format_range(0, 10), "bytes=0-9")
        self.assertEqual(format_range(5, None), "bytes=5-")
