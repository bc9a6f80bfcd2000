"""GET and HEAD by the cache: a stored answer, a joined download, or a fresh exchange."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.caching import caching
from aimirror.caching.caching import Forward, Handling
from aimirror.caching.entries import Entry
from aimirror.caching.telling import tells
from aimirror.http import urls
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
from aimirror.mirror.ecosystem import Declined, Lookup
from aimirror.mirror.passing import Passer
from aimirror.mirror.serving import Damaged, Serving, told
from aimirror.mirror.transforms import Transforms
from aimirror.routing import digests
from aimirror.server.access import client
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer
from aimirror.upstream.responses import asked_of

if TYPE_CHECKING:
    pass

_T = TypeVar("_T")

#: A Range that can be passed on: one span, from a place or of the end.
_ONE_RANGE = re.compile(r"bytes=(?:[0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})")
#: What else a client may make its request depend on; answered here.
CONDITIONS = frozenset({"if-none-match", "if-modified-since", "if-match", "if-unmodified-since"})

#: Seconds for which a credential that the upstream has accepted for a file is believed.
GRANTED_FOR = 60.0


class Cached:
    """Answers what may be stored."""

    log = Logger()

    def __init__(
        self,
        library: ILibrary,
        transforms: Transforms,
        passer: Passer,
    ) -> None:
        self._library = library
        self._passer = passer
        self._serving = Serving(library, transforms)

    async def answer(self, lookup: Lookup) -> Answer:
        """The answer by stored entries or by the upstream.

        Raises UpstreamError and BodyFailed before anything was sent.
        """
        held = self._library.at(lookup.route.key, lookup.scope)
        arrived = held.arrived
        entries = self._entries(lookup, held)
        decision = self._decide(lookup, entries)
        if arrived is not None:
            match decision:
                case caching.Fresh(entry) | caching.StaleWhileRevalidate(entry) if (
                    entry is arrived.entry
                ):
                    lookup.decline(entry)
                    return await self._serving.made(lookup, entry, arrived.body, "HIT", Handling())
                case caching.Validate(entry) if entry is arrived.entry:
                    await self._library.settled(arrived)
                    return await self.answer(evolve(lookup, now=self._serving.now()))
        try:
            return await self._carry_out(lookup, decision, entries)
        except Damaged:
            return await self._fetch(lookup, Forward.URI_MISS)

    def _decide(self, lookup: Lookup, entries: tuple[Entry, ...]) -> caching.Decision:
        decision = caching.decide(
            lookup.request.method,
            lookup.headers,
            entries,
            lookup.rule.cache,
            lookup.now,
            obey_client=lookup.rule.obeys_clients,
            scope=lookup.scope,
        )
        match decision:
            case caching.Fresh(entry) | caching.StaleWhileRevalidate(entry) if (
                entry.received_at < lookup.not_before
            ):
                return caching.Validate(entry, caching.conditional(entry), Forward.STALE)
        return decision

    async def _carry_out(
        self, lookup: Lookup, decision: caching.Decision, entries: tuple[Entry, ...]
    ) -> Answer:
        match decision:
            case caching.Fresh(entry, left):
                handling = Handling(ttl=told(entry, left))
                return await self._serving.hit(lookup, entry, "HIT", handling)
            case caching.StaleWhileRevalidate(entry, conditional):
                self._revalidate(lookup, entry, conditional)
                handling = Handling(ttl=self._serving.ttl(lookup, entry))
                return await self._serving.hit(lookup, entry, "STALE", handling)
            case caching.Validate(entry, conditional, forward):
                return await self._fetch(lookup, forward, entry, conditional)
            case caching.Miss(forward):
                return await self._miss(lookup, forward, entries)
            case _:
                return error_answer(504, "not stored", "only a stored answer was asked for")

    # -- what is stored ------------------------------------------------------------------------

    def _entries(self, lookup: Lookup, held: Held) -> tuple[Entry, ...]:
        """What is stored, or as good as stored, of use to this client."""
        stored = held.entries
        if held.arrived is not None:
            new = held.arrived.entry
            others = (e for e in stored if (e.scope, e.variant) != (new.scope, new.variant))
            stored = (*others, new)
        return tuple(self._granted(lookup, entry) for entry in stored if self._tells(lookup, entry))

    def _tells(self, lookup: Lookup, entry: Entry) -> bool:
        """Whether an entry says anything about this client, or may once the upstream says so."""
        if entry.scope or tells(entry, lookup.scope, lookup.route.digest):
            return True
        return entry.status == 200 and self._named_by_path(lookup)

    def _named_by_path(self, lookup: Lookup) -> bool:
        """Whether the path holds the digest of what is stored: then it is the same for all."""
        route = lookup.route
        query = route.key.partition("#")[0].partition("?")[2]
        return digests.expected(route.rule.digests, route.path, query) is not None

    def _granted(self, lookup: Lookup, entry: Entry) -> Entry:
        """A private entry must be asked for again when its owner's grant has aged."""
        if entry.scope and not lookup.granted and lookup.now - entry.received_at > GRANTED_FOR:
            return evolve(entry, immutable=False, invalidated=True)
        return entry

    # -- from the upstream -----------------------------------------------------------------

    async def _miss(self, lookup: Lookup, forward: Forward, entries: tuple[Entry, ...]) -> Answer:
        for entry in entries:
            # Somebody else's private copy: the upstream says whether this client may have it.
            if entry.scope not in ("", lookup.scope) and caching.matches(entry, lookup.headers):
                conditional = caching.proving(entry)
                if len(conditional) and not lookup.head_only:
                    return await self._fetch(lookup, forward, entry, conditional)
        return await self._fetch(lookup, forward)

    async def _fetch(
        self,
        lookup: Lookup,
        forward: Forward,
        stale: Entry | None = None,
        conditional: Headers | None = None,
    ) -> Answer:
        """Ask the upstream, or join who asks already; ``stale`` may stand in for a failure."""
        joined = self._library.at(lookup.route.key, lookup.scope).under_way
        instead = stale if stale is not None and stale.scope in ("", lookup.scope) else None
        if instead is not None and self._away(lookup, instead):
            why = "the upstream could not be reached lately"
            return await self._serving.stale(lookup, instead, forward, None, why)
        wanted = self._wanted(lookup, stale, conditional)
        outcome: Outcome | Described
        try:
            if lookup.head_only:
                outcome = await self._timed(lookup, self._library.head(wanted))
            else:
                outcome = await self._timed(lookup, self._library.fetch(wanted))
        except UpstreamError as error:
            if instead is not None and self._serving.may_be_stale(lookup, instead, None):
                return await self._serving.stale(lookup, instead, forward, None, str(error))
            raise
        match outcome:
            case Passing(response):
                return await self._passed(lookup, forward, instead, response)
            case Described():
                return await self._described(lookup, forward, instead, outcome)
            case Validated():
                return await self._validated(lookup, outcome, forward, joined)
            case Arriving():
                return await self._arriving(lookup, outcome, forward, joined)

    def _away(self, lookup: Lookup, stale: Entry) -> bool:
        """Whether an entry is served because nobody need wait for upstreams that are away."""
        may = self._serving.may_be_stale(lookup, stale, None)
        return may and self._library.away(lookup.route)

    async def _passed(
        self, lookup: Lookup, forward: Forward, stale: Entry | None, response: IUpstreamResponse
    ) -> Answer:
        """An answer that is not stored is this client's alone, unless there is a better one."""
        if stale is not None and self._serving.may_be_stale(lookup, stale, response.status):
            response.abort()
            return await self._serving.stale(lookup, stale, forward, response.status, "")
        elsewhere = urls.origin(response.url) != asked_of(response)
        if response.status in lookup.declines or (lookup.here and elsewhere):
            response.abort()
            raise Declined(response.status)
        refused = lookup.ecosystem.refused(lookup, response)
        if refused is not None:
            response.abort()
            return refused
        return await self._passer.pass_on(lookup.request, lookup.route, response, forward)

    async def _described(
        self, lookup: Lookup, forward: Forward, stale: Entry | None, described: Described
    ) -> Answer:
        """What GET would say; HEAD has no body that could be stored."""
        entry = described.entry
        if stale is not None and self._serving.may_be_stale(lookup, stale, entry.status):
            return await self._serving.stale(lookup, stale, forward, entry.status, "")
        lookup.decline(entry)
        lookup = evolve(lookup, now=self._serving.now())
        word = "MISS" if described.stored else "PASS"
        answer = await self._serving.made(lookup, entry, None, word, Handling(forward=forward))
        return answer if described.ranges else evolve(answer, ranges=False)

    async def _validated(
        self, lookup: Lookup, outcome: Validated, forward: Forward, joined: bool
    ) -> Answer:
        lookup = evolve(lookup, now=self._serving.now())
        ttl = self._serving.ttl(lookup, outcome.entry)
        status = outcome.status
        handling = Handling(forward=forward, forward_status=status, collapsed=joined, ttl=ttl)
        return await self._serving.hit(lookup, outcome.entry, "REVALIDATED", handling)

    async def _arriving(
        self, lookup: Lookup, outcome: Arriving, forward: Forward, joined: bool
    ) -> Answer:
        entry = outcome.entry
        lookup = evolve(lookup, now=self._serving.now())
        lookup.decline(entry)
        body = outcome.body if outcome.content is None else outcome.content
        if (
            joined and outcome.content is None and outcome.body.whole
        ):  # only its last sync is still under way
            return await self._serving.made(lookup, entry, outcome.body, "HIT", Handling())
        via = outcome.via
        handling = Handling(forward=forward, stored=True, collapsed=joined, detail=via)
        word = "JOIN" if joined else via.upper() or "MISS"
        return await self._serving.made(lookup, entry, body, word, handling, outcome.read)

    def _wanted(self, lookup: Lookup, stale: Entry | None, conditional: Headers | None) -> Wanted:
        if stale is not None:  # as it is stored, whatever was made of it for the decision
            stale = evolve(stale, immutable=lookup.route.immutable and stale.status == 200)
        return Wanted(
            route=lookup.route,
            headers=lookup.headers,
            scope=lookup.scope,
            previous=stale,
            conditional=conditional or Headers(),
            client=client(lookup.request.peer),
            part=_part(lookup),
            refresh=lookup.refresh,
            not_before=lookup.not_before,
        )

    async def _timed(self, lookup: Lookup, waiting: Deferred[_T]) -> _T:
        """Wait for the upstream, on the request's account."""
        began = self._serving.now()
        try:
            return await waiting
        finally:
            lookup.request.waited(self._serving.now() - began)

    # -- in the background -----------------------------------------------------------------

    def _revalidate(self, lookup: Lookup, entry: Entry, conditional: Headers) -> None:
        """One request for all, while its clients have their answers already."""
        if self._library.at(lookup.route.key, lookup.scope).under_way:
            return
        fetching: Deferred[object] = Deferred.fromCoroutine(
            self._refresh(lookup, entry, conditional)
        )
        fetching.addErrback(lambda f: self.log.failure("background revalidation failed", f))

    async def _refresh(self, lookup: Lookup, entry: Entry, conditional: Headers) -> None:
        try:
            outcome = await self._library.fetch(self._wanted(lookup, entry, conditional))
        except UpstreamError as error:
            self.log.info("{key} stays stale: {error}", key=entry.key, error=str(error))
            return
        if isinstance(outcome, Passing):
            outcome.response.abort()


def _part(lookup: Lookup) -> Headers:
    """The one range that a client asks for, and its condition, as they would go upstream.

    Not of what may be rewritten on its way: our bytes are others than the upstream's.
    """
    asked = lookup.request.headers
    wanted = asked.joined("range") or ""
    others = asked.has_any(CONDITIONS)
    rewritten = lookup.rule.content_rewrite is not None and not lookup.route.exact
    if lookup.head_only or not _ONE_RANGE.fullmatch(wanted) or others or rewritten:
        return Headers()
    return asked.only("range", "if-range")
