"""Indexes from other nodes and from the upstream: when, how often, for whom."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.http.headers import Headers
from aimirror.indexes.bringing import AGAIN, MOST_ASKED, MOST_BORROWED, Bringing
from aimirror.interfaces import Arriving, Outcome, Wanted
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule
from aimirror.testing.library import FakeLibrary

RULE = Rule(name="r", upstreams=("http://u.test",))
DIGEST = Digest("sha256", 64 * "a")


def route(name: str) -> Route:
    url = f"http://u.test/{name}"
    return Route(RULE, f"/{name}", (url,), url, immutable=False, digest=None)


class Shared(FakeLibrary):
    """One of several: what ``others`` and the upstream have is brought by name."""

    several = True

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.others: dict[str, bytes] = {}
        self.upstream: dict[str, bytes] = {}
        self.borrowed: list[str] = []
        self.asked: list[Wanted] = []
        self.held: Deferred[None] = succeed(None)

    def brought(self, where: dict[str, bytes], name: Route) -> Arriving | None:
        content = where.get(name.path)
        if content is None:
            return None
        entry = self.store(Entry(key=name.key, received_at=self.now()), content)
        body = self.body(entry)
        assert body is not None
        return Arriving(entry, body)  # type: ignore[arg-type]

    def borrow(self, name: Route) -> Deferred[Arriving | None]:
        self.borrowed.append(name.path)
        return self.held.addCallback(lambda _: self.brought(self.others, name))

    def fetch(self, wanted: Wanted) -> Deferred[Outcome]:
        self.asked.append(wanted)
        arriving = self.brought(self.upstream, wanted.route)
        return super().fetch(wanted) if arriving is None else succeed(arriving)


class BringingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.library = Shared(self.clock)
        self.bringing = Bringing(self.library)

    def start(self, coroutine: Coroutine[Any, Any, Digest | None]) -> Deferred[Digest | None]:
        return Deferred.fromCoroutine(coroutine)

    async def known(self) -> Digest | None:
        """What a file hashes to, once its index is here."""
        return DIGEST if self.library.at(route("right").key).entries else None

    def borrow(self, *names: str) -> Deferred[Digest | None]:
        return self.start(self.bringing.borrow(map(route, names), self.known))

    def ask(self, *names: str, scope: str = "") -> Deferred[Digest | None]:
        indexes = [(route(name), Headers([("Accept", "x")])) for name in names]
        return self.start(self.bringing.ask(indexes, scope, self.known))

    def test_borrowed(self) -> None:
        """Indexes are borrowed one by one until one names the file."""
        self.library.others = {"/other": b"1", "/right": b"2", "/more": b"3"}
        digest = self.successResultOf(self.borrow("none", "other", "right", "more"))
        self.assertEqual(digest, DIGEST)
        self.assertEqual(self.library.borrowed, ["/none", "/other", "/right"])

    def test_joined(self) -> None:
        """Those who want an index that is being brought wait for it, and are helped as well."""
        self.library.others = {"/right": b"2"}
        self.library.held = Deferred()
        both = [self.borrow("right"), self.borrow("right")]
        for each in both:
            self.assertNoResult(each)
        self.library.held.callback(None)
        self.assertEqual([self.successResultOf(each) for each in both], [DIGEST, DIGEST])
        self.assertEqual(len(self.library.borrowed), 1)

    def test_again(self) -> None:
        """What nobody has is asked for again after a while only, of others and of the upstream."""
        for again in (1, 2):
            for _ in range(3):
                self.assertIsNone(self.successResultOf(self.borrow("right")))
                self.assertIsNone(self.successResultOf(self.ask("right")))
            self.assertEqual((len(self.library.borrowed), len(self.library.asked)), (again, again))
            self.clock.advance(AGAIN + 1)

    def test_bounds(self) -> None:
        """Of many indexes only the likeliest are brought."""
        names = [str(number) for number in range(20)]
        self.borrow(*names)
        self.ask(*names)
        self.assertEqual(len(self.library.borrowed), MOST_BORROWED)
        self.assertEqual(len(self.library.asked), MOST_ASKED)

    def test_stale(self) -> None:
        """An index that is here is asked for by its validator, unless it came just now."""
        stale = Entry(key=route("right").key, headers=Headers([("ETag", '"v"')]))
        self.library.store(evolve(stale, received_at=self.clock.seconds()), b"old")
        self.ask("right")
        self.assertEqual(self.library.asked, [])
        self.clock.advance(AGAIN + 1)
        self.ask("right")
        (wanted,) = self.library.asked
        self.assertEqual(wanted.conditional.get("if-none-match"), '"v"')

    def test_credentials(self) -> None:
        """One credential's failure is no other's: each asks with its own right."""
        for scope in ("", "a", "b", "a"):
            self.ask("right", scope=scope)
        self.assertEqual([wanted.scope for wanted in self.library.asked], ["", "a", "b"])

    def test_alone(self) -> None:
        """A node that is alone asks for no index."""
        self.library.several = False
        self.library.upstream = {"/right": b"2"}
        self.assertIsNone(self.successResultOf(self.ask("right")))
        self.assertEqual(self.library.asked, [])
