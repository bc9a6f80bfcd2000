# ruff: noqa: E501  # one case, one line
"""What a shared HTTP cache does, case by case, under the names of the public suite for HTTP caches.

The ids and what they mean are those of https://cache-tests.fyi (http-tests/cache-tests); the
notation is ours.  A case is a row of requests that one client makes to one URL; each ``Step`` says
what is asked, what the origin answers to it if it comes to that, and what then has to be seen.

Fields are "Name: value"; "@5" as a value is a date 5 seconds after the origin's clock, "^x" a path
below the case's own URL, and a leading "~" marks a field of an answer that need not arrive as sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve, frozen

REQUIRED, OPTIMAL, CHECK = "required", "optimal", "check"
#: How an answer has to come: from the store, from the origin, or after its 304.
STORED, ASKED, BY_ETAG, BY_DATE = "stored", "asked", "etag", "lm"
DAY = 24 * 3600


@frozen(kw_only=True)
class Step:
    """One request, the origin's answer to it, and what is expected."""

    method: str = "GET"
    ask: tuple[str, ...] = ()
    #: Added to the case's path.
    target: str = ""
    #: Body of the request.
    sends: str = ""
    status: int = 200
    fields: tuple[str, ...] = ()
    #: Body of the answer; None is the name of the case.
    text: str | None = None
    #: Interim answers: status and fields.
    interim: tuple[tuple[int, tuple[str, ...]], ...] = ()
    #: Seconds that the origin takes.
    delay: float = 0.0
    #: The origin closes the connection instead of answering.
    cut: bool = False
    expect: str = ""
    #: The status that the client sees; 0 is any, None the one that was sent.
    sees: int | None = None
    #: The body that the client sees; None is the one that was sent.
    reads: str | None = None
    any_body: bool = False
    #: Fields of the answer: "Name: value", "Name", or "Name > number".
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    #: What the origin gets: fields, and the method.
    gets: tuple[str, ...] = ()
    gets_method: str = ""
    #: Wait before the next step, until what is to become stale is.
    rest: bool = False


@frozen
class Case:
    """A behaviour: passed when each step of it goes as expected, and the cases that it needs."""

    name: str
    kind: str
    steps: tuple[Step, ...]
    needs: tuple[str, ...] = ()


FRESH = ("Expires: @100000", "Cache-Control: max-age=100000", "Last-Modified: @0", "Date: @0")
STALE = ("Expires: @-5000", "Last-Modified: @-100000", "Date: @0")
SHORT = ("Cache-Control: max-age=2", "Template-A: 1")
VARIED = ("Cache-Control: max-age=5000", "Last-Modified: @-3000", "Date: @0")
ETAG = 'ETag: "abcdef"'


def fresh(*fields: str, **more: object) -> Step:
    """An answer that stays fresh."""
    return Step(fields=(*FRESH, *fields), rest=True, **more)


def short(*fields: str, **more: object) -> Step:
    """An answer that is stale when the next step comes."""
    return Step(fields=(*SHORT, *fields), rest=True, **more)


def then(expect: str = "", *ask: str, **more: object) -> Step:
    """A later request."""
    return Step(expect=expect, ask=ask, **more)


def two(name: str, kind: str, expect: str, *fields: str, rest: bool = True) -> Case:
    """The commonest case: an answer with these fields, then the same request again."""
    return Case(name, kind, (Step(fields=fields, rest=rest), then(expect)))


def rows(prefix: str, text: str) -> Iterator[Case]:
    """Cases of two requests, one a line: kind, what is expected, name, fields after " | "."""
    kinds = {"R": REQUIRED, "O": OPTIMAL, "C": CHECK}
    for line in text.strip().splitlines():
        head, *fields = (part.strip() for part in line.split(" | "))
        kind, expect, name = head.split()
        yield two(prefix + name, kinds[kind], expect, *fields)


def _freshness() -> Iterator[Case]:
    """Cache-Control and Expires: how long an answer may be reused."""
    yield from rows(
        "freshness-",
        """
        C asked  none
        O stored max-age | Cache-Control: max-age=3600
        R asked  max-age-stale | Cache-Control: max-age=2
        R asked  max-age-0 | Cache-Control: max-age=0
        O stored max-age-max-minus-1 | Cache-Control: max-age=2147483647
        O stored max-age-max | Cache-Control: max-age=2147483648
        O stored max-age-max-plus-1 | Cache-Control: max-age=2147483649
        O stored max-age-max-plus | Cache-Control: max-age=99999999999
        R asked  max-age-age | Date: @0 | Cache-Control: max-age=3600 | Age: 7200
        C asked  max-age-date | Date: @-7200 | Cache-Control: max-age=3600
        O stored max-age-expires | Cache-Control: max-age=3600 | Expires: @-7200 | Date: @0
        O stored max-age-expires-invalid | Cache-Control: max-age=3600 | ~Expires: 0 | Date: @0
        R asked  max-age-0-expires | Expires: @3600 | Cache-Control: max-age=0 | Date: @0
        O stored max-age-extension | Cache-Control: foobar, max-age=3600
        O stored max-age-case-insenstive | Cache-Control: MaX-aGe=3600
        R asked  max-age-negative | Cache-Control: max-age=-3600
        R stored s-maxage-shared | Cache-Control: s-maxage=3600
        R asked  max-age-s-maxage-shared-longer | Cache-Control: max-age=3600, s-maxage=1
        R asked  max-age-s-maxage-shared-longer-reversed | Cache-Control: s-maxage=1, max-age=3600
        R asked  max-age-s-maxage-shared-longer-multiple | Cache-Control: max-age=3600 | Cache-Control: s-maxage=1
        O stored max-age-s-maxage-shared-shorter | Cache-Control: max-age=1, s-maxage=3600
        O stored max-age-s-maxage-shared-shorter-expires | Expires: @-10 | Cache-Control: max-age=0, s-maxage=3600
        C stored max-age-two-fresh-stale-sameline | ~Cache-Control: max-age=1800, max-age=1
        C stored max-age-two-fresh-stale-sepline | ~Cache-Control: max-age=1800 | ~Cache-Control: max-age=1
        C stored max-age-two-stale-fresh-sameline | ~Cache-Control: max-age=1, max-age=1800
        C stored max-age-two-stale-fresh-sepline | ~Cache-Control: max-age=1 | ~Cache-Control: max-age=1800
        C stored max-age-quoted | ~Cache-Control: max-age="3600"
        R asked  max-age-ignore-quoted | ~Cache-Control: extension="max-age=3600", max-age=1
        R asked  max-age-ignore-quoted-rev | ~Cache-Control: max-age=1, extension="max-age=3600"
        C asked  max-age-space-before-equals | ~Cache-Control: max-age =3600
        C asked  max-age-space-after-equals | ~Cache-Control: max-age= 3600
        R stored max-age-leading-zero | ~Cache-Control: max-age=003600
        R asked  max-age-single-quoted | ~Cache-Control: max-age='3600'
        C stored max-age-decimal-zero | ~Cache-Control: max-age=3600.0
        C stored max-age-decimal-five | ~Cache-Control: max-age=3600.5
        C stored max-age-a100 | ~Cache-Control: max-age=a3600
        C stored max-age-100a | ~Cache-Control: max-age=3600a
        O stored expires-future | Expires: @2592000 | Date: @0
        R asked  expires-past | Expires: @-2592000 | Date: @0
        R asked  expires-present | Expires: @0 | Date: @0
        R asked  expires-old-date | Expires: @300 | Date: @400
        R asked  expires-invalid | ~Expires: 0 | Date: @0
        R asked  expires-age-slow-date | Date: @-10 | Expires: @10 | Age: 25
        R asked  expires-age-fast-date | Date: @10 | Expires: @20 | Age: 15
        O stored expires-32bit | ~Expires: Tue, 19 Jan 2038 14:14:08 GMT | Date: @0
        O stored expires-far-future | ~Expires: Sun, 21 Nov 2286 04:46:39 GMT | Date: @0
        O stored expires-rfc850 | ~Expires: Thursday, 18-Aug-50 02:01:18 GMT | Date: @0
        O stored expires-ansi-c | ~Expires: Thu Aug  8 02:01:18 2050 | Date: @0
        O stored expires-wrong-case-weekday | ~Expires: THU, 18 Aug 2050 02:01:18 GMT | Date: @0
        O stored expires-wrong-case-month | ~Expires: Thu, 18 AUG 2050 02:01:18 GMT | Date: @0
        O stored expires-wrong-case-tz | ~Expires: Thu, 18 Aug 2050 02:01:18 gMT | Date: @0
        R asked  expires-invalid-utc | ~Expires: Thu, 18 Aug 2050 02:01:18 UTC | Date: @0
        R asked  expires-invalid-aest | ~Expires: Thu, 18 Aug 2050 02:01:18 AEST | Date: @0
        R asked  expires-invalid-2-digit-year | ~Expires: Thu, 18 Aug 50 02:01:18 GMT | Date: @0
        R asked  expires-invalid-no-comma | ~Expires: Thu 18 Aug 2050 02:01:18 GMT | Date: @0
        R asked  expires-invalid-multiple-spaces | ~Expires: Thu, 18  Aug  2050 02:01:18 GMT | Date: @0
        R asked  expires-invalid-date-dashes | ~Expires: Thu, 18-Aug-2050 02:01:18 GMT | Date: @0
        R asked  expires-invalid-time-periods | ~Expires: Thu, 18 Aug 2050 02.01.18 GMT | Date: @0
        R asked  expires-invalid-1-digit-hour | ~Expires: Thu, 18 Aug 2050 2:01:18 GMT | Date: @0
        R asked  expires-invalid-multiple-lines | ~Expires: Thu, 18 Aug 2050 2:01:18 GMT | ~Expires: Thu, 18 Aug 2050 2:01:19 GMT | Date: @0
        """,
    )
    yield two(
        "freshness-expires-invalid-date", OPTIMAL, STORED, "~Date: foo", "Expires: @10", rest=False
    )


def _age() -> Iterator[Case]:
    """The Age field: read, made, updated."""
    for kind, expect, name, lifetime, *ages in (
        (REQUIRED, STORED, "nonnumeric", 3600, "abc"),
        (REQUIRED, STORED, "negative", 3600, "-7200"),
        (REQUIRED, STORED, "float", 3600, "7200.0"),
        (REQUIRED, ASKED, "large-minus-one", 3600, "2147483647"),
        (REQUIRED, ASKED, "large", 3600, "2147483648"),
        (REQUIRED, ASKED, "larger", 3600, "2147483649"),
        (REQUIRED, ASKED, "suffix", 3600, "7200, 0"),
        (REQUIRED, STORED, "prefix", 3600, "0, 7200"),
        (REQUIRED, ASKED, "suffix-twoline", 3600, "7200", "0"),
        (REQUIRED, STORED, "prefix-twoline", 3600, "0", "7200"),
        (REQUIRED, STORED, "dup-0", 3600, "0, 0"),
        (REQUIRED, STORED, "dup-0-twoline", 3600, "0", "0"),
        (REQUIRED, STORED, "dup-old", 10000, "3600", "3600"),
        (CHECK, ASKED, "parameter", 3600, "7200;foo=bar"),
        (CHECK, ASKED, "numeric-parameter", 3600, "7200;foo=111"),
    ):
        life = ("Date: @0", f"Cache-Control: max-age={lifetime}")
        yield two(f"age-parse-{name}", kind, expect, *life, *(f"~Age: {age}" for age in ages))
    month = f"Expires: @{30 * DAY}"
    old = then(STORED, has=("Age > 32",))
    same = then(STORED, has=("Date: @0",))
    yield Case("other-age-gen", REQUIRED, (fresh(), then(STORED, has=("Age > 2",))))
    slow = Step(fields=("Cache-Control: max-age=3600", "Date: @0"), delay=5, has=("Age > 0",))
    yield Case("other-age-delay", CHECK, (slow,))
    aged = Step(fields=(month, "Date: @0", "Age: 30"), rest=True)
    yield Case("other-age-update-expires", REQUIRED, (aged, old))
    yield Case("other-age-update-max-age", REQUIRED, (fresh("Age: 30"), old))
    expiring = Step(fields=(month, "Date: @0"), rest=True)
    yield Case("other-date-update", REQUIRED, (fresh(), same))
    yield Case("other-date-update-expires", REQUIRED, (expiring, same))
    kept = then(STORED, has=(month,))
    yield Case("other-date-update-expires-update", CHECK, (expiring, kept))


def _other() -> Iterator[Case]:
    """Keys, cookies, credentials, methods, Pragma, interim answers."""
    one, another = "?test=one", "?test=another"
    asked = then(ASKED, target=another)
    yield Case("query-args-different", REQUIRED, (fresh(target=one), asked))
    yield Case("query-args-same", OPTIMAL, (fresh(target=one), then(STORED, target=one)))
    attached = "Content-Disposition: attachment; filename=example.txt"
    heuristic = ("Last-Modified: @-100000", "Date: @0", attached)
    name = "content-disposition-attachment"
    yield two(f"other-heuristic-{name}", CHECK, STORED, *heuristic, rest=False)
    yield Case(f"other-fresh-{name}", CHECK, (fresh(attached), then(STORED)))
    yield Case("other-set-cookie", OPTIMAL, (fresh("Set-Cookie: a=b"), then(STORED)))
    yield Case("other-cookie", OPTIMAL, (fresh(), then(STORED, "Cookie: a=b")))
    ask = ("Authorization: FOO",)
    yield Case("other-authorization", REQUIRED, (fresh(ask=ask, gets=ask), then(ASKED)))
    for name, control in (
        ("public", "max-age=3600, public"),
        ("must-revalidate", "max-age=3600, must-revalidate"),
        ("smaxage", "s-maxage=3600"),
    ):
        shared = Step(
            ask=ask, gets=ask, fields=(f"Cache-Control: {control}", "Date: @0"), rest=True
        )
        yield Case(f"other-authorization-{name}", OPTIMAL, (shared, then(STORED)))
    posted = Step(
        method="POST",
        ask=("Content-Type: text/plain",),
        sends="12345",
        fields=(f"Expires: @{30 * DAY}", "Content-Location: ^", "Date: @0"),
        rest=True,
    )
    yield Case("method-POST", OPTIMAL, (posted, then(STORED)))
    life = "Cache-Control: max-age=3600"
    for name, field in (("no-cache", "no-cache"), ("extension", "unrecognised-extension")):
        plain = (Step(fields=(life,)), then(STORED, f"Pragma: {field}"))
        yield Case(f"pragma-request-{name}", CHECK, plain)
        yield two(f"pragma-response-{name}", CHECK, STORED, life, f"Pragma: {field}", rest=False)
    dated = ("Date: @0", "Last-Modified: @-10000", "Pragma: no-cache")
    yield two("pragma-response-no-cache-heuristic", CHECK, STORED, *dated, rest=False)
    yield from _interim()


def _interim() -> Iterator[Case]:
    life = ("Cache-Control: max-age=100000", "Date: @0")
    hints = "link: </styles.css>; rel=preload; as=style"
    early = ((103, (hints, "x-my-header: test")),)
    first = Step(fields=life, interim=early, rest=True)
    processing = evolve(first, interim=((102, ()),))
    yield Case("interim-102", OPTIMAL, (processing, then(STORED)))
    yield Case("interim-103", OPTIMAL, (first, then(STORED)))
    only = evolve(first, interim=((103, (hints,)),))
    yield Case("interim-not-cached", REQUIRED, (only, then(STORED)))
    lacks = ("x-my-header",)
    yield Case(
        "interim-no-header-reuse", OPTIMAL, (evolve(first, lacks=lacks), then(STORED, lacks=lacks))
    )


def _directives() -> Iterator[Case]:
    """Cache-Control of requests and of answers, beside freshness."""
    hour, life = "Cache-Control: max-age=3600", "Cache-Control: max-age=1500"
    for name, first, wish, expect in (
        ("ma0", fresh(), "max-age=0", ASKED),
        ("ma1", fresh(), "max-age=1", ASKED),
        ("magreaterage", Step(fields=(hour, "Age: 1800")), "max-age=600", ASKED),
        ("max-stale", Step(fields=("Cache-Control: max-age=1",), rest=True), "max-stale=1000", STORED),
        ("max-stale-age", Step(fields=(life, "Age: 2000")), "max-stale=1000", STORED),
        ("min-fresh", Step(fields=(life,)), "min-fresh=2000", ASKED),
        ("min-fresh-age", Step(fields=(life, "Age: 1000")), "min-fresh=1000", ASKED),
        ("no-cache", Step(fields=(hour,)), "no-cache", ASKED),
        ("no-cache-lm", Step(fields=(hour, "Last-Modified: @-10000", "Date: @0")), "no-cache", BY_DATE),
        ("no-cache-etag", Step(fields=(hour, 'ETag: "abc"')), "no-cache", BY_ETAG),
        ("no-store", Step(fields=(hour,)), "no-store", ASKED),
    ):  # fmt: skip
        yield Case(f"ccreq-{name}", CHECK, (first, then(expect, f"Cache-Control: {wish}")))
    only = Step(ask=("Cache-Control: only-if-cached",), sees=504, any_body=True)
    yield Case("ccreq-oic", CHECK, (only,))
    for kind, expect, name, *fields in (
        (REQUIRED, ASKED, "private-shared", "private, max-age=3600"),
        (REQUIRED, ASKED, "no-store", "no-store"),
        (REQUIRED, ASKED, "no-store-case-insensitive", "No-StOrE"),
        (REQUIRED, ASKED, "no-store-fresh", "max-age=10000, no-store", "Expires: @10000", "Date: @0"),
        (REQUIRED, ASKED, "no-cache", "max-age=10000, no-cache", "Expires: @10000", "Date: @0"),
        (REQUIRED, ASKED, "no-cache-case-insensitive", "max-age=10000, No-CaChE", "Expires: @10000", "Date: @0"),
        (OPTIMAL, BY_ETAG, "no-cache-revalidate", "no-cache", 'ETag: "abcd"'),
        (OPTIMAL, BY_ETAG, "no-cache-revalidate-fresh", "max-age=10000, no-cache", "Expires: @10000", "Date: @0", 'ETag: "abcd"'),
        (OPTIMAL, STORED, "must-revalidate-fresh", "max-age=10000, must-revalidate", 'ETag: "abcd"'),
    ):  # fmt: skip
        control = (f"Cache-Control: {fields[0]}", *fields[1:])
        yield two(f"cc-resp-{name}", kind, expect, *control, rest=False)
    old = Step(
        fields=("Cache-Control: max-age=10000", "Expires: @10000", "Date: @0", "A: 1"), rest=True
    )
    for name, control in (("old-new", "no-store"), ("old-max-age", "no-store, max-age=0")):
        # The suite leaves the middle request to the cache: a fresh hit is as good.
        new = Step(fields=(f"Cache-Control: {control}", "Date: @0", "A: 2"), rest=True)
        last = then(STORED, has=("A: 1",))
        yield Case(f"cc-resp-no-store-{name}", REQUIRED, (old, new, last))
    revalidated = Step(fields=("Cache-Control: max-age=2, must-revalidate", 'ETag: "abcd"'))
    still = evolve(revalidated, expect=STORED, rest=True)
    yield Case("cc-resp-must-revalidate-stale", REQUIRED, (revalidated, still, then(BY_ETAG)))
    for name, listed, *more in (("-single", "a"), ("", "a, b", "c: 3")):
        first = Step(
            fields=(f'Cache-Control: no-cache="{listed}"', "a: 1", "b: 2", *more, hour, "Date: @0"),
            rest=True,
        )
        kept = then(STORED, has=tuple(more) or ("b: 2",), lacks=tuple(listed.split(", ")))
        yield Case(
            f"headers-omit-headers-listed-in-Cache-Control-no-cache{name}", CHECK, (first, kept)
        )


def _cdn() -> Iterator[Case]:
    """The targeted field for shared caches (RFC 9213)."""
    yield from rows(
        "cdn-",
        """
        O stored max-age | ~CDN-Cache-Control: max-age=3600
        O stored max-age-max | ~CDN-Cache-Control: max-age=2147483648
        O stored max-age-max-plus | ~CDN-Cache-Control: max-age=99999999999
        R asked  max-age-age | Date: @0 | ~CDN-Cache-Control: max-age=3600 | Age: 7200
        C asked  max-age-space-before-equals | Cache-Control: max-age=1 | ~CDN-Cache-Control: max-age =100
        C asked  max-age-space-after-equals | Cache-Control: max-age=1 | ~CDN-Cache-Control: max-age= 100
        R asked  max-age-0 | ~CDN-Cache-Control: max-age=0
        O stored max-age-extension | ~CDN-Cache-Control: foobar, max-age=3600
        C stored max-age-case-insensitive | ~CDN-Cache-Control: MaX-aGe=3600
        O stored max-age-expires | ~CDN-Cache-Control: max-age=3600 | Expires: @-10000 | Date: @0
        O stored max-age-cc-max-age-invalid-expires | ~CDN-Cache-Control: max-age=3600 | ~Expires: 0 | Date: @0
        R asked  max-age-0-expires | ~CDN-Cache-Control: max-age=0 | Expires: @10000 | Date: @0
        O stored max-age-short-cc-max-age | Cache-Control: max-age=1 | ~CDN-Cache-Control: max-age=3600
        R asked  max-age-long-cc-max-age | Cache-Control: max-age=3600 | ~CDN-Cache-Control: max-age=1
        R asked  private | CDN-Cache-Control: private | Cache-Control: max-age=10000 | Expires: @10000 | Date: @0
        R asked  no-cache | CDN-Cache-Control: no-cache | Cache-Control: max-age=10000 | Expires: @10000 | Date: @0
        R asked  no-store-cc-fresh | Cache-Control: max-age=10000 | ~CDN-Cache-Control: no-store | Expires: @10000 | Date: @0
        R stored fresh-cc-nostore | Cache-Control: no-store | ~CDN-Cache-Control: max-age=10000
        R asked  cc-invalid-sh-type-unknown | ~CDN-Cache-Control: max-age=10000, &&&&& | Cache-Control: no-store
        R asked  cc-invalid-sh-type-wrong | ~CDN-Cache-Control: max-age="10000" | Cache-Control: no-store
        """,
    )
    forwarded = Step(
        fields=("Cache-Control: max-age=10000", "~CDN-Cache-Control: foo", "Date: @0"),
        has=("CDN-Cache-Control: foo",),
    )
    yield Case("cdn-remove-header", CHECK, (forwarded,))
    life = ("Cache-Control: max-age=1", "CDN-Cache-Control: max-age=10000", "Date: @0")
    first = Step(fields=life, rest=True)
    yield Case("cdn-remove-age-exceed", CHECK, (first, then(has=("Age",))))
    yield Case("cdn-date-update-exceed", CHECK, (first, then(has=("Date: @0",))))
    first = evolve(first, fields=(*life, "Expires: @1"))
    yield Case("cdn-expires-update-exceed", CHECK, (first, then(has=("Expires: @1",))))


def _conditions() -> Iterator[Case]:
    """A client's own conditions, and those that the cache makes."""
    for kind, name, tag, asked in (
        (OPTIMAL, "strong-respond", '"abcdef"', '"abcdef"'),
        (CHECK, "strong-respond-obs-text", '"abcdef\xfc"', '"abcdef\xfc"'),
        (CHECK, "quoted-respond-unquoted", '"abcdef"', "abcdef"),
        (CHECK, "unquoted-respond-unquoted", "abcdef", "abcdef"),
        (CHECK, "unquoted-respond-quoted", "abcdef", '"abcdef"'),
        (OPTIMAL, "weak-respond", 'W/"abcdef"', 'W/"abcdef"'),
        (CHECK, "weak-respond-lowercase", 'w/"abcdef"', 'w/"abcdef"'),
        (CHECK, "weak-respond-backslash", 'W\\"abcdef"', 'W\\"abcdef"'),
        (CHECK, "weak-respond-omit-slash", 'W"abcdef"', 'W"abcdef"'),
        (OPTIMAL, "strong-respond-multiple-first", '"abcdef"', '"abcdef", "1234", "5678"'),
        (OPTIMAL, "strong-respond-multiple-second", '"abcdef"', '"1234", "abcdef", "5678"'),
        (OPTIMAL, "strong-respond-multiple-last", '"abcdef"', '"1234", "5678", "abcdef"'),
    ):
        answered = then(STORED, f"If-None-Match: {asked}", sees=304)
        yield Case(f"conditional-etag-{name}", kind, (fresh(f"ETag: {tag}"), answered))
    told = then(STORED, 'If-None-Match: "abcdef"', sees=304, has=(ETAG,))
    yield Case("conditional-304-etag", REQUIRED, (fresh(ETAG), told))
    both = then(STORED, 'If-None-Match: "abcdef"', "If-Modified-Since: @-1", sees=304)
    dated = ("Expires: @100000", "Cache-Control: max-age=100000", "Date: @0")
    first = Step(fields=(*dated, "Last-Modified: @-5000", ETAG), rest=True)
    yield Case("conditional-etag-precedence", REQUIRED, (first, both))
    ask = ("Abc: 123",)
    life = (ETAG, "Date: @0", "Vary: Abc")
    varied = Step(ask=ask, fields=("Expires: @1", *life), rest=True)
    yield Case("conditional-etag-vary-headers", REQUIRED, (varied, then(BY_ETAG, *ask, gets=ask)))
    varied = evolve(varied, fields=("Expires: @10000", *life))
    asks = ('If-None-Match: "abcdef"',)
    mismatch = (varied, then("", "Abc: 456", gets=asks))
    yield Case("conditional-etag-vary-headers-mismatch", CHECK, mismatch)
    for kind, name, tag, sent in (
        (OPTIMAL, "strong-generate", '"abcdef"', '"abcdef"'),
        (OPTIMAL, "weak-generate-weak", 'W/"abcdef"', 'W/"abcdef"'),
        (CHECK, "strong-generate-unquoted", "abcdef", '"abcdef"'),
    ):
        made = then(BY_ETAG, gets=(f"If-None-Match: {sent}",))
        yield Case(f"conditional-etag-{name}", kind, (short(f"ETag: {tag}"), made))
    for name, tag in (("", '"abcdef"'), ("-unquoted", "abcdef")):
        passed = Step(ask=(f"If-None-Match: {tag}",), gets=asks)
        yield Case(f"conditional-etag-forward{name}", CHECK, (passed,))
    for name, life, since, expect in (
        ("fresh", 100000, -3000, STORED),
        ("fresh-earlier", 100000, -2000, STORED),
        ("stale", 2, -3000, BY_DATE),
    ):
        fields = (f"Cache-Control: max-age={life}", "Last-Modified: @-3000", "Date: @0")
        answered = then(expect, f"If-Modified-Since: @{since}", sees=304)
        yield Case(f"conditional-lm-{name}", OPTIMAL, (Step(fields=fields, rest=True), answered))


def _statuses() -> Iterator[Case]:
    """Which statuses are kept, with and without explicit freshness."""
    for status in (
        *(200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499),
        *(500, 502, 503, 504, 599),
    ):
        again = then(STORED, status=status)
        yield Case(f"status-{status}-fresh", OPTIMAL, (fresh(status=status), again))
        stale = Step(status=status, fields=STALE)
        needs = (f"status-{status}-fresh",)
        yield Case(f"status-{status}-stale", REQUIRED, (stale, then(ASKED)), needs)
    known = ("Cache-Control: max-age=3600, no-store, must-understand",)
    odd = Step(status=599, fields=known)
    yield Case("status-599-must-understand", REQUIRED, (odd, then(ASKED)))
    yield Case("status-200-must-understand", OPTIMAL, (Step(fields=known), then(STORED)))
    day = (f"Last-Modified: @{-DAY}", "Date: @0")
    for status in (200, 203, 204, 404, 405, 410, 414, 501):
        steps = (Step(status=status, fields=day), then(STORED, status=status))
        yield Case(f"heuristic-{status}-cached", OPTIMAL, steps)
    for status in (201, 202, 403, 502, 503, 504, 599):
        steps = (Step(status=status, fields=day), then(ASKED, status=status))
        yield Case(f"heuristic-{status}-not_cached", REQUIRED, steps)
    public = Step(status=599, fields=(*day, "Cache-Control: public"))
    yield Case("heuristic-599-cached", OPTIMAL, (public, then(STORED, status=599)))
    for delta in (5, 10, 30, 60, 300, 600, 1200, 1800, 3600, 12 * 3600, DAY):
        dated = (f"Last-Modified: @{-delta}", "Date: @0")
        yield two(f"heuristic-delta-{delta}", CHECK, STORED, *dated)


def _varying() -> Iterator[Case]:
    """Vary: which stored answer a request gets."""

    def pair(
        name: str, kind: str, expect: str, vary: str, ask: Iterable[str], again: Iterable[str]
    ) -> Case:
        first = Step(ask=tuple(ask), fields=(*VARIED, *vary.split(" | ")))
        return Case(f"vary-{name}", kind, (first, then(expect, *again)))

    one, two_, three = "Vary: Foo", "~Vary: Foo, Bar", "~Vary: Foo, Bar, Baz"
    foo, bar, baz = "Foo: 1", "Bar: abc", "Baz: 789"
    language, english = "Vary: Accept-Language", ("Accept-Language: en, de",)
    yield pair("match", OPTIMAL, STORED, one, (foo,), (foo,))
    yield pair("no-match", REQUIRED, ASKED, one, (foo,), ("Foo: 2",))
    yield pair("omit-stored", REQUIRED, ASKED, one, (), (foo,))
    yield pair("omit", REQUIRED, ASKED, one, (foo,), ())
    yield pair("cache-key", OPTIMAL, STORED, one, (foo, "Other: 2"), (foo, "Other: 3"))
    yield pair("2-match", OPTIMAL, STORED, two_, (foo, bar), (foo, bar))
    yield pair("2-no-match", REQUIRED, ASKED, two_, (foo, bar), ("Foo: 2", bar))
    yield pair("2-match-omit", REQUIRED, ASKED, two_, (foo, bar), ())
    yield pair("3-match", OPTIMAL, STORED, three, (foo, bar, baz), (foo, bar, baz))
    yield pair("3-no-match", REQUIRED, ASKED, three, (foo, bar, baz), ("Foo: 2", bar, baz))
    yield pair("3-order", REQUIRED, ASKED, three, (foo, bar, baz), (foo, baz, "Bar: abcde"))
    yield pair("3-omit", OPTIMAL, STORED, three, (foo, baz), (foo, baz))
    yield pair("star", REQUIRED, ASKED, "Vary: *", (foo, baz), (foo, baz))
    yield pair("normalise-combine", OPTIMAL, STORED, one, ("Foo: 1, 2",), (foo, "Foo: 2"))
    yield pair("normalise-space", OPTIMAL, STORED, one, ("Foo: 1,2",), ("Foo:  1, 2 ",))
    for name, again in (
        ("order", "de, en"),
        ("case", "eN, De"),
        ("space", " en ,   de"),
    ):
        asked = (f"Accept-Language: {again}",)
        yield pair(f"normalise-lang-{name}", OPTIMAL, STORED, language, english, asked)
    german, wish = f"{language} | Content-Language: de", "Accept-Language: fr;q=0.5, de;q=1.0"
    yield pair("normalise-lang-select", OPTIMAL, STORED, german, english, (wish,))
    for name, vary in (
        ("star", "~Vary: *"),
        ("star-star", "~Vary: *, *"),
        ("star-star-lines", "~Vary: * | ~Vary: *"),
        ("empty-star", "~Vary: , *"),
        ("empty-star-lines", "~Vary:  | ~Vary: *"),
        ("star-foo", "~Vary: *, Foo"),
        ("foo-star", "~Vary: Foo, *"),
    ):
        yield pair(f"syntax-{name}", REQUIRED, ASKED, vary, (foo, baz), (foo, baz))
    first = Step(ask=(foo,), fields=(*VARIED, one), text="foo_1")
    second = Step(ask=("Foo: 2",), fields=(*VARIED, one), text="foo_2", expect=ASKED)
    third = then(STORED, foo, text="foo_1")
    yield Case("vary-invalidate", OPTIMAL, (first, second, third))


def _partial() -> Iterator[Case]:
    """Parts: given out of what is stored, and stored themselves."""
    life, whole = "Cache-Control: max-age=3600", "01234567890"
    for name, text, wanted, part in (
        ("", whole, "0-1", "01"),
        ("-no-last", whole, "1-", "1234567890"),
        ("-suffix", "0123456789A", "-1", "A"),
    ):
        cut = then(STORED, f"Range: bytes={wanted}", sees=206, reads=part)
        steps = (Step(fields=(life,), text=text), cut)
        yield Case(f"partial-store-complete-reuse-partial{name}", OPTIMAL, steps)
    ask = ("Range: bytes=-5",)
    told = "Content-Range: bytes 4-9/10"
    stored = Step(ask=ask, status=206, fields=(life, told), text="01234")
    for name, wanted, part in (
        ("", "-5", "01234"),
        ("-byterange", "6-8", "234"),
        ("-absent", "6-", "234"),
        ("-suffix", "-1", "4"),
    ):
        cut = then(STORED, f"Range: bytes={wanted}", sees=206, reads=part)
        first = stored if name else evolve(stored, gets=ask)
        yield Case(f"partial-store-partial-reuse-partial{name}", OPTIMAL, (first, cut))
    begun = evolve(stored, fields=(life, "Content-Range: bytes 0-4/10"))
    completed = then("", gets=("range: bytes=5-",))
    yield Case("partial-store-partial-complete", OPTIMAL, (begun, completed))
    first = Step(fields=(life, "A: 1"), text=whole)
    cut = then(STORED, "Range: bytes=0-1", sees=206, reads="01")
    new = evolve(cut, fields=("A: 2",))
    yield Case("partial-use-headers", REQUIRED, (first, new))
    kept = evolve(cut, has=("A: 1",))
    yield Case("partial-use-stored-headers", REQUIRED, (first, kept))


def _stale() -> Iterator[Case]:
    """What is served when the origin does not answer, or while it is asked."""
    close = then(STORED, cut=True)
    down = then(STORED, status=503, sees=200)
    yield Case("stale-close", CHECK, (short(), close))
    yield Case("stale-503", CHECK, (short(), down))
    control = "Cache-Control: max-age=1, stale-while-revalidate={}"
    first = Step(fields=(control.format(3600), 'ETag: "abc"'), rest=True)
    yield Case("stale-while-revalidate", OPTIMAL, (first, then(STORED)))
    first = evolve(first, fields=(control.format(4), 'ETag: "abc"'))
    second = then(STORED, fields=("~Cache-Control: no-cache", '~ETag: "def"'), rest=True)
    third = then(has=("client-request-count: 3",))
    yield Case("stale-while-revalidate-window", REQUIRED, (first, second, third))
    granted = Step(fields=("Cache-Control: max-age=2, stale-if-error=60",), rest=True)
    yield Case("stale-sie-close", CHECK, (granted, close))
    yield Case("stale-sie-503", CHECK, (granted, close))
    for name in ("must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2"):
        first = Step(fields=(f"Cache-Control: max-age=2, {name}",), rest=True)
        refused = then(cut=True, sees=0, any_body=True, lacks=("server-request-count",))
        yield Case(f"stale-close-{name}", REQUIRED, (first, refused), ("stale-close",))
    warned = evolve(close, has=("warning",))
    stored = Step(fields=STALE)
    yield Case("stale-warning-stored", CHECK, (stored, warned), ("stale-close",))
    yield Case("stale-warning-become", CHECK, (short(), warned), ("stale-close",))


def _invalidation() -> Iterator[Case]:
    """What unsafe methods and HEAD do to what is stored."""
    located = ("Location: ^/location_target", "Content-Location: ^/content_location_target")
    for method in ("POST", "PUT", "DELETE", "M-SEARCH"):
        change = Step(method=method, sends="abc")
        yield Case(f"invalidate-{method}", REQUIRED, (fresh(), change, then(ASKED)))
        failed = evolve(change, status=500)
        yield Case(f"invalidate-{method}-failed", OPTIMAL, (fresh(), failed, then(STORED)))
        for name, target in (("location", "/location_target"), ("cl", "/content_location_target")):
            steps = (
                evolve(fresh(target=target), rest=False),
                evolve(change, fields=located),
                then(ASKED, target=target, fields=FRESH),
            )
            yield Case(f"invalidate-{method}-{name}", CHECK, steps, (f"invalidate-{method}",))
    head = Step(method="HEAD", gets_method="HEAD")
    longer = "Cache-Control: max-age=1000"
    yield Case("head-writethrough", CHECK, (short(), head))
    yield Case("head-200-retain", CHECK, (short(), evolve(head, has=("Template-A: 1",))))
    again = evolve(head, fields=(longer,))
    yield Case("head-200-freshness-update", CHECK, (short(), again, then(STORED)))
    changed = then(STORED, has=("Template-A: 2",))
    again = evolve(head, fields=("Template-A: 2", longer))
    yield Case("head-200-update", CHECK, (short(), again, changed))
    gone = evolve(again, status=410)
    yield Case("head-410-update", CHECK, (short(), gone, changed))


#: Field; two values; what is special: "hop" by hop, "must" be updated by a 304, "never" updated.
_FIELDS = (
    ("Test-Header", "", "", "must"),
    ("X-Test-Header", "", "", "must"),
    ("Content-Foo", "", "", "must"),
    ("X-Content-Foo", "", "", "must"),
    ("Cache-Control", "max-age=1", "max-age=3600", "must"),
    ("Connection", "", "", "hop"),
    ("Content-Encoding", "", "", ""),
    ("Content-Length", "5", "10", "never"),
    ("Content-Location", "/foo", "/bar", ""),
    ("Content-MD5", "rL0Y20zC+Fzt72VPzMSk2A==", "N7UdGUp1E+RbVvZSTy1R8g==", ""),
    ("Content-Range", "", "", ""),
    (
        "Content-Security-Policy",
        "default-src 'self'",
        "default-src 'self' cdn.example.com",
        "",
    ),
    ("Content-Type", "text/plain", "text/plain;charset=utf-8", ""),
    ("Clear-Site-Data", "cache", "cookies", ""),
    ("ETag", '"abcdef"', '"ghijkl"', ""),
    ("Expires", "Fri, 01 Jan 2038 01:01:01 GMT", "Mon, 11 Jan 2038 11:11:11 GMT", ""),
    ("Keep-Alive", "", "", "hop"),
    ("Proxy-Authenticate", "", "", "hop"),
    ("Proxy-Authentication-Info", "", "", "hop"),
    ("Proxy-Authorization", "", "", "hop"),
    ("Proxy-Connection", "", "", "hop"),
    ("Public-Key-Pins", "", "", ""),
    ("Set-Cookie", "a=b", "a=c", ""),
    ("Set-Cookie2", "a=b", "a=c", ""),
    ("TE", "", "", "hop"),
    ("Transfer-Encoding", "", "", "hop"),
    ("Upgrade", "", "", "hop"),
    ("X-Frame-Options", "deny", "sameorigin", ""),
    ("X-XSS-Protection", "1", "1; mode=block", ""),
)


def _fields() -> Iterator[Case]:
    """Which fields are stored, and which a 304 renews."""
    listed = fresh("~Connection: a, b", "~a: 1", "~b: 2", "~c: 3")
    kept = then(STORED, has=("c: 3",), lacks=("a", "b"))
    yield Case("headers-omit-headers-listed-in-Connection", REQUIRED, (listed, kept))
    modified = "Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT"
    life = ("Cache-Control: max-age=2", modified, "Date: @0", "Test-Header: here")
    first = Step(fields=life, rest=True)
    renewed = then(BY_DATE, fields=(modified, "Date: @0"), has=("Test-Header: here",))
    yield Case("304-lm-use-stored-Test-Header", REQUIRED, (first, renewed))
    for name, first_value, second_value, special in _FIELDS:
        before, after = first_value or f"{name}-A", second_value or f"{name}-B"
        yield _stored_field(name, after, special)
        if special != "hop":
            yield _renewed_field(name, before, after, special)


def _stored_field(name: str, value: str, special: str) -> Case:
    hop = special == "hop"
    fields = ("Date: @0", f"{'~' if hop else ''}{name}: {value}")
    if name != "Cache-Control":
        fields += ("Cache-Control: max-age=3600",)
    first = Step(fields=fields, rest=True, any_body=special == "never")
    told = {"lacks": (f"{name}: {value}",)} if hop else {"has": (f"{name}: {value}",)}
    again = then(STORED, any_body=special == "never", **told)
    return Case(f"headers-store-{name}", REQUIRED, (first, again))


def _renewed_field(name: str, before: str, after: str, special: str) -> Case:
    never = special == "never"
    validator = () if name == "ETag" else (f'ETag: "{name}"',)
    life = () if name == "Cache-Control" else ("Cache-Control: max-age=2",)
    mark = "~" if never else ""

    def step(value: str, **more: object) -> Step:
        fields = ("Date: @0", f"{mark}{name}: {value}", *life, *validator)
        return Step(fields=fields, any_body=never, **more)

    seen = (f"{name}: {before if never else after}",)
    steps = (
        step(before, rest=True),
        step(after, expect=BY_ETAG, has=seen),
        step(after, expect=STORED, has=seen),
    )
    kind = REQUIRED if special in ("must", "never") else CHECK
    needs = ("304-lm-use-stored-Test-Header",)
    return Case(f"304-etag-update-response-{name}", kind, steps, needs)


def cases() -> tuple[Case, ...]:
    """All of them."""
    groups = (
        *(_freshness(), _age(), _other(), _directives(), _cdn(), _conditions(), _statuses()),
        *(_varying(), _partial(), _stale(), _invalidation(), _fields()),
    )
    return tuple(case for group in groups for case in group)
