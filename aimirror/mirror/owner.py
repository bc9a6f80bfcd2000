"""What this node answers to others for whom it owns something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from attrs import evolve

from aimirror.caching import caching
from aimirror.caching.entries import Entry
from aimirror.cluster import questions
from aimirror.cluster.peers import Peers, described
from aimirror.cluster.questions import DIGEST, ENTRY, QUESTION, Question
from aimirror.http.headers import Headers
from aimirror.interfaces import Arriving, Held, IBody, ILibrary, Passing, UpstreamError, Wanted
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule
from aimirror.server.answers import Answer
from aimirror.server.request import MirrorRequest


class Owner:
    """Answers questions of other nodes: an entry in a field, and the body to the letter.

    It never asks a third node, and answers nothing of what it is asking itself: so nodes that
    disagree on who owns a key do not wait for each other.
    """

    def __init__(
        self,
        library: ILibrary,
        rules: Iterable[Rule],
        peers: Peers,
        known: Callable[[Route], Awaitable[Digest | None]],
    ) -> None:
        self._library = library
        self._known = known
        self._rules = {rule.name: rule for rule in rules}
        self._peers = peers

    async def answer(self, request: MirrorRequest) -> Answer:
        """The answer to one question; 403 to those of strangers, 404 where there is none."""
        text = request.headers.get(QUESTION, "") or ""
        question = questions.unpacked(text, self._peers.keys, self._library.now())
        if question is None:
            return _empty(403)
        rule = self._rules.get(question.rule)
        if rule is None:
            return _empty(404)
        if question.digest_only:
            return await self._said(question.route(rule))
        if self._peers.asking(question.key):
            return _empty(404)
        try:
            return await self._answer(question, rule)
        except (UpstreamError, OSError):
            return _empty(404)

    async def _said(self, route: Route) -> Answer:
        digest = await self._known(route)
        if digest is None:
            return _empty(404)
        return _empty(204, (DIGEST, f"{digest.algorithm}={digest.hex}"))

    async def _answer(self, question: Question, rule: Rule) -> Answer:
        wanted = Wanted(
            route=question.route(rule),
            headers=question.headers,
            not_before=question.not_before,
            hop=True,
        )
        held = self._library.at(wanted.key)
        entries = tuple(e for e in held.entries if not e.scope)
        if question.stored_only:
            return self._at_hand(held, question)
        decision = caching.decide(
            "GET",
            wanted.headers,
            entries,
            rule.cache,
            self._library.now(),
            obey_client=rule.obeys_clients,
        )
        match decision:
            case caching.Fresh(entry) if entry.received_at >= wanted.not_before:
                return self._stored(entry, question)
            case caching.Fresh(entry) | caching.StaleWhileRevalidate(entry):
                wanted = evolve(wanted, previous=entry, conditional=caching.conditional(entry))
            case caching.Validate(entry, conditional):
                wanted = evolve(wanted, previous=entry, conditional=conditional)
        outcome = await self._library.fetch(wanted)
        if isinstance(outcome, Passing):
            outcome.response.abort()
            return _empty(404)
        if outcome.entry.scope:
            return _empty(404)
        if isinstance(outcome, Arriving):
            return _whole(outcome.entry, outcome.body)
        return self._stored(outcome.entry, question)

    def _at_hand(self, held: Held, question: Question) -> Answer:
        """What is there for anybody, the newest first; nothing is asked for."""
        for arriving in held.arriving:
            if arriving.entry.status == 200 and not arriving.entry.scope:
                return _whole(arriving.entry, arriving.body)
        good = [e for e in held.entries if e.status == 200 and e.blob and not e.scope]
        newest = max(good, key=lambda e: e.received_at, default=None)
        return _empty(404) if newest is None else self._stored(newest, question)

    def _stored(self, entry: Entry, question: Question) -> Answer:
        if entry.blob and entry.blob == question.have:
            return _empty(204, (ENTRY, described(entry)))
        self._library.used(entry)
        body = self._library.body(entry)
        return _empty(404) if body is None else _whole(entry, body)


def _whole(entry: Entry, body: IBody) -> Answer:
    fields = [(ENTRY, described(entry)), ("Content-Type", "application/octet-stream")]
    return Answer(status=200, headers=Headers(fields), body=body, ranges=False)


def _empty(status: int, *fields: tuple[str, str]) -> Answer:
    return Answer(status=status, headers=Headers(fields), body=b"", ranges=False)
