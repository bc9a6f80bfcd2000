"""Conditional requests."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.conditions import (
    Condition,
    ETag,
    evaluate,
    parse_etag,
    parse_etags,
    range_applies,
)
from aimirror.http.headers import Headers

EARLIER = "Sat, 29 Oct 1994 19:43:30 GMT"
DATE = "Sat, 29 Oct 1994 19:43:31 GMT"
DATE_850 = "Saturday, 29-Oct-94 19:43:31 GMT"
LATER = "Sat, 29 Oct 1994 19:43:32 GMT"
TAG = '"a"'

PROCEED, NOT_MODIFIED, FAILED = Condition


class ETagTests(SynchronousTestCase):
    """Reading and comparing tags."""

    def test_parsed(self) -> None:
        """Tags may hold commas and blanks, be weak, empty, or without quotes."""
        for value, expected in {
            '"a"': [ETag("a")],
            'W/"a"': [ETag("a", weak=True)],
            'w/"a"': [ETag("a", weak=True)],
            '""': [ETag("")],
            '"a,b" , W/"c d",,"e\\"': [ETag("a,b"), ETag("c d", weak=True), ETag("e\\")],
            "abc": [ETag("abc")],
            'W/abc, "d"': [ETag("abc", weak=True), ETag("d")],
            '"\xe9"': [ETag("\xe9")],
            "": [],
            " , ": [],
            "*": [],
            '"*"': [ETag("*")],
        }.items():
            self.assertEqual(list(parse_etags(value)), expected, value)
        self.assertEqual(parse_etags(None), ())

    def test_unintelligible(self) -> None:
        """What can't be read ends the list and never becomes a tag."""
        self.assertEqual(parse_etags('"a", "b, c, d'), (ETag("a"),))
        self.assertEqual(parse_etags('"a"b"c", "d"'), ())
        self.assertEqual(parse_etags("a b"), ())

    def test_one(self) -> None:
        """An ETag field with no or several tags tells nothing."""
        self.assertEqual(parse_etag('W/"x"'), ETag("x", weak=True))
        for value in (None, "", "*", '"a", "b"', '"'):
            self.assertIsNone(parse_etag(value), value)

    def test_comparison(self) -> None:
        """The table of RFC 9110 section 8.8.3.2."""
        one, weak_one, weak_two = ETag("1"), ETag("1", weak=True), ETag("2", weak=True)
        for left, right, strong, weak in (
            (weak_one, weak_one, False, True),
            (weak_one, weak_two, False, False),
            (weak_one, one, False, True),
            (one, one, True, True),
        ):
            self.assertEqual(left.matches_strongly(right), strong)
            self.assertEqual(left.matches_weakly(right), weak)

    def test_text(self) -> None:
        """A tag reads as it is sent."""
        self.assertEqual(str(ETag("x", weak=True)), 'W/"x"')
        self.assertEqual(str(ETag("x")), '"x"')


class EvaluateTests(SynchronousTestCase):
    """The order and the outcome of preconditions."""

    def check(
        self,
        expected: Condition,
        *fields: tuple[str, str],
        method: str = "GET",
        etag: str | None = TAG,
        last_modified: str | None = DATE,
    ) -> None:
        found = evaluate(method, Headers(fields), etag, last_modified)
        self.assertEqual(found, expected, (method, fields))

    def test_none(self) -> None:
        """Without preconditions all proceeds."""
        self.check(PROCEED)

    def test_if_none_match(self) -> None:
        """A tag that matches weakly, or any, means 304 to a read and 412 to a write."""
        for value in (TAG, 'W/"a"', '"x", "a"', "*", " * ", "a"):
            self.check(NOT_MODIFIED, ("If-None-Match", value))
            self.check(NOT_MODIFIED, ("If-None-Match", value), method="HEAD")
            self.check(FAILED, ("If-None-Match", value), method="PUT")
        self.check(NOT_MODIFIED, ("If-None-Match", TAG), etag='W/"a"')
        self.check(NOT_MODIFIED, ("If-None-Match", '"x"'), ("if-none-match", TAG))
        for value in ('"x"', '"A"', '"a', '"*"', ""):
            self.check(PROCEED, ("If-None-Match", value))
        self.check(PROCEED, ("If-None-Match", '""'), etag=None)
        self.check(NOT_MODIFIED, ("If-None-Match", "*"), etag=None)

    def test_if_none_match_wins(self) -> None:
        """Beside If-None-Match a date is not looked at."""
        self.check(PROCEED, ("If-None-Match", '"x"'), ("If-Modified-Since", DATE))
        self.check(NOT_MODIFIED, ("If-None-Match", TAG), ("If-Modified-Since", EARLIER))
        self.check(PROCEED, ("If-None-Match", '"x"'), ("If-Modified-Since", DATE), etag=None)

    def test_if_modified_since(self) -> None:
        """Not modified after the date means 304, for reads only."""
        for value in (DATE, DATE_850, LATER):
            self.check(NOT_MODIFIED, ("If-Modified-Since", value))
            self.check(PROCEED, ("If-Modified-Since", value), method="POST")
        self.check(PROCEED, ("If-Modified-Since", EARLIER))

    def test_bad_dates(self) -> None:
        """Dates that can't be read or compared are ignored."""
        for name in ("If-Modified-Since", "If-Unmodified-Since"):
            self.check(PROCEED, (name, "yesterday"))
            self.check(PROCEED, (name, ""))
            self.check(PROCEED, (name, EARLIER if "Un" in name else LATER), last_modified=None)
            self.check(PROCEED, (name, EARLIER if "Un" in name else LATER), last_modified="never")
        self.check(PROCEED, ("If-Modified-Since", DATE), ("If-Modified-Since", DATE))

    def test_if_match(self) -> None:
        """Only a strong match or any lets through."""
        for value in (TAG, '"x", "a"', "*"):
            self.check(PROCEED, ("If-Match", value))
        for value in ('"x"', 'W/"a"', ""):
            self.check(FAILED, ("If-Match", value))
        self.check(FAILED, ("If-Match", 'W/"a"'), etag='W/"a"')
        self.check(FAILED, ("If-Match", TAG), etag=None)
        self.check(PROCEED, ("If-Match", "*"), etag=None)

    def test_if_unmodified_since(self) -> None:
        """Modified after the date means 412, unless If-Match is there to decide."""
        self.check(FAILED, ("If-Unmodified-Since", EARLIER))
        self.check(PROCEED, ("If-Unmodified-Since", DATE))
        self.check(PROCEED, ("If-Unmodified-Since", EARLIER), ("If-Match", TAG))

    def test_order(self) -> None:
        """412 is found before 304, and passing the first step leads to the second."""
        self.check(FAILED, ("If-None-Match", TAG), ("If-Match", '"x"'))
        self.check(NOT_MODIFIED, ("If-None-Match", TAG), ("If-Match", TAG))
        self.check(FAILED, ("If-Modified-Since", LATER), ("If-Unmodified-Since", EARLIER))
        self.check(NOT_MODIFIED, ("If-Modified-Since", LATER), ("If-Unmodified-Since", LATER))


class RangeAppliesTests(SynchronousTestCase):
    """If-Range."""

    def check(
        self, expected: bool, value: str, etag: str | None = TAG, modified: str | None = DATE
    ) -> None:
        request = Headers([("If-Range", value)])
        self.assertIs(range_applies(request, etag, modified), expected, value)

    def test_absent(self) -> None:
        """Without If-Range a Range counts."""
        self.assertTrue(range_applies(Headers(), None, None))

    def test_tags(self) -> None:
        """A tag counts when it is the same strong one."""
        self.check(True, TAG)
        for value in ('"x"', 'W/"a"', "*", '"a", "b"', '"', ""):
            self.check(False, value)
        self.check(False, 'W/"a"', etag='W/"a"')
        self.check(False, TAG, etag=None)

    def test_dates(self) -> None:
        """A date counts when it is exactly that of the file, not when it is later."""
        self.check(True, DATE)
        self.check(True, DATE_850)
        self.check(False, LATER)
        self.check(False, EARLIER)
        self.check(False, DATE, modified=None)
