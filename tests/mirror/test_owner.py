"""What a node answers to others for whom it owns something."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from aimirror.cluster import questions
from aimirror.cluster.questions import Question, asked
from aimirror.exchanges.library import Library
from aimirror.http.headers import Headers
from aimirror.interfaces import IBody
from aimirror.mirror.owner import Owner
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route
from aimirror.server.answers import Answer
from aimirror.store import records
from aimirror.tier.keys import Keys
from tests.exchanges.support import URL, DownloadCase, FakeResponse, whole

KEYS = Keys(("k" * 32,))


class OwnerTests(DownloadCase):
    def setUp(self) -> None:
        super().setUp()
        self.asking = False
        peers: Any = SimpleNamespace(keys=KEYS, asking=lambda key: self.asking)
        library = Library(self.make_tools(), self.downloads)
        self.known: Digest | None = None
        self.owner = Owner(library, [self.rule()], peers, self.says)

    async def says(self, route: Route) -> Digest | None:
        """What the indexes here say."""
        return self.known

    def question(self, **fields: Any) -> Question:
        return evolve(asked(self.wanted().route, Headers(), 0.0, ""), **fields)

    def begin_answer(self, question: Question, keys: Keys = KEYS) -> Deferred[Answer]:
        text = questions.packed(question, keys, self.clock.seconds())
        request: Any = SimpleNamespace(headers=Headers([(questions.QUESTION, text)]))
        return Deferred.fromCoroutine(self.owner.answer(request))

    def answer(self, keys: Keys = KEYS, **fields: Any) -> Answer:
        return self.successResultOf(self.begin_answer(self.question(**fields), keys))

    def stored_here(self, **fields: Any) -> Any:
        now = self.clock.seconds()
        headers = Headers([("Cache-Control", "max-age=60"), ("ETag", '"v1"')])
        given = {"headers": headers, "received_at": now, "requested_at": now, **fields}
        return self.add(b"stored", URL, **given)

    def entry_of(self, answer: Answer) -> Any:
        return records.load(answer.headers.get(questions.ENTRY) or "")

    def test_stored(self) -> None:
        """A fresh answer is given at once, with its entry; no upstream is asked."""
        entry = self.stored_here()
        answer = self.answer()
        self.assertEqual((answer.status, self.entry_of(answer)), (200, entry))
        self.assertEqual(getattr(answer.body, "size", None), 6)
        self.assertEqual(self.upstream.requests, [])

    def test_have(self) -> None:
        """Who has the bytes gets the entry alone."""
        entry = self.stored_here()
        answer = self.answer(have=entry.blob)
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(self.entry_of(answer), entry)

    def test_fetched(self) -> None:
        """What is not here is fetched, and given as it arrives."""
        answering = self.begin_answer(self.question())
        self.upstream.answer(whole(b"fresh"))
        answer = self.successResultOf(answering)
        self.assertEqual((answer.status, self.entry_of(answer).key), (200, URL))
        self.assertTrue(IBody.providedBy(answer.body) or answer.body is not None)

    def test_stale(self) -> None:
        """What is stale, or older than its kin, is confirmed first."""
        self.stored_here()
        answering = self.begin_answer(self.question(not_before=self.clock.seconds() + 1))
        self.assertEqual(self.upstream.requests[0].headers.get("If-None-Match"), '"v1"')
        self.upstream.answer(FakeResponse(304, ("ETag", '"v1"')))
        self.assertEqual(self.successResultOf(answering).status, 200)

    def test_digest(self) -> None:
        """What an index here says of a file is told to who asks for that alone; nothing is sent."""
        self.asking = True
        self.assertEqual(self.answer(digest_only=True).status, 404)
        self.known = Digest("sha512", "ab")
        answer = self.answer(digest_only=True)
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.headers.get(questions.DIGEST), "sha512=ab")
        self.assertEqual(self.upstream.requests, [])

    def test_not_shared(self) -> None:
        """What may not be stored, or is somebody's own, is not given away."""
        answering = self.begin_answer(self.question())
        response = self.upstream.answer(FakeResponse(200, ("Cache-Control", "no-store"), length=3))
        self.assertEqual(self.successResultOf(answering).status, 404)
        self.assertTrue(response.aborted)
        self.stored_here(scope="someone")
        self.assertEqual(self.answer(stored_only=True).status, 404)

    def test_stored_only(self) -> None:
        """An index is given as it is, stale or chosen by other fields; nothing is asked for."""
        self.assertEqual(self.answer(stored_only=True).status, 404)
        self.stored_here(received_at=5.0, variant="accept:x")
        self.assertEqual(self.answer(stored_only=True).status, 200)
        self.assertEqual(self.upstream.requests, [])

    def test_asking_itself(self) -> None:
        """Of what we ask another node for there is no answer: nobody waits in a circle."""
        self.asking = True
        self.assertEqual(self.answer().status, 404)

    def test_strangers(self) -> None:
        """Questions of others are refused; those about rules that we lack have no answer."""
        self.assertEqual(self.answer(Keys(("x" * 32,))).status, 403)
        self.assertEqual(self.answer(rule="nosuch").status, 404)
        request: Any = SimpleNamespace(headers=Headers())
        refused = self.successResultOf(Deferred.fromCoroutine(self.owner.answer(request)))
        self.assertEqual(refused.status, 403)
