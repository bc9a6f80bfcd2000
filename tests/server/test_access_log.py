"""The access log: its line, its secrets, its bounds."""

from __future__ import annotations

import json
from ipaddress import ip_network

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.access_log import (
    HELD_SECONDS,
    MAX_HELD,
    AccessLog,
    AccessRecord,
    as_json,
    path_of,
)
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer
from aimirror.server.request import MirrorRequest
from tests.server.support import GET, GrowingBody, answer, clock_at_now, connect, hello

EXCHANGE = AccessRecord(
    "GET",
    "/a/b?token=secret",
    "HTTP/1.1",
    206,
    "HIT",
    'http://r/"x"',
    "",
    rule="files",
    id="r1",
    first=0.0625,
    waited=0.125,
)


class AccessLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock: Clock = clock_at_now()
        self.written: list[bytes] = []
        self.log = AccessLog(self.written.append, self.clock)

    def test_line(self) -> None:
        """A line in the combined format, our own words behind; no query, no stray quote."""
        self.log(EXCHANGE, "192.0.2.7", 10, 0.25)
        self.log.flush()
        self.assertEqual(
            self.written,
            [
                b'192.0.2.7 - - [14/Nov/2023:22:13:20 +0000] "GET /a/b?... HTTP/1.1" 206 10 '
                b'"http://r/\\"x\\"" "-" HIT 0.250 "files" 0.125 r1\n'
            ],
        )

    def test_tokens_in_paths(self) -> None:
        """A conda channel's token is told by nobody; what only looks like one stays."""
        token = "ab-1234cdef-5678-90ab-cdef-1234567890ab"
        self.assertEqual(
            path_of(f"/main/t/{token}/x/noarch/a.conda"), "/main/t/***/x/noarch/a.conda"
        )
        for path in ("/debian/pool/main/t/texlive-lang-european-extra/a.deb", "/pool/t/tar/b.deb"):
            self.assertEqual(path_of(path), path)

    def test_nothing_forged_nor_secret(self) -> None:
        """A quote in a path ends nothing; passwords and queries of URLs are told in no format."""
        exchange = EXCHANGE._replace(
            target='http://u:geheim@h/a"b?token=geheim', referer="https://u:ge@heim@h/x?k=geheim"
        )
        lines = []
        for line in (None, as_json):
            log = AccessLog(self.written.append, self.clock, line)
            log(exchange, "192.0.2.7", 10, 0.25)
            log.flush()
            lines.append(self.written.pop())
        self.assertIn(b'"GET http://h/a\\"b?... HTTP/1.1" 206 10 "https://h/x?..."', lines[0])
        self.assertEqual(json.loads(lines[1])["path"], 'http://h/a"b?...')
        self.assertNotIn(b"heim", b"".join(lines))

    def test_json(self) -> None:
        """As JSON, a line is an object with the same facts and no query either."""
        log = AccessLog(self.written.append, self.clock, as_json)
        log(EXCHANGE, "192.0.2.7", 10, 0.25)
        log.flush()
        told = json.loads(self.written[0])
        self.assertEqual(
            (told["time"], told["id"], told["rule"], told["cache"]),
            (1_700_000_000, "r1", "files", "HIT"),
        )
        self.assertEqual((told["first_byte"], told["upstream"]), (0.0625, 0.125))
        self.assertNotIn(b"secret", self.written[0])

    def test_held_for_a_moment(self) -> None:
        """Lines are written together after a moment, without a call left behind."""
        self.log(EXCHANGE, "a", 1, 0)
        self.log(EXCHANGE, "b", 1, 0)
        self.assertEqual(self.written, [])
        self.clock.advance(HELD_SECONDS)
        self.assertEqual([data.count(b"\n") for data in self.written], [2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bound(self) -> None:
        """Many lines at once are written when they fill the buffer."""
        for _ in range(2 * MAX_HELD // 100):
            self.log(EXCHANGE, "192.0.2.7", 10, 0.25)
        self.assertGreaterEqual(len(self.written), 2)
        self.assertLess(max(map(len, self.written)), MAX_HELD + 1000)

    def test_full_disk(self) -> None:
        """A disk that takes nothing costs lines, not requests, and is told of in our own log."""

        def refuse(_: bytes) -> None:
            raise OSError(28, "No space left on device")

        log = AccessLog(refuse, self.clock)
        log(EXCHANGE, "a", 1, 0)
        log.flush()
        log(EXCHANGE, "a", 1, 0)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        log.flush()


class HookTests(SynchronousTestCase):
    def told(self, handler: object) -> tuple[list[tuple[int, int, float]], object]:
        told: list[tuple[int, int, float]] = []
        client = connect(handler, access=lambda e, _, sent, s: told.append((e.status, sent, s)))
        return told, client

    def test_once_with_bytes_and_seconds(self) -> None:
        """An answer is told of once, when it is complete, with the bytes of its body."""
        body = GrowingBody(b"x" * 100, size=100)
        self.addCleanup(body.close)

        async def handler(_: MirrorRequest) -> Answer:
            return answer(body)

        told, client = self.told(handler)
        client.send(GET)
        client.clock.advance(3)
        self.assertEqual(told, [])
        body.grow(0, 100)
        self.assertEqual(told, [(200, 100, 3.0)])

    def test_cut_answers(self) -> None:
        """An answer that was cut, or that the client left, is told of with what was sent."""
        for leaving in (True, False):
            body = GrowingBody(b"x" * 100, size=100)
            self.addCleanup(body.close)

            async def handler(_: MirrorRequest, body: GrowingBody = body) -> Answer:
                return answer(body)

            told, client = self.told(handler)
            client.send(GET)
            body.grow(0, 40)
            client.wire.lose() if leaving else body.fail()
            client.settle()
            self.assertEqual(told, [(200, 40, 0.0)])

    def test_behind_a_proxy(self) -> None:
        """Whom a trusted proxy names is told, and nothing that anybody else says, nor a zone."""
        peers: list[str] = []
        client = connect(hello, access=lambda _, peer, *__: peers.append(peer))
        fields = b"X-Forwarded-For: 198.51.100.9, 203.0.113.5\r\n"
        client.send(GET[:-2] + fields + b"\r\n")
        client.site.proxies = (ip_network("192.0.2.0/24"),)
        client.send(GET[:-2] + fields + b"\r\n")
        client.send(GET)
        client.send(GET[:-2] + b'X-Forwarded-For: fe80::1%" forged\r\n\r\n')
        self.assertEqual(peers, ["192.0.2.7", "203.0.113.5", "192.0.2.7", "fe80::1"])

    def test_refused_heads(self) -> None:
        """What can't be understood is told of with its reason."""
        records: list[AccessRecord] = []
        client = connect(hello, access=lambda record, *_: records.append(record))
        client.send(b"nonsense\r\n\r\n")
        self.assertEqual([record.status for record in records], [400])
        self.assertTrue(records[0].why)

    def test_reasons(self) -> None:
        """An error of the mirror's own and a cut answer have their reason, others have none."""
        records: list[AccessRecord] = []
        body = GrowingBody(b"x" * 100, size=100)
        self.addCleanup(body.close)
        answers = [answer(b"fine"), error_answer(404, "no rule", "for /x"), answer(body)]

        async def handler(_: MirrorRequest) -> Answer:
            return answers.pop(0)

        client = connect(handler, access=lambda record, *_: records.append(record))
        for _ in range(3):
            client.send(GET)
        body.grow(0, 40)
        body.fail()
        client.settle()
        whys = [record.why for record in records]
        self.assertEqual(whys[:2], ["", "no rule: for /x"])
        self.assertTrue(whys[2].startswith("cut: "), whys)
