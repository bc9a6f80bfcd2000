"""What the tests of downloads share: an upstream and workers that do as they are told."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from aimirror.download.tasks import FetchResult, FetchTask, HashTask, Reason, SendResult, SendTask
from aimirror.exchanges.environment import Environment
from aimirror.exchanges.running import Downloads
from aimirror.http.egress import ANYWHERE, Egress, Outgoing, Zone
from aimirror.http.headers import Headers
from aimirror.http.urls import authority
from aimirror.interfaces import (
    Arriving,
    BodyFailed,
    Hop,
    IFetch,
    IPool,
    IReceiver,
    IUpstream,
    IUpstreamResponse,
    Outcome,
    Passing,
    UpstreamError,
    Wanted,
)
from aimirror.routing.choices import Strategy
from aimirror.routing.digests import Digest, new_hash
from aimirror.routing.rules import Route, Rule
from aimirror.store.store import Store
from aimirror.testing.apart import apart_by
from aimirror.testing.behaviour import pattern
from aimirror.upstream.host import Permit
from aimirror.upstream.hosts import Hosts
from tests.store.support import StoreCase, Threads

KB = 1 << 10
MB = 1 << 20
URL = "http://files.test/one.bin"


@implementer(IUpstreamResponse)
class FakeResponse:
    """A response whose body the test plays."""

    phrase = ""
    reach = ANYWHERE
    zone = Zone.PUBLIC

    def __init__(
        self,
        status: int = 200,
        *fields: tuple[str, str],
        length: int | None = None,
        url: str = URL,
        framed: bool = True,
        hops: tuple[Hop, ...] = (),
    ) -> None:
        self.status = status
        self.headers = Headers(fields)
        self.length = length
        self.url = url
        self.framed = framed
        self.hops = hops
        self.receiver: IReceiver | None = None
        self.paused = False
        self.aborted = False
        self.permit: Permit | None = None
        self.gathered: list[int] = []
        self._over = False

    def deliver(self, receiver: IReceiver) -> None:
        assert self.receiver is None
        self.receiver = receiver

    def gather(self, left: int) -> None:
        self.gathered.append(left)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted = True
        self.end(UpstreamError(Reason.CANCELLED))

    def flow(self, data: bytes, step: int = 64 * KB) -> None:
        """Bytes, as a socket would bring them; none after an abort."""
        for start in range(0, len(data), step):
            if not self._over:
                assert self.receiver is not None
                self.receiver.data(data[start : start + step])

    def end(self, error: UpstreamError | None = None) -> None:
        """The end of the body."""
        if not self._over:
            self._over = True
            if self.permit is not None:
                self.permit.release()
            if self.receiver is not None:
                self.receiver.finished(error)


def whole(data: bytes, *fields: tuple[str, str], **rest: Any) -> FakeResponse:
    """A 200 of so many bytes."""
    named = {"length": len(data), **rest}
    return FakeResponse(200, ("ETag", '"v1"'), ("Cache-Control", "max-age=60"), *fields, **named)


def partial(
    start: int, stop: int, total: int, *fields: tuple[str, str], **rest: Any
) -> FakeResponse:
    """A 206 of the first version."""
    said = ("Content-Range", f"bytes {start}-{stop - 1}/{total}")
    tags = () if any(name == "ETag" for name, _ in fields) else (("ETag", '"v1"'),)
    cache = ("Cache-Control", "max-age=60")
    return FakeResponse(206, said, cache, *tags, *fields, length=stop - start, **rest)


@implementer(IUpstream)
class FakeUpstream:
    """Requests wait until the test answers them."""

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self.hosts = hosts
        self.clock = clock
        self.requests: list[Outgoing] = []
        self._answers: list[Deferred[FakeResponse]] = []
        self.cancelled = 0

    def request(
        self, outgoing: Outgoing, body: object | None = None, redirects: int = 0
    ) -> Deferred[FakeResponse]:
        self.requests.append(outgoing)
        self._answers.append(Deferred(self._cancel))
        return self._answers[-1]

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(not each.called for each in self._answers)

    def answer(
        self, response: FakeResponse, number: int = -1, *, settle: bool = True
    ) -> FakeResponse:
        """Answer a request, the last one unless said otherwise; what begins gets its share."""
        response.permit = self.hosts.count(authority(response.url))
        response.permit.answered()
        self._answers[number].callback(response)
        if settle:
            self.clock.advance(0)
        return response

    def refuse(self, reason: Reason, number: int = -1) -> None:
        """Let a request fail."""
        self._answers[number].errback(UpstreamError(reason))


@implementer(IFetch)
class FakeFetch:
    """A piece that the test moves."""

    def __init__(self, task: FetchTask, wrote: Callable[[int, int], None]) -> None:
        self.task = task
        self.stop = task.stop
        self.position = task.start
        self.result: Deferred[FetchResult] = Deferred()
        self.cancelled = False
        self.waiting = False
        #: Whether a cancelled one still waits for its worker to say so.
        self.lingers = False
        self._wrote = wrote

    def limit(self, rate: int) -> None:
        self.task = evolve(self.task, rate_limit=rate)

    def trim(self, stop: int) -> None:
        self.stop = min(self.stop, stop)

    def cancel(self) -> None:
        self.cancelled = True
        if not self.lingers:
            self.end(Reason.CANCELLED)

    def write(self, content: bytes, count: int | None = None) -> None:
        """Bring some bytes, all by default."""
        stop = self.stop if count is None else min(self.stop, self.position + count)
        if stop > self.position:
            with open(self.task.path, "r+b") as file:
                file.seek(self.position)
                file.write(content[self.position : stop])
            start, self.position = self.position, stop
            self._wrote(start, stop)

    def end(self, reason: Reason = Reason.DONE, **rest: Any) -> None:
        """It is over."""
        if not self.result.called:
            self.result.callback(FetchResult(reason, self.position, **rest))

    def bring(self, content: bytes) -> None:
        """All of it."""
        self.write(content)
        self.end(kept=True)


@implementer(IPool)
class FakePool:
    """Workers played by the test; digests are those of the file."""

    def __init__(self) -> None:
        self.fetches: list[FakeFetch] = []
        self.hashing: OSError | None = None
        self.forgotten: list[str] = []
        self.sending: list[SendTask] = []

    def fetch(self, task: FetchTask, wrote: Callable[[int, int], None]) -> FakeFetch:
        self.fetches.append(FakeFetch(task, wrote))
        return self.fetches[-1]

    def hash(self, task: HashTask) -> Deferred[dict[str, str]]:
        if self.hashing is not None:
            return fail(self.hashing)
        with open(task.path, "rb") as file:
            data = file.read(task.stop)
        found = {}
        for name in task.algorithms:
            running = new_hash(name)
            running.update(data)
            found[name] = running.hexdigest()
        return succeed(found)

    def forget(self, key: str) -> None:
        self.forgotten.append(key)

    def send(self, task: SendTask) -> Deferred[SendResult]:
        self.sending.append(task)
        return Deferred()

    @property
    def flying(self) -> list[FakeFetch]:
        """Pieces that are not over."""
        return [each for each in self.fetches if not each.result.called]

    def bring_all(self, content: bytes) -> None:
        """Let every piece arrive, and those that follow."""
        while self.flying:
            self.flying[0].bring(content)


class DownloadCase(StoreCase):
    """A test with a registry over a real store in a temporary folder, and no threads."""

    max_bytes = 1 << 30
    settings: dict[str, Any] = {}
    limits = {"most": 10, "per_host": 64}

    def setUp(self) -> None:
        super().setUp()
        self.ledger = Hosts(self.clock, 64)
        self.upstream = FakeUpstream(self.ledger, self.clock)
        self.pool = FakePool()
        self.writes = Threads()
        self.downloads = Downloads(self.make_tools(), **self.limits)

    def make_tools(self, store: Store | None = None) -> Environment:
        """The edges; ``settings`` are further fields."""
        return Environment(
            **{
                "store": store or self.store,
                "pool": self.pool,
                "upstream": self.upstream,
                "clock": self.clock,
                "hosts": self.ledger,
                "to_thread": self.writes,
                "apart": apart_by(),
                "jitter": lambda: 0.0,
                "egress": lambda rule: Egress(reach=ANYWHERE),
                "small": 0,
                **self.settings,
            }
        )

    def assertEqual(self, first: Any, second: Any, msg: object = None) -> None:
        """Without megabytes of difference in the message."""
        if first != second:
            told = [repr(value)[:300] for value in (first, second)]
            self.fail(f"{msg or ''} {told[0]} != {told[1]}")

    def rule(self, **more: Any) -> Rule:
        given = {"name": "files", "upstreams": ("http://files.test",), "min_size": 1, **more}
        return Rule(**{"strategy": Strategy.PARALLEL, "concurrency": 4, **given})

    def wanted(
        self,
        *fields: tuple[str, str],
        rule: Rule | None = None,
        url: str = URL,
        digest: Digest | None = None,
        **rest: Any,
    ) -> Wanted:
        """What a client wants."""
        rule = rule or self.rule()
        path = "/" + url.split("/", 3)[3]
        urls = tuple(base + path for base in rule.upstreams)
        route = Route(rule, path, urls, url, False, digest)
        return Wanted(route=route, headers=Headers(fields), **rest)

    def begin(self, response: FakeResponse, wanted: Wanted | None = None) -> Arriving:
        """A download that has just got its header."""
        fetching = self.downloads.fetch(wanted or self.wanted())
        self.upstream.answer(response)
        outcome = self.successResultOf(fetching)
        assert isinstance(outcome, Arriving), outcome
        return outcome

    def probe(self, content: bytes, *fields: tuple[str, str], size: int = MB) -> FakeResponse:
        """The 206 to a first request for a file."""
        return partial(0, min(size, len(content)), len(content), *fields)

    def play_probe(self, response: FakeResponse, content: bytes) -> None:
        """Let the first piece arrive."""
        response.flow(content[: response.length])
        response.end()

    def fetch_error(self, wanted: Wanted | None = None) -> UpstreamError:
        """How a request fails that is never sent."""
        return self.failureResultOf(
            self.downloads.fetch(wanted or self.wanted()), UpstreamError
        ).value

    def assertPasses(self, outcome: Outcome, response: FakeResponse) -> None:
        """The outcome is that response for one client, who ends it."""
        assert isinstance(outcome, Passing)
        self.assertFalse(response.aborted)
        outcome.response.abort()
        self.assertTrue(response.aborted)

    def stored(self, wanted: Wanted | None = None) -> list[bytes | None]:
        """The bodies of all entries of the key."""
        key = (wanted or self.wanted()).key
        return [self.read_body(entry) for entry in self.store.entries(key)]

    def read_body(self, entry: Any) -> bytes | None:
        body = self.store.body(entry)
        if body is None:
            return None
        with open(body.path, "rb") as file:
            return file.read()

    def quarantined(self) -> int:
        """Files kept for inspection."""
        return len(list((self.root / "quarantine").glob("*.part")))

    def running(self) -> int:
        """Downloads under way."""
        return len(list(self.downloads.fills()))


def sha256(data: bytes) -> Digest:
    """The digest of some bytes."""
    return Digest("sha256", hashlib.sha256(data).hexdigest())


class Reading:
    """A client that takes all it can get at once."""

    def __init__(self, outcome: Outcome, start: int = 0, stop: int | None = None) -> None:
        assert isinstance(outcome, Arriving)
        self.reader = outcome.body.reader(start, stop)
        self.data = b""
        self.failed: BodyFailed | None = None
        self.done = Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        try:
            while not self.reader.ended():
                count = self.reader.ready()
                if not count:
                    await self.reader.wait()
                    continue
                self.data += os.pread(self.reader.fd, count, self.reader.position)
                self.reader.advance(count)
        except CancelledError:
            return
        except BodyFailed as failed:
            self.failed = failed
        finally:
            self.reader.close()


__all__ = ["KB", "MB", "URL", "DownloadCase", "Reading", "evolve", "partial", "pattern", "whole"]
