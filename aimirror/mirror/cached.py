"""GET and HEAD by the cache: a stored answer, a joined download, or a fresh exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.caching import caching
from aimirror.caching.caching import Forward, Handling
from aimirror.caching.entries import Entry
from aimirror.caching.telling import tells
from aimirror.http.headers import Headers
from aimirror.interfaces import (
    Arriving,
    Described,
    Held,
    ILibrary,
    IUpstreamResponse,
    Outcome,
    Passing,
    UpstreamError,
    Validated,
    Wanted,
)
from aimirror.mirror.ecosystem import Asked, Declined
from aimirror.mirror.passing import Passer
from aimirror.mirror.serving import Damaged, Serving
from aimirror.mirror.transforms import Transforms
from aimirror.routing import digests
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer

if TYPE_CHECKING:
    from aimirror.server.request import MirrorRequest

_T = TypeVar("_T")

#: Seconds for which a credential that the upstream has accepted for a file is believed.
GRANTED_FOR = 60.0


class Cached:
    """Answers what may be stored; ``mirror_url`` says by which base URL a client came here."""

    log = Logger()

    def __init__(
        self,
        library: ILibrary,
        transforms: Transforms,
        passer: Passer,
        mirror_url: Callable[[MirrorRequest], str],
    ) -> None:
        self._library = library
        self._passer = passer
        self._serving = Serving(library, transforms, mirror_url)

    async def answer(self, asked: Asked) -> Answer | None:
        """The answer by stored entries or by the upstream; None when it was streamed.

        Raises UpstreamError and BodyFailed before anything was sent.
        """
        held = self._library.at(asked.route.key, asked.scope)
        arrived = held.arrived
        entries = self._entries(asked, held)
        decision = self._decide(asked, entries)
        if arrived is not None:
            match decision:
                case caching.Fresh(entry) | caching.StaleWhileRevalidate(entry) if (
                    entry is arrived.entry
                ):
                    asked.decline(entry.status)
                    return await self._serving.made(asked, entry, arrived.body, "HIT", Handling())
                case caching.Validate(entry) if entry is arrived.entry:
                    await self._library.settled(arrived)
                    return await self.answer(evolve(asked, now=self._serving.now()))
        try:
            return await self._carry_out(asked, decision, entries)
        except Damaged:
            return await self._fetch(asked, Forward.URI_MISS)

    def _decide(self, asked: Asked, entries: tuple[Entry, ...]) -> caching.Decision:
        decision = caching.decide(
            asked.request.head.method,
            asked.headers,
            entries,
            asked.rule.cache,
            asked.now,
            obey_client=asked.rule.obeys_clients,
            scope=asked.scope,
        )
        match decision:
            case caching.Fresh(entry) | caching.StaleWhileRevalidate(entry) if (
                entry.received_at < asked.not_before
            ):
                return caching.Validate(entry, caching.conditional(entry), Forward.STALE)
        return decision

    async def _carry_out(
        self, asked: Asked, decision: caching.Decision, entries: tuple[Entry, ...]
    ) -> Answer | None:
        match decision:
            case caching.Fresh(entry):
                handling = Handling(ttl=self._serving.ttl(asked, entry))
                return await self._serving.hit(asked, entry, "HIT", handling)
            case caching.StaleWhileRevalidate(entry, conditional):
                self._revalidate(asked, entry, conditional)
                handling = Handling(ttl=self._serving.ttl(asked, entry))
                return await self._serving.hit(asked, entry, "STALE", handling)
            case caching.Validate(entry, conditional, forward):
                return await self._fetch(asked, forward, entry, conditional)
            case caching.Miss(forward):
                return await self._miss(asked, forward, entries)
            case _:
                return error_answer(504, "not stored", "only a stored answer was asked for")

    # -- what is stored ------------------------------------------------------------------------

    def _entries(self, asked: Asked, held: Held) -> tuple[Entry, ...]:
        """What is stored, or as good as stored, of use to this client."""
        stored = held.entries
        if held.arrived is not None:
            new = held.arrived.entry
            others = (e for e in stored if (e.scope, e.variant) != (new.scope, new.variant))
            stored = (*others, new)
        return tuple(self._granted(asked, entry) for entry in stored if self._tells(asked, entry))

    def _tells(self, asked: Asked, entry: Entry) -> bool:
        """Whether an entry says anything about this client, or may once the upstream says so."""
        if entry.scope or tells(entry, asked.scope, asked.route.digest):
            return True
        return entry.status == 200 and self._named_by_path(asked)

    def _named_by_path(self, asked: Asked) -> bool:
        """Whether the path holds the digest of what is stored: then it is the same for all."""
        route = asked.route
        query = route.key.partition("#")[0].partition("?")[2]
        return digests.expected(route.rule.digests, route.path, query) is not None

    def _granted(self, asked: Asked, entry: Entry) -> Entry:
        """A private entry must be asked for again when its owner's grant has aged."""
        if entry.scope and not asked.granted and asked.now - entry.received_at > GRANTED_FOR:
            return evolve(entry, immutable=False, invalidated=True)
        return entry

    # -- from the upstream -----------------------------------------------------------------

    async def _miss(
        self, asked: Asked, forward: Forward, entries: tuple[Entry, ...]
    ) -> Answer | None:
        for entry in entries:
            # Somebody else's private copy: the upstream says whether this client may have it.
            if entry.scope not in ("", asked.scope) and caching.matches(entry, asked.headers):
                conditional = caching.proving(entry)
                if len(conditional) and not asked.head_only:
                    return await self._fetch(asked, forward, entry, conditional)
        return await self._fetch(asked, forward)

    async def _fetch(
        self,
        asked: Asked,
        forward: Forward,
        stale: Entry | None = None,
        conditional: Headers | None = None,
    ) -> Answer | None:
        """Ask the upstream, or join who asks already; ``stale`` may stand in for a failure."""
        joined = self._library.at(asked.route.key, asked.scope).under_way
        instead = stale if stale is not None and stale.scope in ("", asked.scope) else None
        wanted = self._wanted(asked, stale, conditional)
        outcome: Outcome | Described
        try:
            if asked.head_only:
                outcome = await self._timed(asked, self._library.head(wanted))
            else:
                outcome = await self._timed(asked, self._library.fetch(wanted))
        except UpstreamError as error:
            if instead is not None and self._serving.may_be_stale(asked, instead, None):
                return await self._serving.stale(asked, instead, forward, None, str(error))
            raise
        match outcome:
            case Passing(response):
                return await self._passed(asked, forward, instead, response)
            case Described():
                return await self._described(asked, forward, instead, outcome)
            case Validated():
                return await self._validated(asked, outcome, forward, joined)
            case Arriving():
                return await self._arriving(asked, outcome, forward, joined)

    async def _passed(
        self, asked: Asked, forward: Forward, stale: Entry | None, response: IUpstreamResponse
    ) -> Answer | None:
        """An answer that is not stored is this client's alone, unless there is a better one."""
        if stale is not None and self._serving.may_be_stale(asked, stale, response.status):
            response.abort()
            return await self._serving.stale(asked, stale, forward, response.status, "")
        if response.status in asked.declines:
            response.abort()
            raise Declined(response.status)
        refused = asked.ecosystem.refused(asked, response)
        if refused is not None:
            response.abort()
            return refused
        return await self._passer.pass_on(asked.request, asked.route, response, forward)

    async def _described(
        self, asked: Asked, forward: Forward, stale: Entry | None, described: Described
    ) -> Answer | None:
        """What GET would say; HEAD has no body that could be stored."""
        entry = described.entry
        if stale is not None and self._serving.may_be_stale(asked, stale, entry.status):
            return await self._serving.stale(asked, stale, forward, entry.status, "")
        asked.decline(entry.status)
        asked = evolve(asked, now=self._serving.now())
        word = "MISS" if described.stored else "PASS"
        return await self._serving.made(asked, entry, None, word, Handling(forward=forward))

    async def _validated(
        self, asked: Asked, outcome: Validated, forward: Forward, joined: bool
    ) -> Answer | None:
        asked = evolve(asked, now=self._serving.now())
        ttl = self._serving.ttl(asked, outcome.entry)
        status = outcome.status
        handling = Handling(forward=forward, forward_status=status, collapsed=joined, ttl=ttl)
        return await self._serving.hit(asked, outcome.entry, "REVALIDATED", handling)

    async def _arriving(
        self, asked: Asked, outcome: Arriving, forward: Forward, joined: bool
    ) -> Answer | None:
        entry = outcome.entry
        asked = evolve(asked, now=self._serving.now())
        asked.decline(entry.status)
        if joined and outcome.body.whole:  # only its last sync is still under way
            return await self._serving.made(asked, entry, outcome.body, "HIT", Handling())
        handling = Handling(forward=forward, stored=True, collapsed=joined)
        word = "JOIN" if joined else "MISS"
        return await self._serving.made(asked, entry, outcome.body, word, handling)

    def _wanted(self, asked: Asked, stale: Entry | None, conditional: Headers | None) -> Wanted:
        if stale is not None:  # as it is stored, whatever was made of it for the decision
            stale = evolve(stale, immutable=asked.route.immutable and stale.status == 200)
        return Wanted(
            route=asked.route,
            headers=asked.headers,
            scope=asked.scope,
            previous=stale,
            conditional=conditional or Headers(),
            client=asked.request.peer,
            refresh=asked.refresh,
        )

    async def _timed(self, asked: Asked, waiting: Deferred[_T]) -> _T:
        """Wait for the upstream, on the request's account."""
        began = self._serving.now()
        try:
            return await waiting
        finally:
            asked.request.waited += self._serving.now() - began

    # -- in the background -----------------------------------------------------------------

    def _revalidate(self, asked: Asked, entry: Entry, conditional: Headers) -> None:
        """One request for all, while its clients have their answers already."""
        if self._library.at(asked.route.key, asked.scope).under_way:
            return
        fetching: Deferred[object] = Deferred.fromCoroutine(
            self._refresh(asked, entry, conditional)
        )
        fetching.addErrback(lambda f: self.log.failure("background revalidation failed", f))

    async def _refresh(self, asked: Asked, entry: Entry, conditional: Headers) -> None:
        try:
            outcome = await self._library.fetch(self._wanted(asked, entry, conditional))
        except UpstreamError as error:
            self.log.info("{key} stays stale: {error}", key=entry.key, error=str(error))
            return
        if isinstance(outcome, Passing):
            outcome.response.abort()
