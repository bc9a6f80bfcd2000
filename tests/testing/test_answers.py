"""What a scripted origin decides to answer."""

import gzip
import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.headers import Headers
from aimirror.testing.answers import Answer, Request, answer
from aimirror.testing.behaviour import resource
from aimirror.testing.indexes import JSON_TYPE, Link, index

CONTENT = bytes(range(100))


def ask(
    told: dict[str, Any] | None = None,
    *fields: tuple[str, str],
    method: str = "GET",
    ordinal: int = 1,
    connection: int = 1,
) -> Answer:
    served = resource("/x", CONTENT, next_content=b"new", **(told or {}))
    return answer(served, Request(method, "/x", Headers(fields)), ordinal, connection)


def sent(given: Answer) -> bytes:
    return given.content[given.start : given.stop]


class HonestTests(SynchronousTestCase):
    def test_whole(self) -> None:
        """Without conditions it is the whole content with validators."""
        given = ask()
        self.assertEqual((given.status, sent(given)), (200, CONTENT))
        self.assertIn(b"Content-Length: 100\r\n", given.head())
        self.assertIn("ETag", given.headers)
        self.assertIn("Last-Modified", given.headers)

    def test_ranges(self) -> None:
        """First-last, open, suffix and too long ranges give what RFC 9110 section 14 says."""
        for asked, start, stop in (
            ("0-0", 0, 1),
            ("10-", 10, 100),
            ("-10", 90, 100),
            ("90-999", 90, 100),
        ):
            given = ask(None, ("Range", f"bytes={asked}"))
            self.assertEqual((given.status, sent(given)), (206, CONTENT[start:stop]))
            self.assertEqual(given.headers.get("Content-Range"), f"bytes {start}-{stop - 1}/100")

    def test_unsatisfiable(self) -> None:
        """A range behind the end is 416 and names the size."""
        given = ask(None, ("Range", "bytes=100-"))
        self.assertEqual((given.status, given.headers.get("Content-Range")), (416, "bytes */100"))

    def test_conditions(self) -> None:
        """The current validator gives 304, another the whole; If-Range guards the range."""
        tag = ask().headers.get("ETag") or ""
        self.assertEqual(ask(None, ("If-None-Match", tag)).status, 304)
        self.assertEqual(ask(None, ("If-None-Match", '"other"')).status, 200)
        since = ask().headers.get("Last-Modified") or ""
        self.assertEqual(ask(None, ("If-Modified-Since", since)).status, 304)
        self.assertEqual(ask(None, ("Range", "bytes=1-2"), ("If-Range", tag)).status, 206)
        self.assertEqual(ask(None, ("Range", "bytes=1-2"), ("If-Range", '"other"')).status, 200)
        weak = ask({"etag": "weak"}).headers.get("ETag") or ""
        self.assertEqual(
            ask({"etag": "weak"}, ("Range", "bytes=1-2"), ("If-Range", weak)).status, 200
        )

    def test_head_is_get_without_body(self) -> None:
        """HEAD has GET's header and sends nothing, faults of the body included."""
        for told in ({}, {"short": 5}, {"framing": "chunked"}, {"encoding": "gzip"}):
            head, get = ask(told, method="HEAD"), ask(told)
            self.assertEqual((head.head(), head.size), (get.head(), 0))

    def test_index_in_two_types(self) -> None:
        """An index is JSON for who accepts it, else HTML, and says that Accept matters."""
        page = index("/simple/a/", "a", [Link("a.whl", "http://h/a.whl", "00")])
        wants = Request("GET", "/simple/a/", Headers([("Accept", JSON_TYPE)]))
        given = answer(page, wants, 1, 1)
        self.assertEqual(json.loads(given.content)["files"][0]["url"], "http://h/a.whl")
        self.assertEqual(given.headers.get("Vary"), "Accept")
        plain = answer(page, Request("GET", "/simple/a/", Headers()), 1, 1)
        self.assertIn(b'href="http://h/a.whl#sha256=00"', plain.content)


class FaultTests(SynchronousTestCase):
    def test_no_ranges(self) -> None:
        """Without ranges a Range gets a whole 200."""
        given = ask({"ranges": False}, ("Range", "bytes=1-2"))
        self.assertEqual((given.status, given.size), (200, 100))
        self.assertNotIn("Accept-Ranges", given.headers)

    def test_lies_in_content_range(self) -> None:
        """Offset and total of Content-Range can be wrong while the bytes are right."""
        given = ask({"range_shift": 3, "range_total": 7}, ("Range", "bytes=1-2"))
        self.assertEqual(given.headers.get("Content-Range"), "bytes 4-5/7")
        self.assertEqual(sent(given), CONTENT[1:3])

    def test_short_and_extra(self) -> None:
        """A body can be cut or overlong although its length is announced rightly."""
        short = ask({"short": 10, "ending": "close"})
        self.assertEqual((sent(short), short.ending), (CONTENT[:90], "close"))
        self.assertIn(b"Content-Length: 100\r\n", short.head())
        extra = ask({"extra": 2}, ("Range", "bytes=0-9"))
        self.assertEqual(sent(extra), CONTENT[:10] + b"!!")
        self.assertIn(b"Content-Length: 10\r\n", extra.head())

    def test_silence(self) -> None:
        """The origin falls silent before the header or after some bytes."""
        self.assertEqual(
            (ask({"silent_header": True}).mute, ask({"silent_header": True}).ending), (True, "hang")
        )
        given = ask({"silent_after": 5})
        self.assertEqual((sent(given), given.ending), (CONTENT[:5], "hang"))

    def test_every_kth_connection(self) -> None:
        """Only every k-th connection crawls or dies."""
        told = {"crawl_every": 3, "die_every": 2, "die_after": 7}
        rates = [ask(told, connection=n).rate for n in (1, 2, 3)]
        sizes = [ask(told, connection=n).size for n in (1, 2, 3)]
        self.assertEqual((rates, sizes), ([0, 0, 10_000], [100, 7, 100]))

    def test_status_for_a_while(self) -> None:
        """A failing status with Retry-After ends after so many requests."""
        told = {"status": 429, "retry_after": "1", "times": 2}
        given = [ask(told, ordinal=n) for n in (1, 2, 3)]
        self.assertEqual([each.status for each in given], [429, 429, 200])
        self.assertEqual(given[0].headers.get("Retry-After"), "1")

    def test_change(self) -> None:
        """From a request on there is another content with another validator."""
        before, after = ask({"changes_at": 2}, ordinal=1), ask({"changes_at": 2}, ordinal=2)
        self.assertEqual((sent(before), sent(after)), (CONTENT, b"new"))
        self.assertNotEqual(before.headers.get("ETag"), after.headers.get("ETag"))
        self.assertNotEqual(before.headers.get("Last-Modified"), after.headers.get("Last-Modified"))

    def test_compressed(self) -> None:
        """A Content-Encoding nobody asked for comes with truly compressed bytes."""
        given = ask({"encoding": "gzip"})
        self.assertEqual(gzip.decompress(sent(given)), CONTENT)

    def test_authorization(self) -> None:
        """Without the right credential it is 401."""
        told = {"authorization": "Bearer t"}
        self.assertEqual(ask(told).status, 401)
        self.assertEqual(ask(told, ("Authorization", "Bearer t")).status, 200)
