"""aimirror.http.dates: RFC 9110 section 5.6.7, RFC 9111 section 4.2."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http import dates
from aimirror.http.dates import format_date, parse_date

MOMENT = 784111777.0
#: (text, epoch seconds or None), RFC 9110 section 5.6.7.
DATES = (
    ("Sun, 06 Nov 1994 08:49:37 GMT", MOMENT),
    ("Sunday, 06-Nov-94 08:49:37 GMT", MOMENT),
    ("Sun Nov  6 08:49:37 1994", MOMENT),
    ("Sun Nov 06 08:49:37 1994", MOMENT),
    (" \tSun, 06 Nov 1994 08:49:37 GMT ", MOMENT),
    ("SUN, 06 NOV 1994 08:49:37 gmt", MOMENT),
    ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ("Wed, 31 Dec 1969 23:59:59 GMT", -1.0),
    ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800.0),
    ("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800.0),
    ("", None),
    ("0", None),
    ("-1", None),
    ("1994", None),
    ("now", None),
    ("Sun, 06 Nov 1994 08:49:37", None),
    ("Sun, 06 Nov 1994 08:49:37 UTC", None),
    ("Sun, 06 Nov 1994 08:49:37 +0000", None),
    ("Sun, 06 Nov 1994 08:49:37 EST", None),
    ("Sun, 06 Nov 94 08:49:37 GMT", None),
    ("Sun 06 Nov 1994 08:49:37 GMT", None),
    ("Sun, 06  Nov  1994 08:49:37 GMT", None),
    ("Sun, 06-Nov-1994 08:49:37 GMT", None),
    ("Sun, 06 Nov 1994 08.49.37 GMT", None),
    ("Sun, 06 Nov 1994 8:49:37 GMT", None),
    ("Sun, 6 Nov 1994 08:49:37 GMT", None),
    ("Xyz, 06 Nov 1994 08:49:37 GMT", None),
    ("Sunday, 06 Nov 1994 08:49:37 GMT", None),
    ("Sun, 06-Nov-94 08:49:37 GMT", None),
    ("Sun, 06 Foo 1994 08:49:37 GMT", None),
    ("Sun, 31 Feb 2021 00:00:00 GMT", None),
    ("Sun, 29 Feb 2023 00:00:00 GMT", None),
    ("Sun, 00 Nov 1994 08:49:37 GMT", None),
    ("Sun, 06 Nov 1994 24:00:00 GMT", None),
    ("Sun, 06 Nov 1994 08:60:00 GMT", None),
    ("Sun, 06 Nov 1994 08:49:61 GMT", None),
    ("Sun, 06 Nov 0000 08:49:37 GMT", None),
    ("Sun, 06 Nov 1994 08:49:37 GMT; x", None),
    ("Sun, 06 Nov 1994 08:49:37 GMT, 1", None),
    ("Sun, ٠٦ Nov 1994 08:49:37 GMT", None),
)
#: (text, year in which it is read, year that it means), the rule for two digits.
TWO_DIGITS = (
    ("Sunday, 06-Nov-94 08:49:37 GMT", 1995, 1994),
    ("Sunday, 06-Nov-94 08:49:37 GMT", 2026, 1994),
    ("Sunday, 06-Nov-94 08:49:37 GMT", 2060, 2094),
    ("Monday, 06-Nov-23 08:49:37 GMT", 2026, 2023),
    ("Sunday, 06-Nov-50 08:49:37 GMT", 2026, 2050),
    ("Sunday, 06-Nov-77 08:49:37 GMT", 2026, 1977),
    ("Sunday, 06-Nov-05 08:49:37 GMT", 2098, 2105),
)


class DateTests(SynchronousTestCase):
    def test_parse(self) -> None:
        """The three formats are read, all else is refused."""
        for text, expected in DATES:
            self.assertEqual(parse_date(text), expected, text)

    def test_two_digit_year(self) -> None:
        """A two-digit year is the latest one that is not over 50 years ahead."""
        for text, read, meant in TWO_DIGITS:
            now = parse_date(f"Sun, 15 Jun {read} 00:00:00 GMT")
            epoch = parse_date(text, now)
            assert epoch is not None
            self.assertIn(f" {meant} ", format_date(epoch), text)

    def test_long(self) -> None:
        """The longest date is read; what is longer is none, and not kept in memory."""
        self.assertIsNotNone(parse_date("Wednesday, 09-Nov-94 08:49:37 GMT"))
        kept = dates._full.cache_info().currsize
        self.assertIsNone(parse_date("Sun, 06 Nov 1994 08:49:37 GMT" + "x" * 60_000))
        self.assertEqual(dates._full.cache_info().currsize, kept)

    def test_format(self) -> None:
        """A date is written as IMF-fixdate, rounded down and within the years of four digits."""
        self.assertEqual(format_date(MOMENT + 0.9), "Sun, 06 Nov 1994 08:49:37 GMT")
        self.assertEqual(format_date(-0.5), "Wed, 31 Dec 1969 23:59:59 GMT")
        self.assertEqual(format_date(1e18), "Fri, 31 Dec 9999 23:59:59 GMT")
        self.assertEqual(format_date(-1e18), "Mon, 01 Jan 0001 00:00:00 GMT")

    @given(st.integers(-62135596800, 253402300799))
    @settings(max_examples=50, deadline=None)
    def test_round_trip(self, epoch: int) -> None:
        """What is written is read as the same second."""
        self.assertEqual(parse_date(format_date(epoch)), float(epoch))

    @given(st.text(max_size=40))
    @settings(max_examples=50, deadline=None)
    def test_any_text(self, text: str) -> None:
        """No text makes the parser raise."""
        parse_date(text, MOMENT)
