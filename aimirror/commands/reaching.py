"""Whether upstreams can be reached, by the ways that the configuration says."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from aimirror.config import Config
from aimirror.config.applying import egress_of
from aimirror.http.egress import Egress, Outgoing, Timeouts
from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstream, UpstreamError
from aimirror.upstream.agent import Agents
from aimirror.upstream.client import Upstream
from aimirror.upstream.proxies import bypassed

#: Upstreams that are asked at one time, and seconds for each.
AT_ONCE = 16
PATIENCE = Timeouts(connect=8.0, header=8.0, silence=8.0)


@frozen
class Reached:
    """What an origin said: ``problem`` is "" when it answered, whatever the status."""

    origin: str
    #: The proxy in between as host and port, "" for none.
    proxy: str
    problem: str = ""
    #: By how many seconds its clock is ahead of ours, None where it does not tell.
    ahead: float | None = None


def origins(config: Config) -> dict[str, Egress]:
    """The origins of all rules, with the way to each."""
    egress = egress_of(config)
    egresses: dict[str, Egress] = {}
    for rule in config.rules:
        for upstream in rule.upstreams:
            parts = urlsplit(upstream)
            egresses.setdefault(f"{parts.scheme}://{parts.netloc}", egress(rule))
    return egresses


def reach(config: Config, reactor: Any) -> Deferred[list[Reached]]:
    """Ask every origin once; fires with what each said, in the order of the rules."""
    return reach_by(Upstream(Agents(reactor)), origins(config), reactor.seconds)


def reach_by(upstream: IUpstream, wanted: dict[str, Egress], now: Any) -> Deferred[list[Reached]]:
    """The same by some upstream client."""
    turns = DeferredSemaphore(AT_ONCE)

    def ask(origin: str, egress: Egress) -> Deferred[Reached]:
        return Deferred.fromCoroutine(_ask(upstream, origin, egress, now))

    asked = [turns.run(ask, origin, egress) for origin, egress in wanted.items()]
    done: Deferred[list[Reached]] = gatherResults(asked, consumeErrors=True)
    return done


async def _ask(upstream: IUpstream, origin: str, egress: Egress, now: Any) -> Reached:
    proxy = _proxy(origin, egress)
    outgoing = Outgoing("HEAD", f"{origin}/", Headers(()), egress, PATIENCE)
    try:
        answer = await upstream.request(outgoing)
    except UpstreamError as error:
        return Reached(origin, proxy, str(error))
    answer.abort()
    if answer.status == 407:
        return Reached(origin, proxy, "the proxy wants a login (407)")
    return Reached(origin, proxy, ahead=_ahead(answer.headers.get("date"), now()))


def _ahead(date: str | None, now: float) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp() - now
    except (ValueError, TypeError):
        return None


def _proxy(origin: str, egress: Egress) -> str:
    """The proxy's address, without its password."""
    parts = urlsplit(origin)
    plain = egress.plain_proxy if parts.scheme == "http" else None
    url = egress.proxy if plain is None else plain
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not url or bypassed(parts.hostname or "", port, egress.no_proxy):
        return ""
    return url.partition("://")[2].rpartition("@")[2].rstrip("/")
