"""Who may steer, what is asked for, and how work goes on."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.gate import Gate
from aimirror.admin.inputs import body_of, query_of
from aimirror.admin.internal_client import TURN, InternalClient, NotFetched
from aimirror.admin.jobs import MOST_FAILURES, MOST_KNOWN, MOST_RUNNING, Job, Jobs, TooManyJobs
from aimirror.http.headers import Headers
from aimirror.server.answers import Answer
from aimirror.server.request import Handler, MirrorRequest
from aimirror.server.site import MirrorSite
from tests.server.support import GrowingBody, answer, clock_at_now, connect

TOKEN = "0123456789abcdef"
LOCAL = "127.0.0.1"


class GateTests(SynchronousTestCase):
    def passes(self, gate: Gate, peer: str, *fields: tuple[str, str], changes: bool = False) -> int:
        """The status of the objection, 0 for none."""
        seen: list[Answer | None] = []

        async def handler(request: MirrorRequest) -> Answer:
            request.peer = peer
            seen.append(gate.objection(request, changes=changes))
            return answer()

        client = connect(handler)
        given = Headers([("Host", "localhost:8081")])
        for name, value in fields:
            given = given.with_(name, value)
        lines = "".join(f"{name}: {value}\r\n" for name, value in given)
        client.send(f"GET / HTTP/1.1\r\n{lines}\r\n".encode())
        return 0 if seen[0] is None else seen[0].status

    def test_without_a_token(self) -> None:
        """This machine alone, under its own names, and pages of our own."""
        gate = Gate()
        own = ("Origin", "http://localhost:8081")
        self.assertEqual(self.passes(gate, LOCAL), 0)
        self.assertEqual(self.passes(gate, "::1", ("Host", "[::1]:8081")), 0)
        self.assertEqual(self.passes(gate, LOCAL, own, ("Sec-Fetch-Site", "same-origin")), 0)
        for fields in (
            [("Host", "evil.test")],
            [("Host", "localhost.evil.test")],
            [("Host", "10.0.0.1")],
            [("Origin", "http://evil.test")],
            [("Origin", "null")],
            [("Sec-Fetch-Site", "cross-site")],
            [("Sec-Fetch-Site", "same-site")],
            [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Dest", "image")],
            [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Dest", "script")],
            [("X-Forwarded-For", "10.0.0.1")],
            [("Forwarded", "for=10.0.0.1")],
            [("X-Real-IP", "10.0.0.1")],
        ):
            self.assertEqual(self.passes(gate, LOCAL, *fields), 403, fields)
        self.assertEqual(self.passes(gate, "192.0.2.7"), 403)

    def test_changing(self) -> None:
        """What changes something needs a token in a header at all times, from this machine too."""
        gate = Gate(own=TOKEN)
        right = ("Authorization", f"Bearer {TOKEN}")
        self.assertEqual(self.passes(gate, LOCAL), 0)
        self.assertEqual(self.passes(gate, LOCAL, changes=True), 401)
        self.assertEqual(self.passes(gate, LOCAL, right, changes=True), 0)
        self.assertEqual(self.passes(gate, LOCAL, ("X-Aimirror-Token", "x"), changes=True), 401)
        for token in ("", " "):
            given = ("X-Aimirror-Token", token)
            self.assertEqual(self.passes(Gate(), LOCAL, given, changes=True), 401)
        self.assertEqual(self.passes(gate, "192.0.2.7", right, changes=True), 403)
        self.assertEqual(self.passes(Gate("f" * 16, own=TOKEN), LOCAL, right, changes=True), 401)
        self.assertNotIn(TOKEN, repr(gate))

    def test_pages_of_others(self) -> None:
        """A mirrored page gets nothing, whatever token it may have caught."""
        right = ("Authorization", f"Bearer {TOKEN}")
        for fields in (
            [("Origin", "null")],
            [("Sec-Fetch-Site", "cross-site")],
            [("Sec-Fetch-Site", "same-site")],
            [("Sec-Fetch-Dest", "iframe")],
            [("Sec-Fetch-Dest", "serviceworker")],
        ):
            self.assertEqual(self.passes(Gate(TOKEN), LOCAL, right, *fields), 403, fields)

    def test_hosts_need_the_token(self) -> None:
        """Listed networks may come in, but not without a token being there."""
        hosts = (ip_network("192.0.2.0/24"),)
        self.assertEqual(self.passes(Gate("", hosts), "192.0.2.7"), 403)
        right = ("Authorization", f"Bearer {TOKEN}")
        self.assertEqual(self.passes(Gate(TOKEN, hosts), "192.0.2.7", right), 0)
        self.assertEqual(self.passes(Gate(TOKEN, hosts), "198.51.100.1", right), 403)
        self.assertEqual(self.passes(Gate(TOKEN, ()), "192.0.2.7", right), 403)

    def test_token(self) -> None:
        """With a token everybody has to send it, in one of two fields."""
        gate = Gate(TOKEN)
        self.assertEqual(self.passes(gate, LOCAL), 401)
        self.assertEqual(self.passes(gate, LOCAL, ("Authorization", "Bearer wrong")), 401)
        self.assertEqual(self.passes(gate, LOCAL, ("Authorization", f"Basic {TOKEN}")), 401)
        self.assertEqual(self.passes(gate, LOCAL, ("X-Aimirror-Token", TOKEN)), 0)
        self.assertEqual(self.passes(gate, LOCAL, ("Authorization", f"bearer {TOKEN}")), 0)
        self.assertNotIn(TOKEN, repr(gate))


class WordsTests(SynchronousTestCase):
    def test_bodies(self) -> None:
        """A JSON object gives its words; all else is told as the client's mistake."""

        async def handler(request: MirrorRequest) -> Answer:
            words = await body_of(request)
            told = (words.text("a"), words.texts("b"), words.flag("c"), words.number("d"))
            return answer(repr(told).encode())

        good = b"('x', ('y', 'z'), True, 1.5)"
        for body, status, wanted in (
            (b'{"a": "x", "b": ["y", "z"], "c": true, "d": 1.5}', 200, good),
            (b"[]", 400, b"object"),
            (b"{", 400, b"JSON"),
            (b"[" * 50_000, 400, b"JSON"),
            (b'{"a": 1}', 400, b"a: text"),
            (b'{"b": [1]}', 400, b"b: a list"),
            (b'{"c": "perhaps"}', 400, b"c: true or false"),
            (b'{"d": -1}', 400, b"d: a number"),
            (b'{"d": NaN}', 400, b"d: a number"),
        ):
            client = connect(handler)
            head = f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
            client.send(head.encode() + body)
            found, _, told = client.answer()
            self.assertEqual(found, status, told)
            self.assertIn(wanted, told)

    def test_query(self) -> None:
        """Queries give the same kinds of words."""

        async def handler(request: MirrorRequest) -> Answer:
            words = query_of(request)
            told = (words.text("a"), words.flag("c"), words.number("d"), words.number("e"))
            return answer(repr(told).encode())

        client = connect(handler)
        client.send(b"GET /?a=x%20y&c=true&d=2 HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(client.answer()[2], b"('x y', True, 2.0, None)")


class JobsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.jobs = Jobs(clock_at_now())

    def held(self) -> tuple[Job, Deferred[None]]:
        """A job that runs until told."""
        waiting: Deferred[None] = Deferred()

        async def run(job: Job) -> None:
            await waiting

        return self.jobs.start("test", "x", run), waiting

    def test_ends(self) -> None:
        """A job is done, failed with its message, or cancelled; then nothing of it runs."""
        job, waiting = self.held()
        self.assertEqual(job.state, "running")
        waiting.callback(None)
        self.assertEqual(job.state, "done")

        async def bad(job: Job) -> None:
            raise ValueError("no such list")

        job = self.jobs.start("test", "x", bad)
        self.assertEqual((job.state, job.message), ("failed", "no such list"))
        job, _ = self.held()
        self.successResultOf(self.jobs.stop())
        self.assertEqual(job.state, "cancelled")

    def test_look(self) -> None:
        """Work that is watched is looked at whenever its job is told."""
        job, _ = self.held()
        job.total_bytes = 10

        def look() -> None:
            job.bytes += 4

        job.look = look
        told = [job.told() for _ in range(2)]
        self.assertEqual(
            [(each["bytes"], each["total_bytes"]) for each in told], [(4, 10), (8, 10)]
        )
        self.successResultOf(self.jobs.stop())

    def test_fault(self) -> None:
        """A fault of ours is logged in full, and told without details."""

        async def broken(job: Job) -> None:
            raise KeyError("secret")

        job = self.jobs.start("test", "x", broken)
        self.assertEqual(job.state, "failed")
        self.assertNotIn("secret", job.message)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_bounds(self) -> None:
        """Running jobs, known jobs and remembered failures are bounded."""
        running = [self.held() for _ in range(MOST_RUNNING)]
        self.assertRaises(TooManyJobs, self.held)
        for _, waiting in running:
            waiting.callback(None)
        for _ in range(MOST_KNOWN):
            job, waiting = self.held()
            waiting.callback(None)
        self.assertEqual(len(self.jobs.all()), MOST_KNOWN)
        for number in range(MOST_FAILURES + 5):
            job.fail(str(number), "gone")
        self.assertEqual((job.failed, len(job.failures)), (MOST_FAILURES + 5, MOST_FAILURES))


class InsideTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = clock_at_now()

    def inside(self, handler: Handler) -> InternalClient:
        site = MirrorSite(handler, self.clock)
        return InternalClient(site, self.clock)

    def settle(self) -> None:
        for _ in range(50):
            self.clock.advance(0)

    def asked(self, given: Answer, **options: Any) -> Deferred[Any]:
        async def handler(_: MirrorRequest) -> Answer:
            return given

        asked = self.inside(handler).get("/x", **options)
        self.settle()
        return asked

    def test_body(self) -> None:
        """A body that is to be kept is given back; one that is too long is a failure."""
        found = self.successResultOf(self.asked(answer(b"hello"), keep=10))
        self.assertEqual((found.body, found.size, found.cached), (b"hello", 5, False))
        self.failureResultOf(self.asked(answer(b"x" * 11), keep=10), NotFetched)

    def test_one_request(self) -> None:
        """A path is one request, whatever characters a list of files has in it."""
        paths = []

        async def handler(request: MirrorRequest) -> Answer:
            paths.append(request.raw_path)
            return answer(b"hello")

        inside = self.inside(handler)
        more = " HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\nPUT /y"
        for path in (f"/x{more}", "/a b%20c", "/é"):
            inside.get(path)
            self.settle()
        encoded = "%20HTTP/1.1%0D%0AHost:%20h%0D%0AConnection:%20keep-alive%0D%0A%0D%0APUT%20/y"
        self.assertEqual(paths, [f"/x{encoded}", "/a%20b%20c", "/%C3%A9"])

    def test_status(self) -> None:
        """Anything but 200 is a failure that names it."""
        failed = self.failureResultOf(self.asked(answer(status=404)), NotFetched)
        self.assertIn("404", str(failed.value))

    def test_hit(self) -> None:
        """What the cache has is not read when nobody wants to see it."""
        hit = answer(b"x" * 1000, headers=Headers([("X-Cache", "HIT")]))
        found = self.successResultOf(self.asked(hit))
        self.assertEqual((found.size, found.cached), (0, True))

    def test_large_file_blocks_nobody(self) -> None:
        """A large stored file is taken in turns of the reactor, and arrives whole."""
        body = GrowingBody(b"x" * (3 * TURN), 3 * TURN, readable=True)
        self.addCleanup(body.close)

        async def handler(_: MirrorRequest) -> Answer:
            return answer(body)

        counts: list[int] = []
        asked = self.inside(handler).get("/x", got=counts.append)
        self.assertLess(sum(counts), 2 * TURN)
        self.settle()
        self.assertEqual(self.successResultOf(asked).size, 3 * TURN)
        self.assertTrue(body.all_closed)

    def test_cut(self) -> None:
        """A body that breaks off is a failure."""
        body = GrowingBody(b"x" * 100, 100)
        self.addCleanup(body.close)
        body.grow(0, 10)
        asked = self.asked(answer(body))
        self.assertNoResult(asked)
        body.fail()
        self.settle()
        self.failureResultOf(asked, NotFetched)

    def test_cancel(self) -> None:
        """Cancelling leaves the body to itself."""
        body = GrowingBody(b"x" * 100, 100)
        self.addCleanup(body.close)
        body.grow(0, 10)
        asked = self.asked(answer(body))
        asked.cancel()
        asked.addErrback(lambda _: None)
        self.settle()
        self.assertTrue(body.all_closed)
