"""What an upstream's answer becomes when it is stored: for whom, under which fields, proven how.

GET and HEAD are judged by the same words: what HEAD is told is what GET would store.
"""

from __future__ import annotations

from attrs import evolve, frozen

from aimirror.caching.caching import (
    confirms,
    freshen,
    head_updates,
    prepare,
    storable,
    variant,
)
from aimirror.caching.entries import Entry
from aimirror.caching.freshness import holds
from aimirror.caching.redirected import restrained
from aimirror.exchanges.answering import UNABLE, validator
from aimirror.http import urls
from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstreamResponse, Wanted
from aimirror.routing import digests
from aimirror.routing.digests import Digest
from aimirror.store.journal import PartMeta
from aimirror.upstream.responses import asked_of


@frozen
class Judged:
    """An answer as the entry, still without a blob, that it would be; whether it may be stored."""

    entry: Entry
    store: bool
    #: The answer's own fields, for the one to whom it is passed on.
    headers: Headers


class Judge:
    """Judges and describes answers to one wanted file; times are epoch seconds.  Pure."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._rule = wanted.route.rule

    def answer(
        self,
        response: IUpstreamResponse,
        status: int,
        headers: Headers,
        asked_at: float,
        now: float,
    ) -> Judged:
        """An answer with the ``status`` and ``headers`` that a whole one has."""
        if status == 200:
            headers = headers.without("content-range")  # of a whole: it would mislead clients
        headers = self._restrained(response, headers, now)
        store, public = self._storable(status, headers)
        for name in self._rule.head_meta_headers:
            kept = next((h.headers.get(name) for h in response.hops if name in h.headers), None)
            if kept is not None:
                headers = headers.with_(name, kept)
        stored = self._with_vary(prepare(headers, now))
        name, selecting = variant(stored.get_all("Vary"), self._wanted.headers) or ("", Headers())
        entry = Entry(
            key=self._wanted.key,
            scope="" if public else self._wanted.scope,
            variant=name,
            status=status,
            headers=stored,
            selecting=selecting,
            requested_at=asked_at,
            received_at=now,
            arrived_at=now,
            rule=self._rule.name,
            asked_of=asked_of(response),
            led_to=urls.origin(response.url),
            immutable=self._wanted.route.immutable and status == 200,
        )
        return Judged(entry, store, headers)

    def renewed(
        self,
        previous: Entry,
        response: IUpstreamResponse,
        status: int,
        headers: Headers,
        asked_at: float,
        now: float,
    ) -> Judged | None:
        """The entry as a 304, or a 200 to HEAD, updates it (RFC 9111 sections 4.3.4 and 4.3.5).

        None when the answer is about another version, or when an entry that is not for anybody
        came another way: a second upstream, or where a redirect leads others, knows nothing of
        what the one who opened it saw.
        """
        way = (asked_of(response), urls.origin(response.url))
        if previous.scope and way != (previous.asked_of, previous.led_to):
            return None
        if status == 304 and not confirms(previous, response.headers):
            return None
        headers = self._restrained(response, headers, now)
        update = freshen if status == 304 else head_updates
        entry = update(previous, headers, asked_at, now)
        if entry is None:
            return None
        if previous.scope not in ("", self._wanted.scope):
            entry = evolve(entry, scope=self._wanted.scope)
        return Judged(entry, self._storable(entry.status, entry.headers)[0], headers)

    def spares(self, status: int, now: float) -> bool:
        """Whether what is stored is better than an answer of this status, and stays.

        A failure never takes the place of what may stand in for it; nor does a refusal that was
        asked for by a client's wish alone, while what is stored still holds for all others.
        """
        previous = self._wanted.previous
        if previous is None:
            return False
        if previous.status not in UNABLE and status in UNABLE:
            return True
        worse = previous.status < 300 <= status
        return worse and holds(previous, self._rule.cache, now)

    def contradicted(self, response: IUpstreamResponse, total: int | None) -> str:
        """What speaks against ``total`` bytes being the whole file; "" for nothing.

        Its size may be known beforehand, and a version of a file does not lose bytes.
        """
        if total is None or _coded(response.headers) or response.status not in (200, 206):
            return ""
        size, previous = self._wanted.route.size, self._wanted.previous
        if size is not None and size != total:
            return f"{total} bytes, and the file has {size}"
        if previous is None or not previous.blob or _coded(previous.headers):
            return ""
        ours, theirs = validator(previous.headers), validator(response.headers)
        same = ours == theirs and all((ours.etag, ours.last_modified, ours.if_range()))
        shorter = same and total < previous.size
        return f"{total} bytes of a version that has {previous.size}" if shorter else ""

    def too_large(self, size: int | None) -> bool:
        """Whether the rule wants files of this size passed on."""
        limit = self._rule.max_size
        return limit is not None and size is not None and size > limit

    def digest(self, response: IUpstreamResponse) -> Digest | None:
        """What the bytes must hash to, if anybody has said it."""
        route = self._wanted.route
        if response.status not in (200, 206) or "content-encoding" in response.headers:
            return None
        _, _, query = route.key.partition("#")[0].partition("?")
        said = self._rule.digests
        return route.digest or digests.expected(said, route.path, query, response.headers)

    def _restrained(self, response: IUpstreamResponse, headers: Headers, now: float) -> Headers:
        """An answer's fields, held to what the redirects on the way to it allow."""
        hops = ((hop.status, hop.headers) for hop in response.hops)
        return restrained(headers, hops, self._rule.cache, now)

    def _storable(self, status: int, headers: Headers) -> tuple[bool, bool]:
        """Whether an answer may be stored, and whether for anybody."""
        verdict = storable(
            "GET",
            self._wanted.headers,
            status,
            headers,
            self._rule.cache,
            immutable=self._wanted.route.immutable and 200 <= status < 300,  # not its refusals
            personal=bool(self._wanted.scope),
            obey_client=self._wanted.route.obeys_clients,
        )
        return verdict.store, verdict.public

    def _with_vary(self, stored: Headers) -> Headers:
        if self._wanted.route.digest is not None:
            stored = stored.without("vary")  # a digest names the same bytes for everybody
        unsaid = [n for n in self._wanted.route.vary if n not in stored.tokens("vary")]
        return stored.with_("Vary", *stored.get_all("vary"), *unsaid) if unsaid else stored


def _coded(headers: Headers) -> bool:
    return headers.tokens("content-encoding") not in ((), ("identity",))


def part_meta(response: IUpstreamResponse, entry: Entry, total: int | None) -> PartMeta:
    """What must be known to go on with a part."""
    return PartMeta(
        key=entry.key,
        scope=entry.scope,
        url=response.url,
        validator=validator(response.headers),
        total=total,
        status=entry.status,
        headers=entry.headers,
        requested_at=entry.requested_at,
        received_at=entry.received_at,
        rule=entry.rule,
    )
