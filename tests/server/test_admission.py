"""What is said of a request whatever its path is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.headers import Headers
from aimirror.server.admission import at_the_door
from aimirror.server.answers import Answer
from aimirror.server.request import MirrorRequest
from tests.server.support import connect
from tests.server.test_site import ask


async def handler(request: MirrorRequest) -> Answer:
    return Answer(status=200, body=b"served")


class DoorTests(SynchronousTestCase):
    def asked(self, method: str = "GET", target: str = "/x", *fields: str) -> tuple[int, Headers]:
        client = connect(at_the_door(handler, "aimirror-1"))
        head = ask(target, method)[:-2] + "".join(f"{each}\r\n" for each in fields).encode()
        client.send(head + b"\r\n")
        ((status, headers, _),) = client.answers()
        return status, headers

    def test_loop(self) -> None:
        """A request that has been here is refused, one that came through others is not."""
        for passed, status in (
            ("CDN-Loop: aimirror-1", 508),
            ("CDN-Loop: other, aimirror-1; v=1", 508),
            ("CDN-Loop: aimirror-2, aimirror-11", 200),
            ("X: aimirror-1", 200),
        ):
            self.assertEqual(self.asked("GET", "/x", passed)[0], status, passed)

    def test_methods(self) -> None:
        """TRACE is refused; OPTIONS * is answered for the mirror as a whole."""
        self.assertEqual(self.asked("TRACE")[0], 405)
        status, headers = self.asked("OPTIONS", "*")
        self.assertEqual(status, 204)
        self.assertIn("get", headers.tokens("allow"))

    def test_service_workers(self) -> None:
        """No mirrored script comes to stand between a browser and the mirror."""
        self.assertEqual(self.asked("GET", "/x", "Service-Worker: script")[0], 403)
