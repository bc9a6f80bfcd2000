"""aimirror.caching.storing: RFC 9111 sections 3, 3.1, 3.5, 5.2.2; RFC 9213."""

from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.storing import Audience, prepare, storable
from aimirror.http.dates import format_date
from aimirror.http.headers import Headers
from aimirror.routing.policies import CachePolicy

NOW = 1_750_000_000.0
PLAIN = CachePolicy()
FORCED = CachePolicy(ttl=60, ignore_upstream=True)
NO, SCOPED, ANYONE = Audience.NOBODY, Audience.SCOPED, Audience.ANYONE
Fields = dict[str, str]
LIVE = {"Cache-Control": "max-age=60"}
#: RFC 9111 section 3: (method, status, response fields, audience).
BASIC: tuple[tuple[str, int, Fields, Audience], ...] = (
    ("GET", 200, LIVE, ANYONE),
    ("GET", 200, {}, ANYONE),
    ("GET", 200, {"ETag": '"a"'}, ANYONE),
    ("HEAD", 200, LIVE, NO),
    ("POST", 200, LIVE, NO),
    ("PUT", 200, LIVE, NO),
    ("get", 200, LIVE, NO),
    ("GET", 100, LIVE, NO),
    ("GET", 103, LIVE, NO),
    ("GET", 206, LIVE, NO),
    ("GET", 304, LIVE, NO),
    ("GET", 401, LIVE, NO),
    ("GET", 407, LIVE, NO),
    ("GET", 412, LIVE, NO),
    ("GET", 416, LIVE, NO),
    ("GET", 600, LIVE, NO),
    *(
        ("GET", status, LIVE, ANYONE)
        for status in (201, 203, 204, 299, 301, 302, 303, 307, 308, 400, 403, 404, 410)
    ),
    *(("GET", status, LIVE, ANYONE) for status in (451, 499, 500, 502, 503, 504, 599)),
    *(("GET", status, {}, NO) for status in (201, 202, 302, 303, 307, 400, 403, 500, 502, 503)),
    *(("GET", status, {"ETag": '"a"'}, NO) for status in (201, 202, 299, 302, 403, 500)),
    ("GET", 404, {}, ANYONE),
    ("GET", 410, {}, ANYONE),
    ("GET", 404, {"Cache-Control": "max-age=0"}, NO),
    ("GET", 405, {}, NO),
    ("GET", 501, {}, NO),
    ("GET", 301, {}, NO),
    ("GET", 204, {"ETag": '"a"'}, ANYONE),
    ("GET", 299, {"Cache-Control": "public", "ETag": '"a"'}, ANYONE),
    ("GET", 299, {"Cache-Control": "max-age=0", "ETag": '"a"'}, ANYONE),
    ("GET", 200, {"Cache-Control": "max-age=0"}, ANYONE),
    ("GET", 200, {"Expires": "0"}, ANYONE),
    ("GET", 200, {**LIVE, "Vary": "Accept"}, ANYONE),
    ("GET", 200, {**LIVE, "Vary": "*"}, NO),
    ("GET", 200, {**LIVE, "Vary": ", *"}, NO),
    ("GET", 200, {**LIVE, "Vary": "Foo, *"}, NO),
    ("GET", 200, {**LIVE, "Vary": "*, Foo"}, NO),
)
#: RFC 9111 section 5.2.2 and RFC 9213: (status, response fields, audience).
DIRECTIVES: tuple[tuple[int, Fields, Audience], ...] = (
    (200, {"Cache-Control": "no-store"}, NO),
    (200, {"Cache-Control": "No-StOrE"}, NO),
    (200, {"Cache-Control": "max-age=60, no-store"}, NO),
    (200, {"Cache-Control": "no-store=x, max-age=60"}, NO),
    (200, {"Cache-Control": 'ext="no-store", max-age=60'}, ANYONE),
    (200, {"Cache-Control": "public, no-store"}, NO),
    (200, {"Cache-Control": "private, max-age=60"}, NO),
    (200, {"Cache-Control": "public, private, max-age=60"}, NO),
    (200, {"Cache-Control": "private, s-maxage=60"}, NO),
    (200, {"Cache-Control": 'private="a", max-age=60'}, ANYONE),
    (200, {"Cache-Control": 'private="a", private, max-age=60'}, NO),
    (200, {"Cache-Control": "no-cache"}, NO),
    (200, {"Cache-Control": "no-cache", "ETag": '"a"'}, ANYONE),
    (200, {"Cache-Control": "no-cache", "Last-Modified": format_date(NOW)}, ANYONE),
    (200, {"Cache-Control": "no-cache, max-age=60"}, NO),
    (404, {"Cache-Control": "no-cache", "ETag": '"a"'}, NO),
    (200, {"Cache-Control": 'no-cache="a", max-age=60'}, ANYONE),
    (200, {"Cache-Control": "max-age=60, must-revalidate"}, ANYONE),
    (200, {"Cache-Control": "max-age=60, unheard-of"}, ANYONE),
    (200, {"Cache-Control": "max-age=60, no-store, must-understand"}, ANYONE),
    (404, {"Cache-Control": "max-age=60, no-store, must-understand"}, ANYONE),
    (599, {"Cache-Control": "max-age=60, no-store, must-understand"}, NO),
    (599, {"Cache-Control": "max-age=60, must-understand"}, NO),
    (299, {"Cache-Control": "max-age=60, must-understand"}, NO),
    (200, {"Pragma": "no-cache", **LIVE}, ANYONE),
    (200, {"CDN-Cache-Control": "max-age=60", "Cache-Control": "no-store"}, ANYONE),
    (200, {"CDN-Cache-Control": "max-age=60", "Cache-Control": "private"}, ANYONE),
    (200, {"CDN-Cache-Control": "no-store", **LIVE}, NO),
    (200, {"CDN-Cache-Control": "private", **LIVE}, NO),
    (200, {"CDN-Cache-Control": "max-age=60, &&&&&", "Cache-Control": "no-store"}, NO),
    (200, {"CDN-Cache-Control": 'max-age="60"', "Cache-Control": "no-store"}, NO),
)
#: RFC 9111 section 3.5: (request fields, Cache-Control, audience).
AUTHORIZED: tuple[tuple[Fields, str, Audience], ...] = (
    ({}, "max-age=60", ANYONE),
    ({"Authorization": "x"}, "max-age=60", SCOPED),
    ({"authorization": "x"}, "max-age=60, public", ANYONE),
    ({"Authorization": "x"}, "max-age=60, must-revalidate", SCOPED),
    ({"Authorization": "x"}, "s-maxage=60", SCOPED),
    ({"Authorization": "x"}, "max-age=0, s-maxage=60, must-revalidate, proxy-revalidate", SCOPED),
    ({"Authorization": "x"}, "s-maxage=60, must-revalidate, public", ANYONE),
    ({"Authorization": "x"}, "max-age=60, proxy-revalidate", SCOPED),
    ({"Authorization": "x"}, "max-age=60, private", NO),
    ({"Authorization": "x"}, "no-store, public", NO),
    ({"Authorization": "x"}, "s-maxage=60, private", NO),
    ({"Cookie": "x"}, "max-age=60", SCOPED),
    ({"Cookie": "x"}, "max-age=60, public", ANYONE),
    ({"Cache-Control": "no-store"}, "max-age=60", NO),
    ({"Cache-Control": "no-cache"}, "max-age=60", ANYONE),
    ({"Range": "bytes=0-"}, "max-age=60", ANYONE),
)
#: Responses that set cookies: (policy, Cache-Control, audience).
COOKIES: tuple[tuple[CachePolicy, str, Audience], ...] = (
    (PLAIN, "max-age=60", NO),
    (PLAIN, "max-age=60, public", ANYONE),
    (PLAIN, "s-maxage=60", ANYONE),
    (PLAIN, 'max-age=60, no-cache="set-cookie"', ANYONE),
    (PLAIN, 'max-age=60, private="Set-Cookie"', ANYONE),
    (CachePolicy(ttl=60), "", NO),
    (FORCED, "", ANYONE),
    (FORCED, "no-store", NO),
    (FORCED, "private", NO),
)
#: Where the rule says that the URL names its bytes: (request fields, response fields, audience).
IMMUTABLE: tuple[tuple[Fields, Fields, Audience], ...] = (
    ({}, {}, ANYONE),
    ({}, {"Set-Cookie": "a=b"}, ANYONE),
    ({}, {"Cache-Control": "max-age=0"}, ANYONE),
    ({}, {"Cache-Control": "no-cache"}, ANYONE),
    ({}, {"Cache-Control": "no-store"}, NO),
    ({"Cache-Control": "no-store"}, {}, ANYONE),
    ({}, {"Cache-Control": "private"}, NO),
    ({"Authorization": "x"}, {"Cache-Control": "private"}, SCOPED),
    ({"Authorization": "x"}, {}, SCOPED),
    ({"Authorization": "x"}, {"Cache-Control": "public"}, ANYONE),
)
#: RFC 9111 section 3.1 and RFC 9110 section 7.6.1: (received, names kept beside Date).
KEPT: tuple[tuple[list[tuple[str, str]], list[str]], ...] = (
    (
        [("Content-Type", "a"), ("X-Test", "b"), ("Content-Length", "5")],
        ["Content-Type", "X-Test", "Content-Length"],
    ),
    (
        [("ETag", '"a"'), ("Age", "5"), ("Expires", "0"), ("Vary", "x")],
        ["ETag", "Age", "Expires", "Vary"],
    ),
    ([("Connection", "a, B"), ("A", "1"), ("b", "2"), ("c", "3")], ["c"]),
    ([("Connection", "a"), ("Connection", "b"), ("a", "1"), ("b", "2")], []),
    ([("Keep-Alive", "1"), ("TE", "x"), ("Upgrade", "x"), ("Trailer", "x")], []),
    ([("Transfer-Encoding", "chunked"), ("Proxy-Connection", "close")], []),
    ([("Proxy-Authenticate", "x"), ("Proxy-Authorization", "x")], []),
    ([("Proxy-Authentication-Info", "x"), ("WWW-Authenticate", "x")], ["WWW-Authenticate"]),
    ([("Set-Cookie", "a=b"), ("Warning", "110 - x"), ("X", "1")], ["X"]),
    (
        [("Cache-Control", 'no-cache="a, B"'), ("A", "1"), ("b", "2"), ("c", "3")],
        ["Cache-Control", "c"],
    ),
    ([("Cache-Control", 'private="a"'), ("A", "1"), ("A", "2")], ["Cache-Control"]),
    ([("Cache-Control", "no-cache"), ("A", "1")], ["Cache-Control", "A"]),
    (
        [("CDN-Cache-Control", "max-age=5"), ("Cache-Control", 'private="a"'), ("a", "1")],
        ["CDN-Cache-Control", "Cache-Control", "a"],
    ),
)


class StoringTests(SynchronousTestCase):
    def check(
        self,
        expected: Audience,
        *,
        method: str = "GET",
        status: int = 200,
        request: Fields | None = None,
        response: Fields | None = None,
        policy: CachePolicy = PLAIN,
        immutable: bool = False,
    ) -> None:
        asked, answered = Headers((request or {}).items()), Headers((response or {}).items())
        found = storable(method, asked, status, answered, policy, immutable=immutable)
        case = f"{method} {request} {status} {response} {policy}: {found}"
        self.assertIs(found.audience, expected, case)
        self.assertEqual(found.store, expected is not NO, case)
        self.assertEqual(found.public, expected is ANYONE, case)
        self.assertEqual(found.reason == "", expected is ANYONE, case)

    def test_basic(self) -> None:
        """Method, status and usefulness decide first."""
        for method, status, response, expected in BASIC:
            self.check(expected, method=method, status=status, response=response)

    def test_directives(self) -> None:
        """The origin's directives decide; a targeted field goes before the plain one."""
        for status, response, expected in DIRECTIVES:
            self.check(expected, status=status, response=response)

    def test_authorized(self) -> None:
        """What a credential fetched stays with it, unless the origin opens it to all."""
        for request, control, expected in AUTHORIZED:
            self.check(expected, request=request, response={"Cache-Control": control})

    def test_cookies(self) -> None:
        """A response that sets a cookie is not stored unless meant for all, then without it."""
        for policy, control, expected in COOKIES:
            response = {"Cache-Control": control, "Set-Cookie": "a=b"}
            self.check(expected, response=response, policy=policy)

    def test_immutable(self) -> None:
        """A URL that names its bytes needs no freshness, but no-store and private still hold."""
        for request, response, expected in IMMUTABLE:
            self.check(expected, request=request, response=response, immutable=True)

    def test_disobeyed(self) -> None:
        """Where clients are not obeyed, no-store in a request is about their own caches."""
        request = Headers([("Cache-Control", "no-store")])
        for obeyed in (True, False):
            verdict = storable(
                "GET", request, 200, Headers(LIVE.items()), PLAIN, obey_client=obeyed
            )
            self.assertIs(verdict.store, not obeyed)

    def test_negative_ttl(self) -> None:
        """With a negative_ttl of 0 no 404 is kept."""
        self.check(NO, status=404, policy=CachePolicy(negative_ttl=0))

    def test_kept_fields(self) -> None:
        """Hop-by-hop fields, those that directives name, and cookies are not stored."""
        for received, kept in KEPT:
            stored = prepare(Headers(received), NOW)
            self.assertEqual([name for name, _ in stored if name != "Date"], kept, received)

    def test_date(self) -> None:
        """A valid Date stays as it is, a missing or invalid one becomes the time of receipt."""
        theirs = format_date(NOW - 50)
        self.assertEqual(prepare(Headers([("date", theirs)]), NOW).get_all("Date"), (theirs,))
        for received in (
            Headers(),
            Headers([("Date", "x")]),
            Headers([("Date", "x"), ("Date", "y")]),
        ):
            self.assertEqual(prepare(received, NOW).get_all("Date"), (format_date(NOW),))
