"""aimirror.caching.validation: RFC 9111 sections 3.2, 4.3 and 4.4."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.caching.freshness import age
from aimirror.caching.validation import conditional, confirms, freshen, head_updates, invalidated
from aimirror.http.dates import format_date
from aimirror.http.headers import Headers

NOW = 1_750_000_000.0
THEN, LATER = format_date(NOW - 5000), format_date(NOW - 1000)
Fields = dict[str, str]
#: RFC 9111 section 4.3.1: (status, stored fields, conditional fields).
CONDITIONS: tuple[tuple[int, Fields, Fields], ...] = (
    (200, {}, {}),
    (200, {"ETag": '"a"'}, {"If-None-Match": '"a"'}),
    (200, {"ETag": 'W/"a"'}, {"If-None-Match": 'W/"a"'}),
    (200, {"ETag": "a"}, {"If-None-Match": "a"}),
    (200, {"ETag": ""}, {}),
    (200, {"Last-Modified": THEN}, {"If-Modified-Since": THEN}),
    (200, {"Last-Modified": "x"}, {}),
    (
        200,
        {"ETag": '"a"', "Last-Modified": THEN},
        {"If-None-Match": '"a"', "If-Modified-Since": THEN},
    ),
    (204, {"ETag": '"a"'}, {"If-None-Match": '"a"'}),
    (301, {"ETag": '"a"'}, {}),
    (404, {"ETag": '"a"', "Last-Modified": THEN}, {}),
)
#: RFC 9111 section 4.3.4: (stored fields, fields of the 304, whether it is about the entry).
CONFIRMED: tuple[tuple[Fields, Fields, bool], ...] = (
    ({"ETag": '"a"'}, {"ETag": '"a"'}, True),
    ({"ETag": '"a"'}, {"ETag": 'W/"a"'}, True),
    ({"ETag": 'W/"a"'}, {"ETag": 'W/"a"'}, True),
    ({"ETag": '"a"'}, {"ETag": '"b"'}, False),
    ({"ETag": '"a"'}, {"ETag": '"A"'}, False),
    ({}, {"ETag": '"a"'}, False),
    ({"ETag": '"a"'}, {}, True),
    ({}, {}, True),
    ({"Last-Modified": THEN}, {"Last-Modified": THEN}, True),
    ({"Last-Modified": THEN}, {"Last-Modified": LATER}, False),
    ({"Last-Modified": THEN}, {}, True),
    ({}, {"Last-Modified": THEN}, False),
    ({"ETag": '"a"', "Last-Modified": THEN}, {"ETag": '"a"', "Last-Modified": LATER}, True),
    ({"ETag": '"a"', "Last-Modified": THEN}, {"ETag": '"b"', "Last-Modified": THEN}, False),
)
#: RFC 9111 section 3.2: (field, stored value, value in the 304, value afterwards).
UPDATES: tuple[tuple[str, str | None, str | None, str | None], ...] = (
    ("Test-Header", "1", "2", "2"),
    ("Test-Header", "1", None, "1"),
    ("Test-Header", None, "2", "2"),
    ("test-HEADER", "1", "2", "2"),
    ("Content-Foo", "1", "2", "2"),
    ("X-Content-Foo", "1", "2", "2"),
    ("Cache-Control", "max-age=1", "max-age=3600", "max-age=3600"),
    ("Cache-Control", "max-age=1", None, "max-age=1"),
    ("Expires", THEN, LATER, LATER),
    ("ETag", '"a"', 'W/"a"', 'W/"a"'),
    ("Content-Location", "/foo", "/bar", "/bar"),
    ("Content-Security-Policy", "a", "b", "b"),
    ("Content-MD5", "a", "b", "b"),
    ("X-PyPI-Last-Serial", "1", "2", "2"),
    ("Content-Length", "5", "10", "5"),
    ("Content-Length", None, "0", None),
    ("Content-Encoding", None, "gzip", None),
    ("Content-Type", "text/html", "text/plain", "text/html"),
    ("Content-Range", None, "bytes 0-1/5", None),
    ("Vary", "Accept", "Accept, Foo", "Accept"),
    ("Set-Cookie", None, "a=b", None),
    ("Warning", None, "110 - x", None),
    ("Keep-Alive", None, "1", None),
    ("Proxy-Authenticate", None, "x", None),
    ("Age", "500", None, None),
    ("Age", "500", "7", "7"),
)
#: RFC 9111 section 4.3.5: (stored fields, fields of the HEAD answer, whether the entry survives).
HEADS: tuple[tuple[Fields, Fields, bool], ...] = (
    ({}, {}, True),
    ({"ETag": '"a"'}, {"ETag": '"a"'}, True),
    ({"ETag": '"a"'}, {"ETag": '"b"'}, False),
    ({}, {"ETag": '"a"'}, False),
    ({"ETag": '"a"'}, {}, True),
    ({"Last-Modified": THEN}, {"Last-Modified": THEN}, True),
    ({"Last-Modified": THEN}, {"Last-Modified": LATER}, False),
    ({"ETag": '"a"', "Last-Modified": THEN}, {"ETag": '"a"', "Last-Modified": LATER}, False),
    ({"Content-Length": "5"}, {"Content-Length": "5"}, True),
    ({"Content-Length": "5"}, {"Content-Length": "6"}, False),
    ({}, {"Content-Length": "5"}, True),
    ({}, {"Content-Length": "6"}, False),
    ({"Content-Length": "5"}, {"Content-Length": "3", "Content-Encoding": "gzip"}, True),
)
URL = "https://u.example/a/b?q=1"
#: RFC 9111 section 4.4: (method, status, fields, URLs).
INVALIDATED: tuple[tuple[str, int, Fields, tuple[str, ...]], ...] = (
    ("POST", 200, {}, (URL,)),
    ("PUT", 201, {}, (URL,)),
    ("DELETE", 204, {}, (URL,)),
    ("PATCH", 302, {}, (URL,)),
    ("M-SEARCH", 200, {}, (URL,)),
    ("UNHEARD", 200, {}, (URL,)),
    ("POST", 400, {}, ()),
    ("POST", 404, {"Location": "/x"}, ()),
    ("POST", 500, {}, ()),
    ("POST", 100, {}, ()),
    ("GET", 200, {"Location": "/x"}, ()),
    ("HEAD", 200, {}, ()),
    ("OPTIONS", 200, {}, ()),
    ("TRACE", 200, {}, ()),
    ("PROPFIND", 207, {}, ()),
    ("POST", 201, {"Location": "/x"}, (URL, "https://u.example/x")),
    ("POST", 201, {"Location": "x"}, (URL, "https://u.example/a/x")),
    ("POST", 201, {"Location": "../x?y#z"}, (URL, "https://u.example/x?y")),
    ("POST", 201, {"Content-Location": "/y"}, (URL, "https://u.example/y")),
    (
        "POST",
        201,
        {"Location": "/x", "Content-Location": "/y"},
        (URL, "https://u.example/x", "https://u.example/y"),
    ),
    ("POST", 201, {"Location": "/x", "Content-Location": "/x"}, (URL, "https://u.example/x")),
    ("POST", 201, {"Content-Location": ""}, (URL,)),
    ("POST", 201, {"Content-Location": URL}, (URL,)),
    ("POST", 201, {"Location": "https://U.Example:443/x"}, (URL, "https://u.example/x")),
    ("POST", 201, {"Location": "//u.example/x"}, (URL, "https://u.example/x")),
    ("POST", 201, {"Location": "http://u.example/x"}, (URL,)),
    ("POST", 201, {"Location": "https://u.example:8443/x"}, (URL,)),
    ("POST", 201, {"Location": "https://other.example/x"}, (URL,)),
    ("POST", 201, {"Location": "https://u.example.evil/x"}, (URL,)),
    ("POST", 201, {"Location": "https://[broken/x"}, (URL,)),
    ("POST", 201, {"Location": "https://u.example:port/x"}, (URL,)),
    ("POST", 201, {"Location": "mailto:x"}, (URL,)),
)


def entry(fields: Fields, status: int = 200) -> Entry:
    headers = Headers([("Date", format_date(NOW)), *fields.items()])
    return Entry(key=URL, status=status, headers=headers, requested_at=NOW, received_at=NOW, size=5)


class ValidationTests(SynchronousTestCase):
    def test_conditional(self) -> None:
        """A request is made conditional on what the entry has, as it was received."""
        for status, fields, expected in CONDITIONS:
            found = conditional(entry(fields, status))
            self.assertEqual(dict(found), expected, (status, fields))

    def test_confirms(self) -> None:
        """A 304 with another validator is about something else."""
        for ours, theirs, expected in CONFIRMED:
            found = confirms(entry(ours), Headers(theirs.items()))
            self.assertEqual(found, expected, (ours, theirs))

    def test_updates(self) -> None:
        """A 304 replaces fields, save those that describe our stored bytes."""
        for name, ours, theirs, expected in UPDATES:
            stored = entry({} if ours is None else {name: ours})
            answer = Headers([] if theirs is None else [(name.upper(), theirs)])
            found = freshen(stored, answer, NOW + 100, NOW + 100).headers.get(name)
            self.assertEqual(found, expected, (name, ours, theirs))

    def test_lines(self) -> None:
        """All lines of a field are replaced together."""
        stored = entry({})
        stored = evolve(stored, headers=Headers([*stored.headers, ("L", "1"), ("L", "2")]))
        found = freshen(stored, Headers([("l", "3"), ("l", "4")]), NOW, NOW)
        self.assertEqual(found.headers.get_all("L"), ("3", "4"))

    def test_named_fields(self) -> None:
        """A 304's Connection and no-cache="field" keep the fields that they name out."""
        answer = Headers(
            [("Connection", "hop"), ("hop", "1"), ("Cache-Control", 'no-cache="own"'), ("own", "1")]
        )
        found = freshen(entry({"own": "0"}), answer, NOW, NOW)
        self.assertNotIn("hop", found.headers)
        self.assertNotIn("own", found.headers)

    def test_times(self) -> None:
        """A freshened entry is as old as the 304: its Date, else the time of receipt."""
        later = NOW + 1000
        stored = evolve(entry({"Age": "500"}), invalidated=True)
        for items, expected in (
            ([], 1.0),
            ([("Date", format_date(later))], 1.0),
            ([("Date", format_date(later - 50))], 50.0),
            ([("Date", "x")], 1.0),
            ([("Age", "70")], 71.0),
        ):
            found = freshen(stored, Headers(items), later - 1, later)
            self.assertEqual(age(found, later), expected, items)
            self.assertFalse(found.invalidated)
            self.assertEqual((found.requested_at, found.received_at), (later - 1, later))

    def test_heads(self) -> None:
        """An answer to HEAD updates what it agrees with, and ends what it contradicts."""
        for ours, theirs, survives in HEADS:
            found = head_updates(entry(ours), Headers(theirs.items()), NOW, NOW)
            self.assertEqual(found is not None, survives, (ours, theirs))

    def test_head_fields(self) -> None:
        """An agreeing answer to HEAD brings new fields and a new age, and drops none."""
        stored = entry({"ETag": '"a"', "A": "1", "B": "1"})
        answer = Headers([("ETag", '"a"'), ("A", "2"), ("Cache-Control", "max-age=9")])
        found = head_updates(stored, answer, NOW + 100, NOW + 100)
        assert found is not None
        fields = [found.headers.get(name) for name in ("A", "B", "Cache-Control")]
        self.assertEqual(fields, ["2", "1", "max-age=9"])
        self.assertEqual(age(found, NOW + 100), 0)

    def test_invalidated(self) -> None:
        """A success of an unsafe method invalidates its URL and what it names there."""
        for method, status, fields, expected in INVALIDATED:
            found = invalidated(method, status, URL, Headers(fields.items()))
            self.assertEqual(found, expected, (method, status, fields))
