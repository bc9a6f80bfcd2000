"""aimirror.caching.caching: whole exchanges between clients, the cache and a scripted origin.

The cases are behaviours that a public suite for HTTP caches looks at, as requirement ("must") or
as what an optimal cache does ("best"); each plays a few exchanges on a cache made of nothing but
the decisions.
"""

from collections.abc import Mapping
from types import MappingProxyType

from attrs import define, evolve, field, frozen
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.caching import (
    Fresh,
    Miss,
    StaleWhileRevalidate,
    Unavailable,
    Validate,
    confirms,
    decide,
    freshen,
    head_updates,
    invalidated,
    on_error,
    prepare,
    serve,
    storable,
    variant,
)
from aimirror.caching.entries import Entry
from aimirror.http.dates import format_date
from aimirror.http.headers import Headers
from aimirror.routing.policies import CachePolicy

NOW = 1_750_000_000.0
URL = "http://origin.example/case"
#: Values: text, seconds relative to the time of the answer (a date), or several lines.
Value = str | int | tuple[str | int, ...]
Fields = Mapping[str, Value]
NONE: Fields = MappingProxyType({})
PLAIN = CachePolicy()
WEEK = CachePolicy(stale_if_error=604800)


@frozen
class Step:
    """One exchange: what the client sends, what the origin would answer, what must come of it."""

    #: cached, fetched, validated (by a 304), stale (in place of a failure), failed, gone (504).
    expected: str
    answer: Fields = NONE
    request: Fields = NONE
    status: int = 200
    method: str = "GET"
    down: bool = False
    path: str = URL
    #: Seconds that pass before it.
    wait: float = 3.0
    has: Mapping[str, str] = MappingProxyType({})
    lacks: tuple[str, ...] = ()


def lines(fields: Fields, now: float) -> Headers:
    items: list[tuple[str, str]] = []
    for name, value in fields.items():
        for one in value if isinstance(value, tuple) else (value,):
            items.append((name, format_date(now + one) if isinstance(one, int) else one))
    return Headers(items)


@define
class Cache:
    """The least cache that the decisions make, and the origin behind it."""

    policy: CachePolicy = PLAIN
    now: float = NOW
    entries: dict[str, list[Entry]] = field(factory=dict)

    def play(self, step: Step) -> tuple[str, Headers]:
        self.now += step.wait
        request = lines(step.request, self.now)
        stored = self.entries.get(step.path, [])
        match decide(step.method, request, stored, self.policy, self.now, scope=_scope(request)):
            case Unavailable():
                return "gone", Headers()
            case Fresh(entry):
                return "cached", serve(entry, self.now)
            case StaleWhileRevalidate(entry, conditional):
                served = serve(entry, self.now)
                self._ask(step, request, entry, conditional)
                return "cached", served
            case Validate(entry, conditional):
                return self._ask(step, request, entry, conditional)
            case Miss():
                return self._ask(step, request, None, Headers())
        raise AssertionError(step)

    def _ask(
        self, step: Step, request: Headers, entry: Entry | None, conditional: Headers
    ) -> tuple[str, Headers]:
        answer = lines(step.answer, self.now)
        status = None if step.down else step.status
        if entry is not None and on_error(entry, status, self.policy, self.now, request):
            return "stale", serve(entry, self.now)
        if status is None:
            return "failed", Headers()
        for name, ours in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")):
            same = name in conditional and answer.get(ours, "-") in (conditional.get(name), "-")
            if entry is not None and same and step.status == 200 and confirms(entry, answer):
                updated = freshen(entry, answer, self.now, self.now)
                self._replace(entry, updated)
                return "validated", serve(updated, self.now)
        if step.method == "HEAD" and entry is not None and step.status == 200:
            self._replace(entry, head_updates(entry, answer, self.now, self.now))
        for url in invalidated(step.method, step.status, step.path, answer):
            self.entries[url] = [evolve(e, invalidated=True) for e in self.entries.get(url, [])]
        self._store(step, request, answer)
        return "fetched", answer

    def _store(self, step: Step, request: Headers, answer: Headers) -> None:
        verdict = storable(step.method, request, step.status, answer, self.policy)
        found = variant(answer.get_all("Vary"), request)
        if not verdict.store or found is None:
            return
        entry = Entry(
            key=step.path,
            scope="" if verdict.public else _scope(request),
            variant=found[0],
            status=step.status,
            headers=prepare(answer, self.now),
            requested_at=self.now,
            received_at=self.now,
        )
        kept = [e for e in self.entries.get(step.path, []) if _slot(e) != _slot(entry)]
        self.entries[step.path] = [*kept, entry]

    def _replace(self, old: Entry, new: Entry | None) -> None:
        self.entries[old.key] = [e for e in self.entries[old.key] if e is not old]
        self.entries[old.key].append(evolve(old, invalidated=True) if new is None else new)


def _scope(request: Headers) -> str:
    return request.get("Authorization", "") or ""


def _slot(entry: Entry) -> tuple[str, str]:
    return entry.scope, entry.variant


def twice(
    expected: str, fields: Fields, status: int = 200, then: Fields = NONE, wait: float = 3.0
) -> tuple[Step, ...]:
    """The usual case: fetch, wait, ask again."""
    return (
        Step("fetched", fields, status=status),
        Step(expected, fields, then, status=status, wait=wait),
    )


LIVE: Fields = {"Cache-Control": "max-age=100000", "Last-Modified": 0, "Date": 0}
LATER = "Thu, 18 Aug 2050 02:01:18 GMT"
LM = "Wed, 01 Jan 2020 00:00:00 GMT"
Cases = dict[str, tuple[Step, ...]]


def control(text: Value, **more: Value) -> Fields:
    return {"Cache-Control": text, **{name.replace("_", "-"): v for name, v in more.items()}}


def varied(
    expected: str, vary: Value, first: Fields, second: Fields, **more: Value
) -> tuple[Step, ...]:
    fields = control("max-age=5000", Vary=vary, **more)
    return (Step("fetched", fields, first), Step(expected, fields, second))


FRESHNESS_MUST: Cases = {
    "nothing known": twice("fetched", {}),
    "max-age=0": twice("fetched", control("max-age=0")),
    "became stale": twice("fetched", control("max-age=2")),
    "Age beyond": twice("fetched", control("max-age=3600", Date=0, Age="7200")),
    "max-age=0 and Expires": twice("fetched", control("max-age=0", Expires=3600, Date=0)),
    "negative": twice("fetched", control("max-age=-3600")),
    "s-maxage shorter": twice("fetched", control("max-age=3600, s-maxage=1")),
    "s-maxage shorter, reversed": twice("fetched", control("s-maxage=1, max-age=3600")),
    "s-maxage shorter, lines": twice("fetched", control(("max-age=3600", "s-maxage=1"))),
    "quoted before": twice("fetched", control('extension="max-age=3600", max-age=1')),
    "quoted after": twice("fetched", control('max-age=1, extension="max-age=3600"')),
    "single quotes": twice("fetched", control("max-age='3600'")),
    "Expires past": twice("fetched", {"Expires": -2592000, "Date": 0}),
    "Expires now": twice("fetched", {"Expires": 0, "Date": 0}),
    "Expires before fast Date": twice("fetched", {"Expires": 300, "Date": 400}),
    "Expires 0": twice("fetched", {"Expires": "0", "Date": 0}),
    "Expires, slow Date, Age": twice("fetched", {"Date": -10, "Expires": 10, "Age": "25"}, wait=0),
    "Expires, fast Date, Age": twice("fetched", {"Date": 10, "Expires": 20, "Age": "15"}, wait=0),
    **{
        f"stale {status}": twice(
            "fetched", {"Expires": -5000, "Last-Modified": -100000, "Date": 0}, status
        )
        for status in (203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502)
    },
    **{
        f"heuristic {status}": twice("fetched", {"Last-Modified": -86400, "Date": 0}, status)
        for status in (201, 202, 403, 502, 503, 504, 599)
    },
    "stale 200": twice("validated", {"Expires": -5000, "Last-Modified": LM, "Date": 0}),
}
FRESHNESS_BEST: Cases = {
    "max-age": twice("cached", control("max-age=3600")),
    "2^31-1": twice("cached", control("max-age=2147483647")),
    "2^31": twice("cached", control("max-age=2147483648")),
    "2^31+1": twice("cached", control("max-age=2147483649")),
    "more": twice("cached", control("max-age=99999999999")),
    "Expires past": twice("cached", control("max-age=3600", Expires=-7200, Date=0)),
    "Expires invalid": twice("cached", control("max-age=3600", Expires="0", Date=0)),
    "extension": twice("cached", control("foobar, max-age=3600")),
    "case": twice("cached", control("MaX-aGe=3600")),
    "leading zero": twice("cached", control("max-age=003600")),
    "s-maxage": twice("cached", control("s-maxage=3600")),
    "s-maxage longer": twice("cached", control("max-age=1, s-maxage=3600")),
    "s-maxage, Expires": twice("cached", control("max-age=0, s-maxage=3600", Expires=-10)),
    "Expires": twice("cached", {"Expires": 2592000, "Date": 0}),
    "Expires in 2050": twice("cached", {"Expires": LATER, "Date": 0}),
    "Expires, Date invalid": twice("cached", {"Expires": 10, "Date": "foo"}),
    **{
        f"fresh {status}": twice("cached", control("max-age=9999", Expires=9999, Date=0), status)
        for status in (200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499)
    },
    **{
        f"fresh {status}": twice("cached", control("max-age=9999", Date=0), status)
        for status in (500, 502, 503, 504, 599)
    },
    **{
        f"heuristic {status}": twice("cached", {"Last-Modified": -86400, "Date": 0}, status)
        for status in (200, 203, 204, 404, 405, 410, 414, 501)
    },
    "heuristic public": twice(
        "cached", control("public", Last_Modified=-86400, Date=0), status=599
    ),
}
DIRECTIVES_MUST: Cases = {
    "private": twice("fetched", control("private, max-age=3600")),
    "no-store": twice("fetched", control("no-store")),
    "no-store case": twice("fetched", control("No-StOrE")),
    "no-store fresh": twice("fetched", control("max-age=10000, no-store", Expires=10000)),
    "no-cache": twice("fetched", control("max-age=10000, no-cache", Expires=10000)),
    "no-cache case": twice("fetched", control("max-age=10000, No-CaChE", Expires=10000)),
    "must-revalidate": (
        Step("fetched", control("max-age=2, must-revalidate", ETag='"a"')),
        Step("cached", wait=0),
        Step("validated", control("max-age=2, must-revalidate", ETag='"a"')),
    ),
    "must-understand 599": twice("fetched", control("max-age=9, no-store, must-understand"), 599),
    "Authorization": (
        Step("fetched", {"Expires": 2592000, "Date": 0}, {"Authorization": "FOO"}),
        Step("fetched"),
    ),
    "Authorization, other": (
        Step("fetched", {"Expires": 2592000, "Date": 0}, {"Authorization": "FOO"}),
        Step("fetched", {}, {"Authorization": "BAR"}),
    ),
    "other query": (Step("fetched", LIVE), Step("fetched", LIVE, path=URL + "?a")),
}
DIRECTIVES_BEST: Cases = {
    "no-cache, ETag": twice("validated", control("no-cache", ETag='"abcd"')),
    "no-cache, fresh": twice("validated", control("max-age=10000, no-cache", ETag='"abcd"')),
    "must-revalidate": twice("cached", control("max-age=10000, must-revalidate", ETag='"a"')),
    "must-understand": twice("cached", control("max-age=3600, no-store, must-understand")),
    "Cookie": twice("cached", LIVE, then={"Cookie": "a=b"}),
    "Set-Cookie, public": twice("cached", control("max-age=60, public", Set_Cookie="a=b")),
    "Authorization, public": (
        Step("fetched", control("max-age=60, public"), {"Authorization": "FOO"}),
        Step("cached"),
    ),
    **{
        f"Authorization, {word}": (
            Step("fetched", control(word), {"Authorization": "FOO"}),
            Step("fetched"),
        )
        for word in ("max-age=60, must-revalidate", "s-maxage=3600")
    },
    "Authorization, own": (
        Step("fetched", control("max-age=60"), {"Authorization": "FOO"}),
        Step("cached", {}, {"Authorization": "FOO"}),
    ),
    "no-cache field": (
        Step("fetched", control(('no-cache="a"', "max-age=60"), a="1", b="2")),
        Step("cached", has={"b": "2"}, lacks=("a",)),
    ),
    "only-if-cached": (Step("gone", {}, control("only-if-cached")),),
    "validated by date": twice("validated", control("max-age=2", Last_Modified=LM)),
    "validated by ETag": twice("validated", control("max-age=2", ETag='"a"')),
    "validated by weak ETag": twice("validated", control("max-age=2", ETag='W/"a"')),
    "reload": twice("validated", control("max-age=99", ETag='"a"'), then=control("no-cache")),
    "SWR": (
        Step("fetched", control("max-age=0, stale-while-revalidate=3600", ETag='"abc"')),
        Step("cached", control("max-age=3600", ETag='"def"'), has={"ETag": '"abc"'}),
        Step("cached", has={"ETag": '"def"'}),
    ),
}
CDN = "CDN-Cache-Control"
TARGETED_MUST: Cases = {
    "Age": twice("fetched", {CDN: "max-age=3600", "Age": "7200", "Date": 0}),
    "max-age=0": twice("fetched", {CDN: "max-age=0"}),
    "Expires": twice("fetched", {CDN: "max-age=0", "Expires": 10000, "Date": 0}),
    "short": twice("fetched", {CDN: "max-age=1", "Cache-Control": "max-age=3600"}),
    "private": twice("fetched", {CDN: "private", "Cache-Control": "max-age=10000"}),
    "no-cache": twice("fetched", {CDN: "no-cache", "Cache-Control": "max-age=10000"}),
    "no-store": twice("fetched", {CDN: "no-store", "Cache-Control": "max-age=10000"}),
    "over no-store": twice("cached", {CDN: "max-age=10000", "Cache-Control": "no-store"}),
    "unknown type": twice("fetched", {CDN: "max-age=9, &&&&&", "Cache-Control": "no-store"}),
    "wrong type": twice("fetched", {CDN: 'max-age="9000"', "Cache-Control": "no-store"}),
}
TARGETED_BEST: Cases = {
    "max-age": twice("cached", {CDN: "max-age=3600"}),
    "2^31": twice("cached", {CDN: "max-age=2147483648"}),
    "more": twice("cached", {CDN: "max-age=99999999999"}),
    "extension": twice("cached", {CDN: "foobar, max-age=3600"}),
    "Expires": twice("cached", {CDN: "max-age=3600", "Expires": -10000, "Date": 0}),
    "Expires 0": twice("cached", {CDN: "max-age=3600", "Expires": "0", "Date": 0}),
    "long": twice("cached", {CDN: "max-age=3600", "Cache-Control": "max-age=1"}),
}
VARY_MUST: Cases = {
    "other value": varied("fetched", "Foo", {"Foo": "1"}, {"Foo": "2"}),
    "stored omits": varied("fetched", "Foo", {}, {"Foo": "1"}),
    "asked omits": varied("fetched", "Foo", {"Foo": "1"}, {}),
    "two": varied("fetched", "Foo, Bar", {"Foo": "1", "Bar": "a"}, {"Foo": "2", "Bar": "a"}),
    "two, omitted": varied("fetched", "Foo, Bar", {"Foo": "1", "Bar": "a"}, {}),
    "three": varied(
        "fetched", "Foo, Bar, Baz", {"Foo": "1", "Baz": "3"}, {"Foo": "1", "Baz": "3", "Bar": "x"}
    ),
    **{
        f"star {number}": varied("fetched", value, {"Foo": "1"}, {"Foo": "1"})
        for number, value in enumerate(
            ("*", "*, *", ("*", "*"), ", *", ("", "*"), "*, Foo", "Foo, *")
        )
    },
}
VARY_BEST: Cases = {
    "match": varied("cached", "Foo", {"Foo": "1"}, {"Foo": "1"}),
    "two variants": (
        *varied("fetched", "Foo", {"Foo": "1"}, {"Foo": "2"}),
        Step("cached", {}, {"Foo": "1"}),
    ),
    "unnamed": varied("cached", "Foo", {"Foo": "1", "O": "2"}, {"Foo": "1", "O": "3"}),
    "both omit": varied("cached", "Foo, Bar", {"Foo": "1"}, {"Foo": "1"}),
    "combined": varied("cached", "Foo", {"Foo": "1, 2"}, {"Foo": ("1", "2")}),
    "blanks": varied("cached", "Foo", {"Foo": "1,2"}, {"Foo": " 1, 2 "}),
    **{
        f"language {number}": varied(
            "cached", "Accept-Language", {"Accept-Language": "en, de"}, {"Accept-Language": value}
        )
        for number, value in enumerate(("de, en", "eN, De", " en ,   de"))
    },
}
STALE_MUST: Cases = {
    **{
        f"forbidden by {word}": (
            Step("fetched", control(f"max-age=2, {word}")),
            Step("failed", down=True),
        )
        for word in ("must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2")
    },
    "stale-if-error over": (
        Step("fetched", control("max-age=0, stale-if-error=1")),
        Step("fetched", status=500),
    ),
    "the client's over": (
        Step("fetched", control("max-age=0")),
        Step("fetched", {}, control("stale-if-error=1"), status=500),
    ),
}
STALE_BEST: Cases = {
    "rule, closed": (Step("fetched", control("max-age=2")), Step("stale", down=True)),
    "rule, 503": (Step("fetched", control("max-age=2")), Step("stale", status=503)),
    "directive": (
        Step("fetched", control("max-age=2, stale-if-error=60")),
        Step("stale", status=503),
    ),
    "the client's": (
        Step("fetched", control("max-age=0")),
        Step("stale", {}, control("stale-if-error=3600"), status=500),
    ),
}
UPDATES_MUST: Cases = {
    "omitted field": (
        Step("fetched", control("max-age=2", Last_Modified=LM, Test="A")),
        Step("validated", {"Last-Modified": LM}, has={"Test": "A"}),
    ),
    **{
        f"304 {name}": (
            Step("fetched", {"Cache-Control": "max-age=2", "ETag": '"a"', name: first}),
            Step("validated", {"ETag": '"a"', name: second}, has={name: shown}),
            Step("cached", has={name: shown}, wait=1),
        )
        for name, first, second, shown in (
            ("Test-Header", "A", "B", "B"),
            ("X-Test-Header", "A", "B", "B"),
            ("Content-Foo", "A", "B", "B"),
            ("X-Content-Foo", "A", "B", "B"),
            ("Cache-Control", "max-age=1", "max-age=3600", "max-age=3600"),
            ("Content-Length", "5", "10", "5"),
        )
    },
    "Age made": (Step("fetched", LIVE), Step("cached", has={"Age": "3"})),
    "Age, Expires": (
        Step("fetched", {"Expires": 2592000, "Date": 0, "Age": "30"}),
        Step("cached", has={"Age": "33"}),
    ),
    "Age, max-age": (
        Step("fetched", control("max-age=600", Age="30")),
        Step("cached", has={"Age": "33"}),
    ),
    "Date kept": (Step("fetched", LIVE), Step("cached", has={"Date": format_date(NOW + 3)})),
    "Connection": (
        Step("fetched", {**LIVE, "Connection": "a, b", "a": "1", "b": "2", "c": "3"}),
        Step("cached", has={"c": "3"}, lacks=("a", "b", "Connection")),
    ),
    **{
        f"stored {name}": (
            Step("fetched", {"Cache-Control": "max-age=3600", name: "v"}),
            Step("cached", has={name: "v"}),
        )
        for name in (
            *("Test-Header", "X-Test-Header", "Content-Foo", "Content-Encoding", "Content-Length"),
            *("Content-Location", "Content-MD5", "Content-Range", "Content-Security-Policy"),
            *("Content-Type", "Clear-Site-Data", "ETag", "Expires", "Public-Key-Pins"),
            *("Set-Cookie2", "X-Frame-Options", "X-XSS-Protection", "X-Content-Foo"),
        )
    },
    **{
        f"not stored {name}": (
            Step("fetched", {"Cache-Control": "max-age=3600", name: "v"}),
            Step("cached", lacks=(name,)),
        )
        for name in (
            *("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info"),
            *("Proxy-Authorization", "Proxy-Connection", "TE", "Transfer-Encoding", "Upgrade"),
        )
    },
}
UNSAFE = ("POST", "PUT", "DELETE", "M-SEARCH")
TARGET = "http://origin.example/target"
INVALIDATION_MUST: Cases = {
    **{
        f"{method}": (
            Step("fetched", LIVE),
            Step("fetched", method=method),
            Step("validated", control("max-age=9")),
        )
        for method in UNSAFE
    },
    **{
        f"{method} {name}": (
            Step("fetched", LIVE, path=TARGET),
            Step("fetched", {name: "/target"}, method=method),
            Step("validated", control("max-age=9"), path=TARGET),
        )
        for method in UNSAFE
        for name in ("Location", "Content-Location")
    },
}
INVALIDATION_BEST: Cases = {
    f"{method} failed": (
        Step("fetched", LIVE),
        Step("fetched", method=method, status=500),
        Step("cached"),
    )
    for method in UNSAFE
}
HEADS: Cases = {
    "writes through": (
        Step("fetched", control("max-age=2")),
        Step("fetched", control("max-age=2"), method="HEAD"),
    ),
    "renews": (
        Step("fetched", control("max-age=2", A="1", B="1")),
        Step("fetched", control("max-age=1000", A="2"), method="HEAD"),
        Step("cached", has={"A": "2", "B": "1"}),
    ),
    "contradicts": (
        Step("fetched", control("max-age=2", ETag='"a"')),
        Step("fetched", control("max-age=1000", ETag='"b"'), method="HEAD"),
        Step("fetched", control("max-age=1000", ETag='"b"')),
    ),
    "410": (
        Step("fetched", control("max-age=2")),
        Step("fetched", control("max-age=1000"), method="HEAD", status=410),
        Step("fetched", control("max-age=1000")),
    ),
    "from GET": (Step("fetched", LIVE), Step("cached", method="HEAD")),
}


class CachingTests(SynchronousTestCase):
    def check(self, cases: Cases, policy: CachePolicy = PLAIN) -> None:
        for name, steps in cases.items():
            cache = Cache(policy)
            for number, step in enumerate(steps):
                outcome, fields = cache.play(step)
                case = f"{name}, step {number}"
                self.assertEqual(outcome, step.expected, case)
                found = {key: fields.get(key) for key in step.has}
                self.assertEqual(found, dict(step.has), case)
                self.assertFalse([key for key in step.lacks if key in fields], case)

    def test_freshness(self) -> None:
        """Sections 4.2 and 5.3: nothing stale is reused, and what is fresh is."""
        self.check(FRESHNESS_MUST)
        self.check(FRESHNESS_BEST)

    def test_directives(self) -> None:
        """Sections 3.5 and 5.2: directives and credentials decide who gets what."""
        self.check(DIRECTIVES_MUST)
        self.check(DIRECTIVES_BEST)

    def test_targeted(self) -> None:
        """RFC 9213: CDN-Cache-Control goes before Cache-Control when it is valid."""
        self.check(TARGETED_MUST)
        self.check(TARGETED_BEST)

    def test_vary(self) -> None:
        """Section 4.1: each request gets its variant."""
        self.check(VARY_MUST)
        self.check(VARY_BEST)

    def test_stale(self) -> None:
        """Section 4.2.4 and RFC 5861: an outage is bridged only where nothing forbids it."""
        for policy in (PLAIN, WEEK):
            self.check(STALE_MUST, policy)
        self.check(STALE_BEST, WEEK)

    def test_updates(self) -> None:
        """Sections 3.1, 3.2, 4.3.4, 5.1: what is stored, what a 304 changes, Age and Date."""
        self.check(UPDATES_MUST)

    def test_invalidation(self) -> None:
        """Section 4.4: success of an unsafe method ends what is stored, failure does not."""
        self.check(INVALIDATION_MUST)
        self.check(INVALIDATION_BEST)

    def test_head(self) -> None:
        """Section 4.3.5: HEAD is answered from GET and renews it."""
        self.check(HEADS)
