"""What goes over the wire for one answer under the request's method, conditions and ranges."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.headers import Headers
from aimirror.server.answers import Answer, Shape, body_size, shape, unsatisfied
from tests.server.support import GrowingBody

DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
LATER = "Tue, 02 Jan 2024 00:00:00 GMT"
FIELDS = Headers(
    [
        ("Content-Type", "text/plain"),
        ("Content-Language", "de"),
        ("ETag", '"v1"'),
        ("Last-Modified", DATE),
        ("Cache-Control", "max-age=60"),
        ("Vary", "Accept"),
        ("Age", "7"),
        ("X-Cache", "HIT"),
    ]
)
TEN = Answer(status=200, headers=FIELDS, body=b"0123456789")


def shaped(answer: Answer = TEN, method: str = "GET", **fields: str) -> Shape | int:
    asked = Headers((name.replace("_", "-"), value) for name, value in fields.items())
    return shape(answer, method, asked, "boundary")


class ConditionTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Each condition comes to its status, for GET and HEAD alike."""
        for fields, status in (
            ({"If_None_Match": '"v1"'}, 304),
            ({"If_None_Match": 'W/"v1"'}, 304),
            ({"If_None_Match": '"a", "v1"'}, 304),
            ({"If_None_Match": "*"}, 304),
            ({"If_None_Match": '"v2"'}, 200),
            ({"If_None_Match": '"v2"', "If_Modified_Since": LATER}, 200),
            ({"If_Modified_Since": DATE}, 304),
            ({"If_Modified_Since": LATER}, 304),
            ({"If_Modified_Since": "Sun, 31 Dec 2023 00:00:00 GMT"}, 200),
            ({"If_Modified_Since": "no date"}, 200),
            ({"If_Match": '"v1"'}, 200),
            ({"If_Match": '"v2"'}, 412),
            ({"If_Match": 'W/"v1"'}, 412),
            ({"If_Unmodified_Since": DATE}, 200),
            ({"If_Unmodified_Since": "Sun, 31 Dec 2023 00:00:00 GMT"}, 412),
        ):
            for method in ("GET", "HEAD"):
                got = shaped(TEN, method, **fields)
                self.assertEqual(got if isinstance(got, int) else got.status, status, fields)

    def test_fields_of_304(self) -> None:
        """A 304 tells what the cache may update, nothing of a body it has not."""
        got = shaped(If_None_Match='"v1"')
        names = {name.lower() for name, _ in got.headers}
        self.assertEqual(
            names, {"etag", "last-modified", "cache-control", "vary", "age", "x-cache"}
        )
        self.assertEqual((got.length, got.parts), (None, ()))

    def test_condition_before_range(self) -> None:
        """A 304 wins over a range."""
        self.assertEqual(shaped(If_None_Match='"v1"', Range="bytes=0-1").status, 304)

    def test_other_answers(self) -> None:
        """Conditions and ranges are for a 200 to GET or HEAD that allows them."""
        asked = {"If_None_Match": '"v1"', "Range": "bytes=0-1"}
        for answer, method in (
            (evolve(TEN, status=404), "GET"),
            (evolve(TEN, status=206), "GET"),
            (TEN, "POST"),
            (evolve(TEN, conditional=False, ranges=False), "GET"),
        ):
            got = shaped(answer, method, **asked)
            self.assertEqual((got.status, got.parts), (answer.status, (b"0123456789",)))


class RangeTests(SynchronousTestCase):
    def test_single(self) -> None:
        """One range is a 206 with its bytes and its place."""
        for asked, told, data in (
            ("bytes=0-3", "bytes 0-3/10", b"0123"),
            ("bytes=8-", "bytes 8-9/10", b"89"),
            ("bytes=8-99", "bytes 8-9/10", b"89"),
            ("bytes=-3", "bytes 7-9/10", b"789"),
            ("bytes=0-1,2-3", "bytes 0-3/10", b"0123"),
        ):
            got = shaped(Range=asked)
            self.assertEqual((got.status, got.length, got.parts), (206, len(data), (data,)), asked)
            self.assertEqual(got.added, (("Accept-Ranges", "bytes"), ("Content-Range", told)))

    def test_unsatisfiable(self) -> None:
        """A range past the end is a 416 that tells the size."""
        self.assertEqual(shaped(Range="bytes=10-"), 416)
        self.assertEqual(unsatisfied(10).get("content-range"), "bytes */10")

    def test_ignored(self) -> None:
        """A malformed or foreign range, and one for HEAD, get everything."""
        for asked in ("bytes=5-2", "lines=0-1", "bytes=a-b"):
            self.assertEqual(shaped(Range=asked).parts, (b"0123456789",))
        got = shaped(TEN, "HEAD", Range="bytes=0-1")
        self.assertEqual((got.status, got.length, got.parts), (200, 10, ()))

    def test_if_range(self) -> None:
        """A range counts only for the version that the client has a part of."""
        for value, status in (
            ('"v1"', 206),
            ('"v2"', 200),
            ('W/"v1"', 200),
            (DATE, 206),
            (LATER, 200),
        ):
            self.assertEqual(shaped(Range="bytes=0-1", If_Range=value).status, status, value)

    def test_multipart(self) -> None:
        """Several ranges are parts, whose length is told beforehand and right."""
        got = shaped(Range="bytes=0-1,5-6,-1")
        body = b"".join(got.parts)
        self.assertEqual(got.status, 206)
        self.assertEqual(got.length, len(body))
        self.assertEqual(got.headers.get("content-type"), "multipart/byteranges; boundary=boundary")
        self.assertEqual(body.count(b"--boundary"), 4)
        self.assertIn(b"Content-Range: bytes 5-6/10\r\n\r\n56\r\n", body)
        self.assertNotIn("Content-Range", dict(got.added))

    def test_unknown_size(self) -> None:
        """While the size is unknown a range is ignored and ranges are not offered."""
        body = GrowingBody(b"0123456789")
        self.addCleanup(body.close)
        got = shaped(evolve(TEN, body=body), Range="bytes=0-1")
        self.assertEqual(got, Shape(200, FIELDS, (), None, ((0, None),)))

    def test_file(self) -> None:
        """Of a file the intervals are named, not read."""
        body = GrowingBody(b"0123456789", size=10)
        self.addCleanup(body.close)
        got = shaped(evolve(TEN, body=body), Range="bytes=2-4")
        self.assertEqual((got.parts, got.length), (((2, 5),), 3))
        self.assertEqual(body.readers, [])


class BodyTests(SynchronousTestCase):
    def test_head_equals_get(self) -> None:
        """HEAD tells the fields and the length of GET, without parts."""
        get, head = shaped(), shaped(TEN, "HEAD")
        self.assertEqual(head, evolve(get, parts=()))

    def test_bodiless(self) -> None:
        """204 and 304 have neither body nor length."""
        for status in (204, 304):
            got = shaped(Answer(status=status, headers=FIELDS, body=b"x"))
            self.assertEqual((got.length, got.parts), (None, ()))

    def test_nothing(self) -> None:
        """An answer without a body has length 0; to HEAD, what the origin told."""
        told = Answer(status=200, headers=Headers([("Content-Length", "55")]))
        self.assertEqual(shaped(told).length, 0)
        self.assertEqual(shaped(told, "HEAD").length, 55)
        self.assertIsNone(shaped(Answer(status=200), "HEAD").length)
        self.assertEqual(body_size(told), 0)
