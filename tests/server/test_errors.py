"""Error answers."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.http.headers import Headers
from aimirror.server.errors import MAX_DETAIL, error_answer, failure_answer, phrase


class ErrorAnswerTests(SynchronousTestCase):
    def test_one_line(self) -> None:
        """The body is one line of JSON, whatever the texts hold; nobody stores it."""
        got = error_answer(502, "bad\nreason", 'a "detail"')
        self.assertEqual(got.body.count(b"\n"), 1)
        self.assertEqual(
            json.loads(got.body),
            {"error": "Bad Gateway", "reason": "bad\nreason", "detail": 'a "detail"'},
        )
        self.assertEqual(got.headers.get("content-type"), "application/json")
        self.assertEqual(got.headers.get("cache-control"), "no-store")

    def test_retry_after(self) -> None:
        """Retry-After is in whole seconds, rounded up, never negative."""
        for given, told in ((1.2, "2"), (0, "0"), (-3, "0")):
            self.assertEqual(error_answer(503, retry_after=given).headers.get("retry-after"), told)
        self.assertNotIn("retry-after", error_answer(503).headers)

    def test_paused(self) -> None:
        """A host that wants to be left alone is told of by the status that it has said so with."""
        got = failure_answer(Reason.STATUS, "", 3.0, 429)
        self.assertEqual((got.status, got.headers.get("retry-after")), (429, "3"))
        self.assertEqual(failure_answer(Reason.STATUS, "").status, 502)

    def test_bound_and_fields(self) -> None:
        """A detail is cut to its bound; fields are added."""
        got = error_answer(400, detail="x" * 10_000, headers=Headers([("Allow", "GET")]))
        self.assertEqual(len(json.loads(got.body)["detail"]), MAX_DETAIL)
        self.assertEqual(got.headers.get("allow"), "GET")

    def test_unknown_status(self) -> None:
        """A status without a phrase has an empty one."""
        self.assertEqual((phrase(404), phrase(599)), ("Not Found", ""))
