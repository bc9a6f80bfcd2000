"""How upstreams fare: which to ask first, which can't be reached, which asked to be left alone.

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
#: Seconds for which what could not be reached, or said nothing, is left alone where a stored copy
#: may stand in, but for one request that tries; doubled with each time in a row.
AWAY = 5.0
AWAY_LONGEST = 60.0
#: URLs of a host that say nothing, one after the other, from which on it is the host that hangs.
SILENT_URLS_OF_A_HOST = 2
#: Seconds: a host's wish to be left alone is obeyed no longer than this.
PAUSE_LONGEST = 120.0
#: Hosts, by credential, of which such wishes are remembered.
MOST_PAUSES = 10_000


@frozen
class _Trouble:
    """Failures in a row, and until when (seconds) what failed is shunned."""

    count: int = 0
    until: float = 0.0

    def again(
        self, now: float, first: float = SHUNNED, longest: float = SHUNNED_LONGEST
    ) -> _Trouble:
        count = self.count + 1
        return _Trouble(count, now + min(longest, first * 2.0 ** min(count - 1, 10)))


@frozen
class Pause:
    """A host wants to be left alone, and has said so by a status."""

    seconds: float
    status: int


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
    #: By origin, or by URL where that alone says nothing.
    _away: LRU[str, _Trouble] = Factory(lambda: LRU(MOST_URLS))
    #: By origin: URLs that have said nothing since the last one that did.
    _silent: LRU[str, frozenset[str]] = Factory(lambda: LRU(MOST_URLS))
    #: By origin and scope of a credential ("" for everybody): until when it wants to be left alone,
    #: in seconds of the clock, and by which status it has said so.
    _pauses: LRU[tuple[str, str], Pause] = Factory(lambda: LRU(MOST_PAUSES))

    def succeeded(self, url: str, now: float) -> None:
        """It answered."""
        self._hosts[origin(url)] = _Host(well_at=now)
        self._urls.pop(url)
        self.reached(url)

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
        if len(urls) == 1:
            return [0]
        return sorted(range(len(urls)), key=lambda index: self.ill(urls[index], now))

    def ill(self, url: str, now: float) -> bool:
        """Whether it, or its host, failed lately."""
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

    # -- out of reach ----------------------------------------------------------------------

    def unreached(self, url: str, now: float, *, unreachable: bool) -> None:
        """Its host can't be reached, or this URL says nothing.

        Where another URL of the host has said nothing either, it is the host that hangs.
        """
        host = origin(url)
        names = [host] if unreachable else [url]
        if not unreachable:
            silent = (self._silent.get(host) or frozenset()) | {url}
            if len(silent) >= SILENT_URLS_OF_A_HOST:
                names = [url, host]
            else:
                self._silent.put(host, silent)
        for name in names:
            trouble = self._away.peek(name) or _Trouble()
            self._away.put(name, trouble.again(now, AWAY, AWAY_LONGEST))

    def reached(self, url: str) -> None:
        """It said something, whatever that was."""
        if len(self._away) or len(self._silent):  # which is rare
            self._away.pop(url)
            self._away.pop(origin(url))
            self._silent.pop(origin(url))

    def away(self, urls: Sequence[str], now: float) -> bool:
        """Whether none of the URLs will answer, as far as is known.

        Once in a while one caller is told no, and is to try for all.
        """
        names = [url if self._away.peek(url) else origin(url) for url in urls]
        known = [self._away.peek(name) for name in names]
        if not all(known):
            return False
        due = [
            (n, each) for n, each in zip(names, known, strict=True) if each and each.until <= now
        ]
        for name, trouble in due:
            again = trouble.again(now, AWAY, AWAY_LONGEST)
            self._away.put(name, evolve(again, count=trouble.count))
        return not due

    # -- wishes ----------------------------------------------------------------------------

    def pause(self, url: str, scope: str, seconds: float, now: float, status: int = 503) -> None:
        """Its host wants to be left alone for so long by those whose credential has this scope."""
        until = now + min(PAUSE_LONGEST, seconds)
        self._pauses.put((origin(url), scope), Pause(until, status))

    def paused(self, url: str, scope: str, now: float) -> Pause | None:
        """For how long its host wants to be left alone still."""
        if not len(self._pauses):
            return None
        pauses = (self._pauses.peek((origin(url), each)) for each in {"", scope})
        longest = max((p for p in pauses if p), key=lambda p: p.seconds, default=None)
        if longest is None or longest.seconds <= now:
            return None
        return Pause(longest.seconds - now, longest.status)
