"""Tags and lists whose registry hangs, is away, or says no."""

from __future__ import annotations

from typing import Any

from aimirror.ecosystems.oci.tags import PATIENCE
from aimirror.http.egress import Outgoing
from tests.ecosystems.oci.test_trials import ACCEPT, REPOSITORY, TAG, TrialCase, digest_of
from tests.mirror.support import Played
from tests.server.support import Connection

LIST = f"{REPOSITORY}/tags/list"


class HangingTests(TrialCase):
    """A registry that says nothing at all from some time on."""

    def setUp(self) -> None:
        super().setUp()
        self.one = self.tags["latest"] = self.image(b"one")
        self.assertEqual(self.pulled(), self.one)

    def hang(self) -> None:
        self.upstream.handler = None

    def resume(self) -> None:
        self.upstream.handler = self.registry

    def waiting(self, target: str = TAG) -> Connection:
        return self.ask(target, ACCEPT)

    def assertStale(self, client: Connection) -> None:
        client.settle()
        status, headers, body = client.answer()
        self.assertEqual((status, headers.get("x-cache")), (200, "STALE"))
        self.assertEqual(digest_of(body), self.one)

    def test_tag(self) -> None:
        """Who can be given the last image waits a little, the next ones not at all."""
        self.hang()
        client = self.waiting()
        self.clock.advance(PATIENCE - 1)
        self.assertEqual(client.answers(), [])
        self.clock.advance(2)
        self.assertStale(client)
        before = self.asked
        for _ in range(5):
            self.assertStale(self.waiting())
            self.assertEqual(self.at(digest_of(b"one"), kind="blobs")[0], 200)
        self.assertEqual(self.asked, before)

    def test_all_tags(self) -> None:
        """A registry that hangs for one tag is not waited for at another one."""
        self.tags["other"] = self.one
        self.pulled("other")
        self.hang()
        client = self.waiting()
        self.clock.advance(PATIENCE + 1)
        self.assertStale(client)
        self.assertStale(self.waiting(TAG.replace("latest", "other")))

    def test_one_question(self) -> None:
        """Those who come while the registry is silent share one question."""
        self.hang()
        before = self.asked
        clients = [self.waiting() for _ in range(5)]
        self.clock.advance(PATIENCE + 1)
        for client in clients:
            self.assertStale(client)
        self.assertLessEqual(self.asked - before, 2)  # a silent one is asked twice

    def test_back(self) -> None:
        """Once it answers again, tags are what they are there."""
        self.hang()
        client = self.waiting()
        self.clock.advance(PATIENCE + 1)
        self.assertStale(client)
        two = self.tags["latest"] = self.image(b"two")
        self.resume()
        late = self.upstream.sent[-1]
        late.answer.callback(self.registry(late.outgoing))
        self.clock.advance(60)
        self.assertEqual(self.pulled(), two)

    def test_unknown(self) -> None:
        """Where nothing can stand in, the registry is waited for."""
        self.hang()
        client = self.waiting(TAG.replace("latest", "other"))
        self.clock.advance(PATIENCE + 1)
        client.settle()
        self.assertEqual(client.answers(), [])
        self.tags["other"] = self.one
        late = self.upstream.sent[-1]
        late.answer.callback(self.registry(late.outgoing))
        client.settle()
        self.assertEqual(client.answer()[0], 200)

    def test_blob_questions(self) -> None:
        """A registry that names a new image and then hangs keeps nobody waiting for its blobs."""
        self.tags["latest"] = self.image(b"two")

        def silent(outgoing: Outgoing) -> Any:
            return self.registry(outgoing)

        whole = self.upstream.request

        def request(outgoing: Outgoing, *more: Any) -> Any:
            self.upstream.handler = None if "/blobs/" in outgoing.url else silent
            return whole(outgoing, *more)

        self.upstream.request = request  # type: ignore[method-assign]
        client = self.waiting()
        self.clock.advance(PATIENCE + 1)
        self.assertStale(client)


class ListTests(TrialCase):
    def test_away(self) -> None:
        """A list is what it was last while the registry is down, and not asked for by each one."""
        listed = b'{"tags": ["a"]}'

        def registry(outgoing: Outgoing) -> Played | Exception:
            if outgoing.url.endswith(paths) and not self.down:
                return Played(200, "Content-Type: application/json", body=listed)
            return self.registry(outgoing)

        self.upstream.handler = registry
        paths = (LIST, f"{REPOSITORY}/referrers/{digest_of(b'one')}")
        for path in paths:
            self.assertEqual(self.get(path)[2], listed)
        self.down = True
        for path in paths:
            for _ in range(4):
                status, headers, body = self.get(path)
                self.assertEqual((status, headers.get("x-cache"), body), (200, "STALE", listed))
        for path in paths:
            self.assertLessEqual(len([url for url in self.urls() if url.endswith(path)]), 2)


class BlobTests(TrialCase):
    def test_location(self) -> None:
        """A blob says where it is, by the name by which it was asked for; a manifest does not."""
        self.tags["latest"] = self.image(b"one")
        path = f"{REPOSITORY}/blobs/{digest_of(b'one')}?ns=docker.io"
        for _ in range(2):
            self.assertEqual(self.get(path)[1].get("location"), path)
        self.assertNotIn("location", self.at()[1])
