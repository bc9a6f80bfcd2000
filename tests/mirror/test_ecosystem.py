"""Package worlds are asked with values: no client, no wire, no disk and no network are needed."""

from __future__ import annotations

from attrs import Factory, define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.ecosystems.making import Edges
from aimirror.ecosystems.registry import BY_NAME, made
from aimirror.http.headers import Headers
from aimirror.mirror.ecosystem import UNTAKEN, ClientRequest, Untaken
from aimirror.mirror.mirror import Mirror
from aimirror.registries.registry import Registries
from aimirror.routing.rules import Route, Rule, route_of
from aimirror.server.answers import Answer
from aimirror.testing.library import FakeLibrary
from tests.mirror.support import MirrorCase

NPM = Rule(name="npm", upstreams=("https://npm.test",), ecosystem="npm")
DOCUMENT = (
    b'{"versions": {"1.0.0": {"dist": {"tarball": "https://npm.test/a/-/a-1.0.0.tgz",'
    b' "shasum": "0123456789012345678901234567890123456789"}}}}'
)


@define
class FakeDesk:
    """Answers with what it was asked."""

    library: FakeLibrary
    rules: tuple[Rule, ...] = (NPM,)
    routes: list[Route] = Factory(list)

    async def answer(self, request: ClientRequest, route: Route, **_: object) -> Answer:
        self.routes.append(route)
        return Answer(status=200)

    async def forward(
        self, request: ClientRequest, route: Route, headers: Headers | None = None
    ) -> Answer:
        return Answer(status=200)

    async def changed(self, request: ClientRequest, route: Route, answer: Answer) -> Answer:
        return answer


class ValueTests(SynchronousTestCase):
    def test_a_world_by_itself(self) -> None:
        """A tarball is checked by the document that the library has, without any server."""
        desk = FakeDesk(FakeLibrary(Clock()))
        world = made(BY_NAME["npm"], Edges(library=desk.library, registries=Registries(())))
        found = route_of(desk.rules, "/a/-/a-1.0.0.tgz", "")
        assert isinstance(found, Route)
        request = ClientRequest(path=found.path)

        def take() -> Answer | Untaken:
            taken: Answer | Untaken = self.successResultOf(
                Deferred.fromCoroutine(world.take(request, found, desk))
            )
            return taken

        self.assertIs(take(), UNTAKEN)
        desk.library.store(Entry(key="https://npm.test/a"), DOCUMENT)
        self.assertIsInstance(take(), Answer)
        digest = desk.routes[0].digest
        assert digest is not None
        self.assertEqual((digest.algorithm, digest.hex[:4]), ("sha1", "0123"))


class ReplyTests(MirrorCase):
    def test_without_a_wire(self) -> None:
        """The mirror answers a value by a value, as it does a client by its connection."""
        self.plays(200, "Cache-Control: max-age=60", body=b"body")
        for _ in range(2):
            found = route_of(self.mirror.rules, "/x", "")
            assert isinstance(found, Route)
            request = ClientRequest(path="/x", reached="http://mirror.test")
            mirror: Mirror = self.mirror
            answer = self.successResultOf(Deferred.fromCoroutine(mirror.reply(request, found)))
            self.assertEqual(answer.status, 200)
        self.assertEqual((answer.body, answer.headers.get("x-cache")), (b"body", "HIT"))
        self.assertEqual(self.asked, 1)

    def test_what_links_begin_with(self) -> None:
        """Links of clients that have the mirror for a proxy stay as they are."""
        request = ClientRequest(path="/", reached="http://mirror.test")
        self.assertEqual(request.mirror, "http://mirror.test")
        self.assertEqual(evolve(request, proxied=True).mirror, "")
