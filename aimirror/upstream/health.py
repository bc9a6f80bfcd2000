"""Which of a rule's upstreams to ask first: those that did not fail lately.

What fails is what is shunned.  A host that can't be reached is one thing; a URL at which a host
answers 500, or says nothing, is another: who finds one such URL must not move all traffic to the
next upstream.  Only where several URLs of a host fail, and no other succeeds, is the host ill.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import Factory, define, evolve, frozen

from aimirror.bounded import LRU
from aimirror.http.urls import origin

#: Seconds for which an upstream that failed is asked only after the others; doubled with each
#: failure in a row up to the longest.
SHUNNED = 5.0
SHUNNED_LONGEST = 120.0
#: URLs of a host that fail, with no success in between, before the host counts as ill.
URLS_OF_AN_ILL_HOST = 3
#: Seconds after a success for which a host is not ill, whatever else fails there.
WELL_FOR = 10.0
#: URLs that are remembered.
MOST_URLS = 1000


@frozen
class _Trouble:
    """Failures in a row, and until when (seconds) what failed is shunned."""

    count: int = 0
    until: float = 0.0

    def again(self, now: float) -> _Trouble:
        count = self.count + 1
        return _Trouble(count, now + min(SHUNNED_LONGEST, SHUNNED * 2.0 ** min(count - 1, 10)))


@frozen
class _Host:
    trouble: _Trouble = _Trouble()
    failed: frozenset[str] = frozenset()
    #: Seconds of its last success.
    well_at: float = float("-inf")


@define
class Health:
    """Failures in a row of hosts and of URLs; ``now`` is in seconds."""

    _hosts: dict[str, _Host] = Factory(dict)
    _urls: LRU[str, _Trouble] = Factory(lambda: LRU(MOST_URLS))

    def succeeded(self, url: str, now: float) -> None:
        """It answered."""
        self._hosts[origin(url)] = _Host(well_at=now)
        self._urls.pop(url)

    def failed(self, url: str, now: float, *, unreachable: bool = False) -> None:
        """It did not answer, or only to say that it can't; ``unreachable``: nor would another."""
        self._urls.put(url, (self._urls.peek(url) or _Trouble()).again(now))
        name = origin(url)
        host = self._hosts.get(name, _Host())
        if len(host.failed) < URLS_OF_AN_ILL_HOST:
            host = evolve(host, failed=host.failed | {url})
        many = len(host.failed) >= URLS_OF_AN_ILL_HOST and now - host.well_at > WELL_FOR
        if unreachable or many:
            host = evolve(host, trouble=host.trouble.again(now))
        self._hosts[name] = host

    def order(self, urls: Sequence[str], now: float) -> list[int]:
        """Indexes of ``urls``, the healthy ones first, else as configured."""
        return sorted(range(len(urls)), key=lambda index: self._ill(urls[index], now))

    def _ill(self, url: str, now: float) -> bool:
        trouble = self._urls.peek(url)
        host = self._hosts.get(origin(url))
        return (trouble is not None and trouble.until > now) or (
            host is not None and host.trouble.until > now
        )

    def shunned(self, now: float) -> dict[str, float]:
        """Host -> seconds left, for status pages."""
        return {
            name: host.trouble.until - now
            for name, host in self._hosts.items()
            if host.trouble.until > now
        }
