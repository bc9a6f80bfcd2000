"""aimirror.caching.reuse: RFC 9111 sections 4, 4.2.4, 5.2.1; RFC 5861; RFC 8246."""

from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.caching.reuse import (
    Decision,
    Forward,
    Fresh,
    Miss,
    StaleWhileRevalidate,
    Unavailable,
    Validate,
    decide,
    on_error,
)
from aimirror.caching.variants import variant
from aimirror.http.dates import format_date
from aimirror.http.headers import Headers
from aimirror.routing.policies import CachePolicy

NOW = 1_750_000_000.0
PLAIN = CachePolicy()
#: What a test calls the decisions.
FRESH, SWR, STALE, REQUEST, MISS, VARY, GONE, METHOD = (
    "fresh",
    "swr",
    "validate stale",
    "validate request",
    "miss",
    "vary miss",
    "unavailable",
    "method",
)
#: RFC 9111 section 5.2.1 and 5.4, on an entry of max-age=100 that is 40 or (150) seconds old:
#: (request Cache-Control, decision when fresh, decision when stale).
WISHES = (
    ("", FRESH, STALE),
    ("no-cache", REQUEST, STALE),
    ("No-Cache", REQUEST, STALE),
    ("no-store", FRESH, STALE),
    ("max-age=0", REQUEST, STALE),
    ("max-age=39", REQUEST, STALE),
    ("max-age=40", FRESH, STALE),
    ("max-age=1000", FRESH, STALE),
    ("max-age=x", REQUEST, STALE),
    ('max-age="0"', REQUEST, STALE),
    ("min-fresh=60", FRESH, STALE),
    ("min-fresh=61", REQUEST, STALE),
    ("min-fresh=x", FRESH, STALE),
    ("max-stale", FRESH, SWR),
    ("max-stale=50", FRESH, SWR),
    ("max-stale=49", FRESH, STALE),
    ("max-stale=x", FRESH, STALE),
    ("max-stale=0", FRESH, STALE),
    ("max-age=0, max-stale", REQUEST, STALE),
    ("max-age=200, max-stale", FRESH, SWR),
    ("min-fresh=10, max-stale", FRESH, STALE),
    ("no-cache, max-stale", REQUEST, STALE),
    ("only-if-cached", FRESH, GONE),
    ("only-if-cached, max-stale", FRESH, SWR),
    ("only-if-cached, no-cache", GONE, GONE),
    ("only-if-cached, max-age=0", GONE, GONE),
    ("unheard-of=1", FRESH, STALE),
)
#: The same when the client's wishes are not obeyed.
DISOBEYED = (
    ("no-cache", FRESH, STALE),
    ("max-age=0", FRESH, STALE),
    ("min-fresh=1000", FRESH, STALE),
    ("max-stale", FRESH, SWR),
    ("no-cache, max-stale", FRESH, SWR),
    ("only-if-cached", FRESH, GONE),
    ("only-if-cached, no-cache", FRESH, GONE),
)
#: RFC 9111 sections 4 and 4.2.4, RFC 5861 section 3:
#: (response Cache-Control, policy, age, decision).
RESPONSES = (
    ("max-age=100", PLAIN, 99, FRESH),
    ("max-age=100", PLAIN, 100, STALE),
    ("max-age=100, no-cache", PLAIN, 0, STALE),
    ('max-age=100, no-cache="a"', PLAIN, 0, FRESH),
    ("max-age=100, must-revalidate", PLAIN, 0, FRESH),
    ("max-age=100, must-revalidate", PLAIN, 100, STALE),
    ("max-age=100, immutable", PLAIN, 50, FRESH),
    ("max-age=100, immutable", PLAIN, 100, STALE),
    ("max-age=100, stale-while-revalidate=50", PLAIN, 99, FRESH),
    ("max-age=100, stale-while-revalidate=50", PLAIN, 100, SWR),
    ("max-age=100, stale-while-revalidate=50", PLAIN, 150, SWR),
    ("max-age=100, stale-while-revalidate=50", PLAIN, 151, STALE),
    ("max-age=0, stale-while-revalidate=3600", PLAIN, 0, SWR),
    ("max-age=100, stale-while-revalidate=x", PLAIN, 100, STALE),
    ("max-age=100, stale-while-revalidate=0", PLAIN, 100, STALE),
    ("max-age=100, stale-while-revalidate=50, must-revalidate", PLAIN, 101, STALE),
    ("max-age=100, stale-while-revalidate=50, proxy-revalidate", PLAIN, 101, STALE),
    ("s-maxage=100, stale-while-revalidate=50", PLAIN, 101, STALE),
    ("max-age=100, stale-while-revalidate=50, no-cache", PLAIN, 101, STALE),
    ("max-age=100", CachePolicy(stale_while_revalidate=50), 120, SWR),
    ("max-age=100", CachePolicy(stale_while_revalidate=50), 151, STALE),
    ("max-age=100, stale-while-revalidate=10", CachePolicy(stale_while_revalidate=50), 120, STALE),
    ("max-age=100, must-revalidate", CachePolicy(stale_while_revalidate=50), 120, STALE),
    (
        "no-cache, must-revalidate, stale-while-revalidate=1",
        CachePolicy(ttl=100, stale_while_revalidate=50, ignore_upstream=True),
        120,
        SWR,
    ),
    ("no-cache", CachePolicy(ttl=100, ignore_upstream=True), 50, FRESH),
    ("", CachePolicy(ttl=100), 50, FRESH),
    ("", PLAIN, 0, STALE),
)
#: RFC 5861 section 4, RFC 9111 section 4.2.4, for an outage:
#: (response Cache-Control, policy, request Cache-Control, age, whether it may be served).
WEEK = CachePolicy(stale_if_error=604800)
FORCED = CachePolicy(stale_if_error=604800, ignore_upstream=True)
OUTAGES = (
    ("max-age=100", PLAIN, "", 50, True),
    ("max-age=100", PLAIN, "no-cache", 50, True),
    ("max-age=100", PLAIN, "", 101, False),
    ("max-age=100, stale-if-error=60", PLAIN, "", 160, True),
    ("max-age=100, stale-if-error=60", PLAIN, "", 161, False),
    ("max-age=0, stale-if-error=1", PLAIN, "", 3, False),
    ("max-age=100, stale-if-error=x", PLAIN, "", 101, False),
    ("max-age=100, stale-if-error=60, must-revalidate", PLAIN, "", 101, False),
    ("max-age=100, stale-if-error=60, proxy-revalidate", PLAIN, "", 101, False),
    ("s-maxage=100, stale-if-error=60", PLAIN, "", 101, False),
    ("max-age=100, stale-if-error=60, no-cache", PLAIN, "", 101, False),
    ("max-age=100, no-cache", WEEK, "", 50, False),
    ("max-age=100", WEEK, "", 600000, True),
    ("max-age=100", WEEK, "", 700000, False),
    ("", WEEK, "", 600000, True),
    ("max-age=100, must-revalidate", WEEK, "", 101, False),
    ("max-age=100, proxy-revalidate", WEEK, "", 101, False),
    ("s-maxage=100", WEEK, "", 101, False),
    ("no-cache", WEEK, "", 101, False),
    ("max-age=0, stale-if-error=1", WEEK, "", 3, False),
    ("max-age=100, must-revalidate", FORCED, "", 600000, True),
    ("s-maxage=100", FORCED, "", 600000, True),
    ("no-cache", FORCED, "", 600000, True),
    ("max-age=0, stale-if-error=1", FORCED, "", 600000, True),
    ("s-maxage=100", FORCED, "", 700000, False),
    ("max-age=0", PLAIN, "stale-if-error=60", 60, True),
    ("max-age=0", PLAIN, "stale-if-error=60", 61, False),
    ("max-age=0", WEEK, "stale-if-error=1", 3, False),
    ("max-age=0, stale-if-error=60", PLAIN, "stale-if-error=600", 61, False),
    ("max-age=0, must-revalidate", PLAIN, "stale-if-error=60", 10, False),
)
#: RFC 5861 section 4: (status of the upstream's answer, whether it is a failure).
FAILURES = (
    (None, True),
    (500, True),
    (502, True),
    (503, True),
    (504, True),
    (522, True),
    (429, True),
    (200, False),
    (304, False),
    (400, False),
    (401, False),
    (403, False),
    (404, False),
    (410, False),
    (499, False),
    (600, False),
)


def entry(control: str = "max-age=100", status: int = 200, **attributes: object) -> Entry:
    fields = [("Date", format_date(NOW)), ("Cache-Control", control), ("ETag", '"a"')]
    values: dict[str, object] = {"requested_at": NOW, "received_at": NOW, **attributes}
    return Entry(key="u", status=status, headers=Headers(fields), **values)  # type: ignore[arg-type]


def request(control: str) -> Headers:
    return Headers([("Cache-Control", control)] if control else [])


def named(decision: Decision) -> str:
    match decision:
        case Fresh():
            return FRESH
        case StaleWhileRevalidate():
            return SWR
        case Validate(forward=Forward.STALE):
            return STALE
        case Validate(forward=Forward.REQUEST):
            return REQUEST
        case Miss(Forward.URI_MISS):
            return MISS
        case Miss(Forward.VARY_MISS):
            return VARY
        case Miss(Forward.METHOD):
            return METHOD
        case Unavailable():
            return GONE
    raise AssertionError(decision)


class DecideTests(SynchronousTestCase):
    def test_wishes(self) -> None:
        """What a client asks for is weighed against the entry's age and life."""
        for control, fresh, stale in WISHES:
            for age, expected in ((40, fresh), (150, stale)):
                found = named(decide("GET", request(control), [entry()], PLAIN, NOW + age))
                self.assertEqual(found, expected, (control, age))

    def test_disobeyed(self) -> None:
        """A rule may leave wishes unheard, but not those that spare the upstream."""
        for control, fresh, stale in DISOBEYED:
            for age, expected in ((40, fresh), (150, stale)):
                found = decide(
                    "GET", request(control), [entry()], PLAIN, NOW + age, obey_client=False
                )
                self.assertEqual(named(found), expected, (control, age))

    def test_responses(self) -> None:
        """What the origin said, and the rule after it, decides on reuse."""
        for control, policy, age, expected in RESPONSES:
            found = named(decide("GET", Headers(), [entry(control)], policy, NOW + age))
            self.assertEqual(found, expected, (control, policy, age))

    def test_forbidden_max_stale(self) -> None:
        """max-stale does not lift what the origin forbids."""
        for control in ("must-revalidate", "proxy-revalidate", "s-maxage=1", "no-cache"):
            stored = entry(f"max-age=1, {control}")
            found = named(decide("GET", request("max-stale"), [stored], PLAIN, NOW + 10))
            self.assertEqual(found, STALE, control)

    def test_pragma(self) -> None:
        """Pragma: no-cache asks for validation when there is no Cache-Control."""
        for items, expected in (
            ([("Pragma", "no-cache")], REQUEST),
            ([("Pragma", "x")], FRESH),
            ([("Pragma", "no-cache"), ("Cache-Control", "max-stale=1")], FRESH),
        ):
            found = named(decide("GET", Headers(items), [entry()], PLAIN, NOW))
            self.assertEqual(found, expected, items)

    def test_reload_of_immutable(self) -> None:
        """A reload does not ask about a fresh immutable response, a forced one does."""
        stored = entry("max-age=100, immutable")
        for control, age, expected in (
            ("max-age=0", 50, FRESH),
            ("no-cache", 50, REQUEST),
            ("max-age=0", 100, STALE),
        ):
            found = named(decide("GET", request(control), [stored], PLAIN, NOW + age))
            self.assertEqual(found, expected, (control, age))

    def test_immutable_entry(self) -> None:
        """An entry that is immutable by its name is always fresh, unless it was invalidated."""
        for control in ("", "no-cache", "max-age=0", "only-if-cached", "min-fresh=999999999999"):
            stored = entry("no-cache", immutable=True)
            found = named(decide("GET", request(control), [stored], PLAIN, NOW + 1e9))
            self.assertEqual(found, FRESH, control)
        marked = entry(immutable=True, invalidated=True)
        self.assertEqual(named(decide("GET", Headers(), [marked], PLAIN, NOW)), STALE)

    def test_invalidated(self) -> None:
        """An invalidated entry is validated, however fresh, and never served stale."""
        stored = entry("max-age=100, stale-while-revalidate=100", invalidated=True)
        for age in (0, 150):
            found = named(decide("GET", request("max-stale"), [stored], PLAIN, NOW + age))
            self.assertEqual(found, STALE)

    def test_negative(self) -> None:
        """A rule's stale_while_revalidate is not for errors."""
        policy = CachePolicy(stale_while_revalidate=1000)
        for status, expected in ((200, SWR), (404, STALE), (410, STALE)):
            found = named(decide("GET", Headers(), [entry(status=status)], policy, NOW + 150))
            self.assertEqual(found, expected, status)

    def test_methods(self) -> None:
        """HEAD is answered from a stored GET, any other method is forwarded."""
        for method, expected in (
            ("GET", FRESH),
            ("HEAD", FRESH),
            ("POST", METHOD),
            ("get", METHOD),
        ):
            found = named(decide(method, Headers(), [entry()], PLAIN, NOW))
            self.assertEqual(found, expected, method)

    def test_range(self) -> None:
        """A range is answered from the complete entry."""
        asked = Headers([("Range", "bytes=0-1"), ("If-Range", '"a"')])
        self.assertEqual(named(decide("GET", asked, [entry()], PLAIN, NOW)), FRESH)

    def test_cookie(self) -> None:
        """A cookie or credential in the request does not keep a shared entry from being used."""
        asked = Headers([("Cookie", "a=b"), ("Authorization", "x")])
        self.assertEqual(named(decide("GET", asked, [entry()], PLAIN, NOW)), FRESH)

    def test_misses(self) -> None:
        """Nothing stored, another variant and another's entry are misses, 504 if only cached."""
        found = variant(["Foo"], Headers([("Foo", "1")]))
        assert found is not None
        other = Entry(key="u", variant=found[0], headers=Headers([("Vary", "Foo")]))
        for entries, expected in (
            ([], MISS),
            ([other], VARY),
            ([entry(scope="theirs")], MISS),
        ):
            self.assertEqual(named(decide("GET", Headers(), entries, PLAIN, NOW)), expected)
            asked = request("only-if-cached")
            self.assertEqual(named(decide("GET", asked, entries, PLAIN, NOW)), GONE)

    def test_scope(self) -> None:
        """With a scope its entry is used."""
        stored = entry(scope="mine")
        found = decide("GET", Headers(), [stored], PLAIN, NOW, scope="mine")
        self.assertEqual(found, Fresh(stored))

    def test_conditional(self) -> None:
        """Validation carries the entry's validators, and none where it has none."""
        found = decide("GET", Headers(), [entry()], PLAIN, NOW + 150)
        assert isinstance(found, Validate)
        self.assertEqual(found.conditional, Headers([("If-None-Match", '"a"')]))
        found = decide("GET", Headers(), [entry(status=404)], PLAIN, NOW + 150)
        assert isinstance(found, Validate)
        self.assertEqual(found.conditional, Headers())


class OnErrorTests(SynchronousTestCase):
    def test_outages(self) -> None:
        """A stale entry stands in as long as origin, rule and client allow it."""
        for control, policy, asked, age, expected in OUTAGES:
            for status in (None, 503):
                found = on_error(entry(control), status, policy, NOW + age, request(asked))
                self.assertEqual(found, expected, (control, policy, asked, age))

    def test_failures(self) -> None:
        """No answer, 429 and 5xx are failures; any other answer is the truth."""
        for status, expected in FAILURES:
            self.assertEqual(
                on_error(entry(), status, WEEK, NOW + 150, Headers()), expected, status
            )

    def test_negative(self) -> None:
        """A remembered 404 stands in, too: offline, an optional file must stay absent."""
        stored = entry("", status=404)
        self.assertTrue(on_error(stored, None, WEEK, NOW + 1000, Headers()))

    def test_stored_failure(self) -> None:
        """A stored failure stands in for a new one only while it is fresh."""
        for status in (429, 500, 503):
            stored = entry("max-age=100", status=status)
            self.assertTrue(on_error(stored, 503, WEEK, NOW + 50, Headers()))
            self.assertFalse(on_error(stored, 503, WEEK, NOW + 150, Headers()))

    def test_immutable(self) -> None:
        """An immutable entry stands in for ever, an invalidated one never."""
        self.assertTrue(
            on_error(entry("no-cache", immutable=True), None, PLAIN, NOW + 1e9, Headers())
        )
        for immutable in (False, True):
            marked = entry(immutable=immutable, invalidated=True)
            self.assertFalse(on_error(marked, None, FORCED, NOW, Headers()))
