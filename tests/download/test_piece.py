from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.piece import (
    LONGEST_RETRY_AFTER,
    Accepted,
    Answer,
    Refused,
    judge,
    piece_headers,
    retry_after,
)
from aimirror.download.tasks import FetchTask, Reason
from aimirror.http.headers import Headers
from aimirror.http.validator import Validator

TASK = FetchTask(
    id=1,
    url="https://h/f",
    headers=Headers([("Authorization", "Bearer x"), ("accept-encoding", "gzip")]),
    start=100,
    stop=200,
    total=1000,
    path="/part",
    validator=Validator('"v1"', "Wed, 21 Oct 2015 07:28:00 GMT"),
)


def partial(content_range="bytes 100-199/1000", length=100, **fields):
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return Answer(206, Headers([("Content-Range", content_range), *pairs]), length)


class PieceHeadersTests(SynchronousTestCase):
    def test_range_is_inclusive_and_conditional(self):
        """The half-open span goes out as an inclusive range, bound to the strong ETag."""
        fields = piece_headers(TASK)
        self.assertEqual(fields.get_all("Range"), ("bytes=100-199",))
        self.assertEqual(fields.get_all("If-Range"), ('"v1"',))

    def test_identity_only(self):
        """Whatever coding the client accepts, a piece is asked for uncoded."""
        self.assertEqual(piece_headers(TASK).get_all("Accept-Encoding"), ("identity",))

    def test_keeps_credentials(self):
        """The task's own fields go along."""
        self.assertEqual(piece_headers(TASK).get("Authorization"), "Bearer x")

    def test_no_condition_without_a_strong_validator(self):
        """A weak ETag is no condition for a range (RFC 9110 section 13.1.5)."""
        task = evolve(TASK, validator=Validator('W/"v1"'))
        self.assertNotIn("If-Range", piece_headers(task))


class JudgeTests(SynchronousTestCase):
    def verdict(self, answer, task=TASK):
        return judge(task, answer, 0.0)

    def assertRefused(self, answer, reason, task=TASK):
        verdict = self.verdict(answer, task)
        self.assertIsInstance(verdict, Refused)
        self.assertIs(verdict.reason, reason, verdict.detail)
        return verdict

    def test_exact(self):
        """The range that was asked for is accepted."""
        self.assertEqual(self.verdict(partial()), Accepted(200))

    def test_shorter(self):
        """A 206 may carry less than was asked for, from the same start."""
        self.assertEqual(self.verdict(partial("bytes 100-149/1000", 50)), Accepted(150))

    def test_unknown_length(self):
        """A chunked 206 is accepted by its Content-Range."""
        self.assertEqual(self.verdict(partial(length=None)), Accepted(200))

    def test_wrong_offsets(self):
        """Another start, more than asked for, no or an unreadable Content-Range: BAD_RANGE."""
        for value in ("bytes 101-199/1000", "bytes 100-200/1000", "bytes 100-199/*", "lines 1-2/3"):
            self.assertRefused(partial(value), Reason.BAD_RANGE)
        self.assertRefused(Answer(206, Headers(), 100), Reason.BAD_RANGE)

    def test_two_content_ranges(self):
        """Two Content-Range fields can't both be true."""
        fields = [("Content-Range", "bytes 100-199/1000"), ("Content-Range", "bytes 0-9/1000")]
        self.assertRefused(Answer(206, Headers(fields), 100), Reason.BAD_RANGE)

    def test_other_total(self):
        """Another total is another version."""
        self.assertRefused(partial("bytes 100-199/1001"), Reason.CHANGED)

    def test_other_validator(self):
        """Another ETag or date is another version, although the offsets fit."""
        self.assertRefused(partial(etag='"v2"'), Reason.CHANGED)
        late = {"Last_Modified": "Thu, 22 Oct 2015 07:28:00 GMT"}
        self.assertRefused(partial(**late), Reason.CHANGED)

    def test_contradicting_length(self):
        """A Content-Length that contradicts the Content-Range leaves the body in doubt."""
        self.assertRefused(partial(length=99), Reason.PROTOCOL)
        self.assertRefused(partial(length=101), Reason.PROTOCOL)

    def test_encoded(self):
        """A coded body has other offsets; identity is no coding."""
        self.assertRefused(partial(Content_Encoding="gzip"), Reason.ENCODED)
        self.assertRefused(partial(Content_Encoding="identity, br"), Reason.ENCODED)
        self.assertEqual(self.verdict(partial(Content_Encoding="identity")), Accepted(200))

    def test_multipart(self):
        """multipart/byteranges is not bytes of the file."""
        kind = "Multipart/Byteranges; boundary=x"
        self.assertRefused(partial(Content_Type=kind), Reason.BAD_RANGE)

    def test_whole(self):
        """A 200 of the same version means that ranges are ignored."""
        same = Answer(200, Headers([("ETag", '"v1"')]), 1000)
        self.assertRefused(same, Reason.WHOLE)
        self.assertRefused(Answer(200, Headers()), Reason.WHOLE)

    def test_whole_of_another_version(self):
        """A 200 with another validator or size means that If-Range did not match."""
        other = Answer(200, Headers([("ETag", '"v2"')]), 1000)
        self.assertRefused(other, Reason.CHANGED)
        dated = Headers([("ETag", '"v1"')])
        self.assertRefused(Answer(200, dated, 999), Reason.CHANGED)

    def test_whole_of_unknown_version(self):
        """A 200 that says nothing of a version may be a login page: that is no new version."""
        self.assertRefused(Answer(200, Headers(), 999), Reason.WHOLE)

    def test_precondition_failed(self):
        """412 is said of another version."""
        self.assertRefused(Answer(412, Headers()), Reason.CHANGED)

    def test_unsatisfied(self):
        """416 means that the file shrank, or that the server is confused."""
        shrunk = Answer(416, Headers([("Content-Range", "bytes */50")]))
        confused = Answer(416, Headers([("Content-Range", "bytes */1000")]))
        self.assertRefused(shrunk, Reason.CHANGED)
        self.assertRefused(confused, Reason.BAD_RANGE)
        self.assertRefused(Answer(416, Headers()), Reason.BAD_RANGE)

    def test_other_status(self):
        """Redirects and errors are told by their status and Retry-After."""
        busy = Answer(503, Headers([("Retry-After", "7")]))
        verdict = self.assertRefused(busy, Reason.STATUS)
        self.assertEqual((verdict.status, verdict.retry_after), (503, 7.0))
        self.assertEqual(self.assertRefused(Answer(302, Headers()), Reason.STATUS).status, 302)

    @settings(max_examples=50, deadline=None)
    @given(
        st.integers(0, 20), st.integers(1, 20), st.integers(0, 40), st.none() | st.integers(0, 20)
    )
    def test_only_what_was_asked_for(self, first, count, total, length):
        """Whatever is accepted starts at the start, ends within the task and knows its size."""
        task = evolve(TASK, start=5, stop=15, total=20)
        answer = partial(f"bytes {first}-{first + count - 1}/{total}", length)
        verdict = self.verdict(answer, task)
        if isinstance(verdict, Accepted):
            self.assertEqual((first, total), (5, 20))
            self.assertTrue(5 < verdict.stop <= 15)
            self.assertIn(length, (None, verdict.stop - 5))


class RetryAfterTests(SynchronousTestCase):
    def test_forms(self):
        """Seconds or a date, never negative, bounded; nonsense is as none."""
        self.assertIsNone(retry_after(None, 0.0))
        self.assertIsNone(retry_after("soon", 0.0))
        self.assertIsNone(retry_after("-3", 0.0))
        self.assertEqual(retry_after(" 120 ", 0.0), 120.0)
        self.assertEqual(retry_after("9" * 400, 0.0), LONGEST_RETRY_AFTER)
        date = "Thu, 01 Jan 1970 00:01:40 GMT"
        self.assertEqual(retry_after(date, 40.0), 60.0)
        self.assertEqual(retry_after(date, 400.0), 0.0)
