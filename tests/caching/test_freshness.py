"""aimirror.caching.freshness: RFC 9111 section 4.2, RFC 9213 section 2.2, RFC 8246."""

import hashlib

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.directives import LONGEST
from aimirror.caching.entries import Entry
from aimirror.caching.freshness import (
    HEURISTIC_LONGEST,
    age,
    lifetime,
    must_validate,
    never_stale,
    remaining,
)
from aimirror.http.dates import format_date
from aimirror.http.headers import Headers
from aimirror.routing.policies import CachePolicy

NOW = 1_750_000_000.0
PLAIN = CachePolicy()
RULE = CachePolicy(ttl=300)
FORCED = CachePolicy(ttl=300, negative_ttl=5, ignore_upstream=True)
Fields = dict[str, object]


def headers(fields: Fields) -> Headers:
    """Fields from a table: numbers are dates relative to NOW, lists are several lines."""
    items: list[tuple[str, str]] = []
    for name, value in fields.items():
        for line in value if isinstance(value, list) else [value]:
            items.append((name, format_date(NOW + line) if isinstance(line, int) else str(line)))
    return Headers(items)


#: RFC 9111 section 4.2.1: (status, policy, fields beside Date, seconds).
EXPLICIT: tuple[tuple[int, CachePolicy, Fields, float], ...] = (
    (200, PLAIN, {}, 0),
    (200, PLAIN, {"Cache-Control": "max-age=3600"}, 3600),
    (200, PLAIN, {"Cache-Control": "max-age=0"}, 0),
    (200, PLAIN, {"Cache-Control": "max-age=-3600"}, 0),
    (200, PLAIN, {"Cache-Control": "max-age=a3600"}, 0),
    (200, PLAIN, {"Cache-Control": "max-age=3600a"}, 0),
    (200, PLAIN, {"Cache-Control": "max-age=99999999999"}, LONGEST),
    (200, PLAIN, {"Cache-Control": "max-age=3600", "Expires": -7200}, 3600),
    (200, PLAIN, {"Cache-Control": "max-age=3600", "Expires": "0"}, 3600),
    (200, PLAIN, {"Cache-Control": "max-age=0", "Expires": 3600}, 0),
    (200, PLAIN, {"Cache-Control": "max-age=x", "Expires": 3600}, 0),
    (200, PLAIN, {"Cache-Control": "max-age=x", "Last-Modified": -36000}, 0),
    (200, PLAIN, {"Cache-Control": "s-maxage=3600"}, 3600),
    (200, PLAIN, {"Cache-Control": "max-age=3600, s-maxage=1"}, 1),
    (200, PLAIN, {"Cache-Control": "s-maxage=1, max-age=3600"}, 1),
    (200, PLAIN, {"Cache-Control": ["max-age=3600", "s-maxage=1"]}, 1),
    (200, PLAIN, {"Cache-Control": "max-age=1, s-maxage=3600"}, 3600),
    (200, PLAIN, {"Cache-Control": "max-age=0, s-maxage=3600", "Expires": -10}, 3600),
    (200, PLAIN, {"Cache-Control": "s-maxage=x, max-age=3600"}, 0),
    (200, PLAIN, {"Cache-Control": "max-age=60", "Last-Modified": -36000}, 60),
    (299, PLAIN, {"Cache-Control": "max-age=60"}, 60),
    (302, PLAIN, {"Cache-Control": "max-age=60"}, 60),
    (404, PLAIN, {"Cache-Control": "max-age=60"}, 60),
    (503, PLAIN, {"Cache-Control": "max-age=60"}, 60),
    (599, PLAIN, {"Expires": 60}, 60),
)
#: RFC 9111 section 5.3.
EXPIRES: tuple[tuple[int, CachePolicy, Fields, float], ...] = (
    (200, PLAIN, {"Expires": 3600}, 3600),
    (200, PLAIN, {"Expires": -3600}, 0),
    (200, PLAIN, {"Expires": 0}, 0),
    (200, PLAIN, {"Date": 400, "Expires": 300}, 0),
    (200, PLAIN, {"Date": -100, "Expires": 100}, 200),
    (200, PLAIN, {"Expires": "0"}, 0),
    (200, PLAIN, {"Expires": ""}, 0),
    (200, PLAIN, {"Expires": "-1"}, 0),
    (200, PLAIN, {"Expires": "Thu, 18 Aug 2050 02:01:18 UTC"}, 0),
    (200, PLAIN, {"Expires": "Thu, 18 Aug 50 02:01:18 GMT"}, 0),
    (200, PLAIN, {"Expires": "Thu, 18-Aug-2050 02:01:18 GMT"}, 0),
    (200, PLAIN, {"Expires": "0", "Last-Modified": -36000}, 0),
    (200, RULE, {"Expires": "0"}, 0),
    (200, PLAIN, {"Expires": [3600, 3600]}, 3600),
    (200, PLAIN, {"Expires": [3600, 60]}, 60),
    (200, PLAIN, {"Expires": [3600, "0"]}, 0),
    (200, PLAIN, {"Cache-Control": "public", "Expires": 60}, 60),
)
#: RFC 9111 section 4.2.2, and what a rule says instead.
HEURISTICS: tuple[tuple[int, CachePolicy, Fields, float], ...] = (
    (200, PLAIN, {"Last-Modified": -10000}, 1000),
    (200, PLAIN, {"Last-Modified": -36000000}, HEURISTIC_LONGEST),
    (200, PLAIN, {"Last-Modified": 100}, 0),
    (200, PLAIN, {"Last-Modified": "x"}, 0),
    (200, PLAIN, {"Cache-Control": "public", "Last-Modified": -10000}, 1000),
    (200, PLAIN, {"Pragma": "no-cache", "Last-Modified": -10000}, 0),
    (200, PLAIN, {"Pragma": "unknown", "Last-Modified": -10000}, 1000),
    (200, PLAIN, {"Cache-Control": "public", "Pragma": "no-cache", "Last-Modified": -10000}, 1000),
    (203, PLAIN, {"Last-Modified": -10000}, 1000),
    (204, PLAIN, {"Last-Modified": -10000}, 1000),
    (300, PLAIN, {"Last-Modified": -10000}, 1000),
    (301, PLAIN, {"Last-Modified": -10000}, 1000),
    (308, PLAIN, {"Last-Modified": -10000}, 1000),
    (405, PLAIN, {"Last-Modified": -10000}, 1000),
    (414, PLAIN, {"Last-Modified": -10000}, 1000),
    (501, PLAIN, {"Last-Modified": -10000}, 1000),
    (201, PLAIN, {"Last-Modified": -10000}, 0),
    (202, PLAIN, {"Last-Modified": -10000}, 0),
    (302, PLAIN, {"Last-Modified": -10000}, 0),
    (307, PLAIN, {"Last-Modified": -10000}, 0),
    (400, PLAIN, {"Last-Modified": -10000}, 0),
    (403, PLAIN, {"Last-Modified": -10000}, 0),
    (500, PLAIN, {"Last-Modified": -10000}, 0),
    (502, PLAIN, {"Last-Modified": -10000}, 0),
    (503, PLAIN, {"Last-Modified": -10000}, 0),
    (504, PLAIN, {"Last-Modified": -10000}, 0),
    (599, PLAIN, {"Last-Modified": -10000}, 0),
    (599, PLAIN, {"Cache-Control": "public", "Last-Modified": -10000}, 1000),
    (404, PLAIN, {"Last-Modified": -10000}, 10),
    (404, PLAIN, {}, 10),
    (410, PLAIN, {}, 10),
    (404, CachePolicy(negative_ttl=0), {}, 0),
    (200, RULE, {}, 300),
    (200, RULE, {"Last-Modified": -10000}, 300),
    (301, RULE, {}, 300),
    (200, RULE, {"Cache-Control": "max-age=60"}, 60),
    (404, RULE, {}, 10),
    (302, RULE, {}, 0),
    (501, RULE, {}, 0),
    (500, RULE, {}, 0),
    (200, FORCED, {"Cache-Control": "max-age=60"}, 300),
    (200, FORCED, {"Cache-Control": "no-cache", "Expires": "0"}, 300),
    (404, FORCED, {"Cache-Control": "max-age=60"}, 5),
    (500, FORCED, {}, 0),
    (302, FORCED, {"Cache-Control": "max-age=60"}, 60),
    (200, CachePolicy(ignore_upstream=True), {"Cache-Control": "max-age=60"}, 60),
)
#: RFC 9213 section 2.2.
TARGETED: tuple[tuple[int, CachePolicy, Fields, float], ...] = (
    (200, PLAIN, {"CDN-Cache-Control": "max-age=60"}, 60),
    (200, PLAIN, {"CDN-Cache-Control": "max-age=60", "Expires": -100}, 60),
    (200, PLAIN, {"CDN-Cache-Control": "max-age=60", "Expires": "0"}, 60),
    (200, PLAIN, {"CDN-Cache-Control": "max-age=0", "Expires": 100}, 0),
    (200, PLAIN, {"CDN-Cache-Control": "max-age=60", "Cache-Control": "max-age=1"}, 60),
    (200, PLAIN, {"CDN-Cache-Control": "max-age=1", "Cache-Control": "max-age=60"}, 1),
    (200, PLAIN, {"CDN-Cache-Control": "max-age=9", "Cache-Control": "s-maxage=60"}, 9),
    (200, PLAIN, {"CDN-Cache-Control": "public", "Cache-Control": "max-age=60"}, 0),
    (200, PLAIN, {"CDN-Cache-Control": "public", "Expires": 60}, 0),
    (200, PLAIN, {"CDN-Cache-Control": "&", "Expires": 60}, 60),
)
#: RFC 9111 section 4.2.3: (Date, Age, delay of the answer, time since, age).
AGES: tuple[tuple[object, object, float, float, float], ...] = (
    (0, None, 0, 0, 0),
    (0, None, 0, 30, 30),
    (0, None, 2, 30, 32),
    (0, "100", 0, 30, 130),
    (0, "100", 2, 30, 132),
    (-100, None, 0, 30, 130),
    (-100, None, 2, 30, 130),
    (-100, "50", 0, 30, 130),
    (-100, "150", 0, 30, 180),
    (100, None, 0, 30, 30),
    (100, "15", 0, 30, 45),
    (0, None, 0, -50, 0),
    (0, None, -5, 30, 30),
    ("x", "7", 0, 0, 7),
)
#: RFC 9111 section 5.1: (Age lines, seconds).
AGE_VALUES: tuple[tuple[object, float], ...] = (
    ("0", 0),
    ("7200", 7200),
    ("abc", 0),
    ("-7200", 0),
    ("7200.0", 0),
    ("", 0),
    ("7200,0", 7200),
    ("0,7200", 0),
    (["7200", "0"], 7200),
    (["0", "7200"], 0),
    ("7200, 7200", 7200),
    ("x, 7200", 0),
    ("99999999999999", LONGEST),
)
#: RFC 9111 section 4.2.4: (policy, fields, must be validated first, never served stale).
FORBIDDEN: tuple[tuple[CachePolicy, Fields, bool, bool], ...] = (
    (PLAIN, {}, False, False),
    (PLAIN, {"Cache-Control": "max-age=60"}, False, False),
    (PLAIN, {"Cache-Control": "max-age=60, must-revalidate"}, False, True),
    (PLAIN, {"Cache-Control": "max-age=60, Proxy-Revalidate"}, False, True),
    (PLAIN, {"Cache-Control": "s-maxage=60"}, False, True),
    (PLAIN, {"Cache-Control": "no-cache, max-age=60"}, True, True),
    (PLAIN, {"Cache-Control": 'no-cache="a", max-age=60'}, False, False),
    (PLAIN, {"CDN-Cache-Control": "no-cache", "Cache-Control": "max-age=60"}, True, True),
    (PLAIN, {"CDN-Cache-Control": "max-age=1", "Cache-Control": "no-cache"}, False, False),
    (PLAIN, {"Pragma": "no-cache"}, False, False),
    (CachePolicy(stale_if_error=60), {"Cache-Control": "must-revalidate"}, False, True),
    (FORCED, {"Cache-Control": "must-revalidate, no-cache"}, False, False),
)


def entry(fields: Fields, **attributes: object) -> Entry:
    values: dict[str, object] = {"requested_at": NOW, "received_at": NOW, **attributes}
    return Entry(key="http://u/", headers=headers({"Date": 0, **fields}), **values)  # type: ignore[arg-type]


class FreshnessTests(SynchronousTestCase):
    def check_lifetimes(self, table: tuple[tuple[int, CachePolicy, Fields, float], ...]) -> None:
        for status, policy, fields, seconds in table:
            found = lifetime(status, headers({"Date": 0, **fields}), policy)
            self.assertAlmostEqual(found, seconds, msg=f"{status} {policy} {fields}")

    def test_explicit(self) -> None:
        """The origin's explicit freshness is used by rank; malformed means stale."""
        self.check_lifetimes(EXPLICIT)

    def test_expires(self) -> None:
        """Expires counts from Date, and an invalid one is past."""
        self.check_lifetimes(EXPIRES)

    def test_heuristic(self) -> None:
        """Without explicit freshness only some statuses get a life, from the rule or by age."""
        self.check_lifetimes(HEURISTICS)

    def test_targeted(self) -> None:
        """A targeted field leaves Cache-Control and Expires without a say."""
        self.check_lifetimes(TARGETED)

    def test_age(self) -> None:
        """Age sums up what Date, Age, the delay and our own shelf tell."""
        for date, value, delay, since, expected in AGES:
            fields: Fields = {"Date": date} | ({} if value is None else {"Age": value})
            stored = entry(fields, requested_at=NOW - delay)
            self.assertEqual(age(stored, NOW + since), expected, (date, value, delay, since))

    def test_age_value(self) -> None:
        """The first member of Age counts, and none that is no number."""
        for value, expected in AGE_VALUES:
            self.assertEqual(age(entry({"Age": value}), NOW), expected, value)

    def test_fraction(self) -> None:
        """The fraction of a second that Date can't tell is not age."""
        self.assertEqual(
            age(entry({}, received_at=NOW + 0.9, requested_at=NOW + 0.9), NOW + 0.9), 0
        )

    def test_remaining(self) -> None:
        """What is left is life minus age; an immutable entry's never ends."""
        stored = entry({"Cache-Control": "max-age=60"})
        self.assertEqual(remaining(stored, PLAIN, NOW + 20), 40)
        self.assertEqual(remaining(stored, PLAIN, NOW + 80), -20)
        self.assertEqual(remaining(entry({}, immutable=True), PLAIN, NOW + 1e9), LONGEST)

    def test_nothing(self) -> None:
        """An empty file is asked about again as soon as one that is missing, immutable or not."""
        nothing = hashlib.sha256(b"").hexdigest()
        for more in ({"immutable": True}, {}):
            stored = entry({"Cache-Control": "max-age=600"}, blob=nothing, received_at=NOW, **more)
            self.assertEqual(remaining(stored, FORCED, NOW + 2), 3)
            self.assertEqual(remaining(stored, FORCED, NOW + 20), -15)
        named = f"https://h/blobs/sha256:{nothing}"
        stored = evolve(entry({}, blob=nothing, immutable=True), key=named)
        self.assertEqual(remaining(stored, PLAIN, NOW + 1e9), LONGEST)

    def test_forbidden(self) -> None:
        """What forbids reuse without validation, and reuse when stale, is seen."""
        for policy, fields, first, never in FORBIDDEN:
            stored = entry(fields)
            found = (must_validate(stored, policy), never_stale(stored, policy))
            self.assertEqual(found, (first, never), fields)

    def test_marked(self) -> None:
        """An invalidated entry must be validated, immutable or not, whatever the rule says."""
        for immutable in (False, True):
            stored = entry({}, invalidated=True, immutable=immutable)
            self.assertTrue(must_validate(stored, FORCED) and never_stale(stored, FORCED))
        self.assertFalse(never_stale(entry({"Cache-Control": "no-cache"}, immutable=True), PLAIN))
