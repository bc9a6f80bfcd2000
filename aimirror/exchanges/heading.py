"""HEAD by the way of GET: what GET would bring, at the price of a header."""

from __future__ import annotations

from attrs import evolve

from aimirror.caching.entries import Entry
from aimirror.caching.freshness import NEGATIVE
from aimirror.exchanges.answering import Kind, as_whole, meaning
from aimirror.exchanges.asking import Asking
from aimirror.exchanges.decoding import DecodedResponse, decodable
from aimirror.exchanges.environment import Environment
from aimirror.exchanges.judging import Judge, Judged
from aimirror.exchanges.tiered import left, outdated
from aimirror.http.headers import Headers
from aimirror.interfaces import Described, IUpstreamResponse, Validated, Wanted
from aimirror.routing.choices import Strategy
from aimirror.upstream.health import Health
from aimirror.upstream.responses import let_go

#: Answers by which servers refuse HEAD, and not what it is about.
NO_HEAD = frozenset({400, 403, 405, 501})


class Heading:
    """Asks the upstreams of ``wanted`` for a header; no body is ever fetched for it.

    It asks by GET of one byte where ranges are usual: addresses signed for GET refuse HEAD.  Where
    a link may work once (see ``Exchange``), it asks by HEAD before, which is no use of it.
    """

    def __init__(
        self, env: Environment, health: Health, wanted: Wanted, *, repeating: bool = True
    ) -> None:
        self._env = env
        self._health = health
        self._wanted = wanted
        rule = wanted.route.rule
        self._by_ranges = rule.strategy is Strategy.PARALLEL
        known = repeating or bool(rule.ecosystem) or wanted.previous is not None
        self._ask_by(ranged=self._by_ranges and known)
        self._judge = Judge(wanted)
        #: Whether the upstream has sent a part, or says that it does.
        self._sends_ranges = False

    def _ask_by(self, *, ranged: bool) -> None:
        self._ranged = ranged
        self._asking = Asking(self._env, self._health, self._wanted, "GET" if ranged else "HEAD")

    async def run(self) -> Validated | Described:
        """What the upstream says of the file; raises UpstreamError."""
        tier = self._env.tier
        entry = None if tier is None else await left(tier, self._wanted)
        if entry is not None and outdated(entry, self._wanted, self._env.clock.seconds()) is None:
            return Described(entry, stored=True)
        response, status, headers = await self._header(conditional=True)
        previous = self._wanted.previous
        if previous is not None and (status == 304 or status == 200 == previous.status):
            renewed = self._renewed(previous, response, status, headers)
            if renewed is not None:
                return Validated(renewed, response.status)
            if status == 304:  # it is about another version than is stored
                response, status, headers = await self._header(conditional=False)
        return self._described(self._judge.answer(response, status, headers, *self._times()))

    async def _header(self, *, conditional: bool) -> tuple[IUpstreamResponse, int, Headers]:
        """An answer, and its status and fields as those of a whole one."""
        span = (0, 1) if self._ranged else None
        response = await self._asking.first(span, conditional=conditional)
        if self._by_ranges and not self._ranged and response.status in NO_HEAD:
            let_go(response, bodiless=True)
            self._ask_by(ranged=True)
            return await self._header(conditional=conditional)
        judged = meaning(response.status, response.headers, span, False)
        if judged.kind is Kind.ASK_PLAINLY and not _is_empty(response):
            response.abort()
            response = await self._asking.first(None, conditional=conditional)
        said = response.headers.tokens("accept-ranges") == ("bytes",)
        self._sends_ranges = judged.kind is Kind.RANGED or (not self._ranged and said)
        let_go(response, bodiless=not self._ranged)
        if decodable(response.headers):
            response = DecodedResponse(response)
        if judged.kind is Kind.RANGED:
            return response, 200, as_whole(response.headers, judged.total)
        if _is_empty(response):
            headers = response.headers.without("content-range").with_("Content-Length", "0")
            return response, 200, headers
        return response, response.status, response.headers

    def _renewed(
        self, previous: Entry, response: IUpstreamResponse, status: int, headers: Headers
    ) -> Entry | None:
        """The stored entry as the answer updates it, None when it can't be served by it.

        If it is outdated, the next GET asks for a new one.
        """
        renewed = self._judge.renewed(previous, response, status, headers, *self._times())
        if renewed is None:
            if status == 200:
                self._env.store.put(evolve(previous, invalidated=True))
            return None
        if not renewed.store:
            return None
        self._env.store.put(renewed.entry)
        return renewed.entry

    def _described(self, judged: Judged) -> Described:
        length = judged.headers.get("content-length") or ""
        large = length.isdecimal() and self._judge.too_large(int(length))
        if not judged.store or large:
            entry = evolve(judged.entry, headers=judged.headers)
            return Described(entry, stored=False, ranges=self._sends_ranges)
        status = judged.entry.status
        if status in NEGATIVE and not self._judge.spares(status, self._env.clock.seconds()):
            # What HEAD found missing is missing for GET, too.
            kept = judged.entry.headers.without("content-length", "content-type")
            self._env.store.put(evolve(judged.entry, headers=kept))
        return Described(judged.entry, stored=True)

    def _times(self) -> tuple[float, float]:
        return self._asking.asked_at, self._env.clock.seconds()


def _is_empty(response: IUpstreamResponse) -> bool:
    """Whether there is a file without a byte: no range of it can be had."""
    return response.status == 416 and response.headers.get("content-range") == "bytes */0"
