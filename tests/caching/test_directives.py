"""aimirror.caching.directives: RFC 9111 sections 1.2.2, 5.2, 5.4 and RFC 9213."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching import directives
from aimirror.caching.directives import (
    LONGEST,
    Directives,
    delta_seconds,
    request_directives,
    response_directives,
    split_members,
)
from aimirror.http.headers import Headers

#: RFC 9111 section 1.2.2: (text, seconds).
DELTAS = (
    ("0", 0),
    ("60", 60),
    ("003600", 3600),
    ("2147483647", 2147483647),
    ("2147483648", LONGEST),
    ("2147483649", LONGEST),
    ("99999999999", LONGEST),
    ("9" * 5000, LONGEST),
    ("0" * 5000, 0),
    ("", None),
    (" 1", None),
    ("-1", None),
    ("+1", None),
    ("1.0", None),
    ("1.5", None),
    ("1e3", None),
    ("a1", None),
    ("1a", None),
    ("'1'", None),
    ("٣", None),
    (None, None),
)
#: RFC 9111 section 5.2: (field value, directive, seconds).
SECONDS = (
    ("max-age=60", "max-age", 60),
    ("MaX-aGe=60", "max-age", 60),
    ('max-age="60"', "max-age", 60),
    ("max-age='60'", "max-age", 0),
    ("max-age =60", "max-age", 0),
    ("max-age= 60", "max-age", 0),
    ("max-age", "max-age", 0),
    ("max-age=", "max-age", 0),
    ("max-age=-1", "max-age", 0),
    ("max-age=60.0", "max-age", 0),
    ("max-age=60a", "max-age", 0),
    ("max-age:60", "max-age", None),
    ("public", "max-age", None),
    ("max-age=1800, max-age=1", "max-age", 1),
    ("max-age=1, max-age=1800", "max-age", 1),
    ("max-age=60, max-age=x", "max-age", 0),
    ('ext="max-age=100", max-age=1', "max-age", 1),
    ('max-age=1, ext="max-age=100"', "max-age", 1),
    ('ext="max-age=100"', "max-age", None),
    ('ext="a\\", max-age=100"', "max-age", None),
    ("foobar, max-age=60", "max-age", 60),
    ("foo=bar;max-age=60", "max-age", None),
    (", ,max-age=60,,", "max-age", 60),
    ("s-maxage=5,max-age=60", "s-maxage", 5),
    ("x-max-age=60", "max-age", None),
    ('ext="open, max-age=60', "max-age", 60),
)
#: RFC 9111 sections 5.2.2.4 and 5.2.2.7: (field value, directive, whole, fields).
QUALIFIED = (
    ("no-cache", "no-cache", True, ()),
    ("No-CaChE", "no-cache", True, ()),
    ('no-cache="a"', "no-cache", False, ("a",)),
    ('no-cache="A, b"', "no-cache", False, ("a", "b")),
    ("no-cache=a", "no-cache", False, ("a",)),
    ('no-cache="a", no-cache', "no-cache", True, ("a",)),
    ('no-cache=""', "no-cache", True, ()),
    ("no-cache=", "no-cache", True, ()),
    ('no-cache="a b"', "no-cache", True, ()),
    ('no-cache="a', "no-cache", True, ()),
    ('private="set-cookie"', "private", False, ("set-cookie",)),
    ('private="a", private="b"', "private", False, ("a", "b")),
    ("private", "private", True, ()),
    ("public", "private", False, ()),
)
#: RFC 9213: (CDN-Cache-Control, Cache-Control, whether targeted, max-age).
TARGETED = (
    ("max-age=60", "max-age=1", True, 60),
    ("max-age=0", "max-age=60", True, 0),
    ("max-age=-5", "max-age=60", True, 0),
    ("max-age=99999999999", "", True, LONGEST),
    ("foobar, max-age=60", "", True, 60),
    ("foo", "max-age=60", True, None),
    ("max-age=60;x=1", "", True, 60),
    ("max-age=1, max-age=60", "", True, 60),
    ("no-store=?0, max-age=60", "", True, 60),
    ('private="a", max-age=60', "", True, 60),
    ("private=a, max-age=60", "", True, 60),
    ("", "max-age=60", False, 60),
    ("max-age=10, &&&", "max-age=60", False, 60),
    ('max-age="10"', "max-age=60", False, 60),
    ("max-age=10.0", "max-age=60", False, 60),
    ("max-age", "max-age=60", False, 60),
    ("max-age =10", "max-age=60", False, 60),
    ("MaX-aGe=10", "max-age=60", False, 60),
    ("no-store=1", "max-age=60", False, 60),
    ("no-cache=1", "max-age=60", False, 60),
    ("max-age=10,", "max-age=60", False, 60),
)
#: RFC 9111 section 5.4: (Cache-Control, Pragma, whether no-cache is asked).
PRAGMAS = (
    (None, "no-cache", True),
    (None, "No-Cache", True),
    (None, "x, no-cache", True),
    (None, "unknown", False),
    ("max-age=60", "no-cache", False),
    ("no-cache", None, True),
    (None, None, False),
)


def control(text: str) -> Directives:
    return response_directives(Headers([("Cache-Control", text)]))


class DirectiveTests(SynchronousTestCase):
    def test_delta_seconds(self) -> None:
        """Whole seconds are read and capped, anything else is no number."""
        for text, expected in DELTAS:
            self.assertEqual(delta_seconds(text), expected, text)

    def test_seconds(self) -> None:
        """Of several values the smallest counts, and a malformed one counts as 0."""
        for text, name, expected in SECONDS:
            self.assertEqual(control(text).seconds(name), expected, text)

    def test_qualified(self) -> None:
        """A list of fields narrows no-cache and private; what is no list narrows nothing."""
        for text, name, whole, fields in QUALIFIED:
            found = control(text)
            self.assertEqual((found.whole(name), found.fields(name)), (whole, fields), text)

    def test_targeted(self) -> None:
        """A valid CDN-Cache-Control replaces Cache-Control, an invalid one is as if absent."""
        for targeted, plain, expected, max_age in TARGETED:
            found = response_directives(
                Headers([("CDN-Cache-Control", targeted), ("Cache-Control", plain)])
            )
            self.assertEqual(
                (found.targeted, found.seconds("max-age")), (expected, max_age), targeted
            )

    def test_pragma(self) -> None:
        """Pragma counts in a request, and only without Cache-Control."""
        for plain, pragma, expected in PRAGMAS:
            items = [("Cache-Control", plain), ("Pragma", pragma)]
            request = Headers([(name, value) for name, value in items if value is not None])
            self.assertEqual("no-cache" in request_directives(request), expected, items)

    def test_lines(self) -> None:
        """Several field lines are one list."""
        found = response_directives(
            Headers([("Cache-Control", "max-age=60"), ("cache-control", "no-store, max-age=5")])
        )
        self.assertEqual((found.seconds("max-age"), "no-store" in found), (5, True))

    def test_bare(self) -> None:
        """Only a directive without any value is bare."""
        self.assertTrue(control("max-stale").bare("max-stale"))
        self.assertFalse(control("max-stale=5, max-stale").bare("max-stale"))
        self.assertFalse(control("").bare("max-stale"))

    def test_many(self) -> None:
        """A field as long as a head may be costs little time, and is not kept in memory."""
        kept = directives._remembered.cache_info().currsize
        targeted = directives._targeted_remembered.cache_info().currsize
        started = time.process_time()
        for field in ("Cache-Control", "CDN-Cache-Control"):
            response_directives(Headers([(field, "a," * 30_000 + "a")]))
        self.assertLess(time.process_time() - started, 1.0)
        self.assertEqual(directives._remembered.cache_info().currsize, kept)
        self.assertEqual(directives._targeted_remembered.cache_info().currsize, targeted)

    @given(st.text(alphabet='ab=," \\\t', max_size=40))
    @settings(max_examples=100, deadline=None)
    def test_split_keeps_characters(self, text: str) -> None:
        """Splitting loses nothing but separators and blanks."""
        members = split_members(text)
        kept = "".join("".join(members).split())
        outside = text.count(",") - "".join(members).count(",")
        self.assertEqual(outside, len(members) - 1)
        self.assertEqual(kept.replace(",", ""), "".join(text.split()).replace(",", ""))
