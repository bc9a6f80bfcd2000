"""Whether upstreams can be reached."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands.reaching import Reached, reach_by
from aimirror.download.tasks import Reason
from aimirror.http.egress import Egress, Outgoing
from aimirror.http.headers import Headers
from aimirror.interfaces import UpstreamError

NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


class Scripted:
    """Answers by origin: a status, or an error."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said
        self.asked: list[Outgoing] = []
        self.aborted = 0

    def request(self, outgoing: Outgoing, body: object = None, redirects: int = 0) -> Deferred[Any]:
        self.asked.append(outgoing)
        told = self.said[outgoing.url.rstrip("/")]
        if isinstance(told, Exception):
            return fail(told)
        headers = Headers([("Date", "Sun, 06 Nov 1994 08:49:47 GMT")])
        return succeed(SimpleNamespace(status=told, headers=headers, abort=self.abort))

    def abort(self) -> None:
        self.aborted += 1


class ReachingTests(SynchronousTestCase):
    def reach(self, said: dict[str, Any], egress: Egress | None = None) -> list[Reached]:
        self.upstream = Scripted(said)
        wanted = dict.fromkeys(said, egress or Egress())
        return self.successResultOf(
            reach_by(self.upstream, wanted, lambda: NOW)  # type: ignore[arg-type]
        )

    def test_any_status_is_an_answer(self) -> None:
        """Whatever status an origin answers with, it is there; its clock is compared with ours."""
        found = self.reach({"https://a": 200, "https://b": 404, "https://c": 503})
        self.assertEqual([each.problem for each in found], ["", "", ""])
        self.assertEqual([each.ahead for each in found], [10.0, 10.0, 10.0])
        self.assertEqual((self.upstream.aborted, self.upstream.asked[0].method), (3, "HEAD"))

    def test_failures(self) -> None:
        """One that fails hides none of the others; a proxy's demand for a login is a failure."""
        found = self.reach(
            {
                "https://a": UpstreamError(Reason.CONNECT, "refused"),
                "https://b": 407,
                "https://c": 200,
            }
        )
        self.assertIn("refused", found[0].problem)
        self.assertIn("407", found[1].problem)
        self.assertEqual(found[2].problem, "")

    def test_ways(self) -> None:
        """The proxy in between is named without its password; hosts that go round it have none."""
        egress = Egress("http://u:secret@proxy:3128", no_proxy=("b",))
        found = self.reach({"https://a": 200, "https://b": 200, "http://c": 200}, egress)
        self.assertEqual([each.proxy for each in found], ["proxy:3128", "", "proxy:3128"])
