"""What an upstream's answer becomes when it is stored: for whom, under which fields, proven how."""

from __future__ import annotations

from aimirror.caching.caching import Storing as Verdict
from aimirror.caching.caching import prepare, storable, variant
from aimirror.caching.entries import Entry
from aimirror.exchanges.answering import validator
from aimirror.exchanges.tools import Wanted
from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstreamResponse
from aimirror.routing import digests
from aimirror.routing.digests import Digest
from aimirror.store.journal import PartMeta


class Describing:
    """Judges and describes answers to one wanted file; pure."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._rule = wanted.route.rule

    def verdict(self, status: int, headers: Headers) -> Verdict:
        """Whether it may be stored, and for whom."""
        return storable(
            "GET",
            self._wanted.headers,
            status,
            headers,
            self._rule.cache,
            immutable=self._wanted.route.immutable and 200 <= status < 300,  # not its refusals
            personal=bool(self._wanted.scope),
        )

    def too_large(self, size: int | None) -> bool:
        """Whether the rule wants files of this size passed on."""
        limit = self._rule.max_size
        return limit is not None and size is not None and size > limit

    def entry(
        self,
        response: IUpstreamResponse,
        headers: Headers,
        verdict: Verdict,
        asked_at: float,
        now: float,
    ) -> Entry:
        """The entry, still without a blob; ``headers`` are those of a whole answer."""
        for name in self._rule.head_meta_headers:
            kept = next((h.headers.get(name) for h in response.hops if name in h.headers), None)
            if kept is not None:
                headers = headers.with_(name, kept)
        stored = self._with_vary(prepare(headers, now))
        varies = variant(stored.get_all("Vary"), self._wanted.headers)
        name, selecting = varies if varies is not None else ("", Headers())
        return Entry(
            key=self._wanted.key,
            scope="" if verdict.public else self._wanted.scope,
            variant=name,
            status=200 if response.status == 206 else response.status,
            headers=stored,
            selecting=selecting,
            requested_at=asked_at,
            received_at=now,
            arrived_at=now,
            rule=self._rule.name,
            immutable=self._wanted.route.immutable and response.status in (200, 206),
        )

    def _with_vary(self, stored: Headers) -> Headers:
        if self._wanted.route.digest is not None:
            stored = stored.without("vary")  # a digest names the same bytes for everybody
        unsaid = [n for n in self._wanted.route.vary if n not in stored.tokens("vary")]
        return stored.with_("Vary", *stored.get_all("vary"), *unsaid) if unsaid else stored

    def digest(self, response: IUpstreamResponse, learned: Digest | None) -> Digest | None:
        """What the bytes must hash to, if anybody has said it; ``learned`` is an index's word."""
        route = self._wanted.route
        if response.status not in (200, 206) or "content-encoding" in response.headers:
            return None
        _, _, query = route.key.partition("#")[0].partition("?")
        known = route.digest or learned
        return known or digests.expected(self._rule.digests, route.path, query, response.headers)


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
