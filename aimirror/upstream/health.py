"""Which of a rule's upstreams to ask first: those that did not fail lately."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import Factory, define

#: Seconds for which an upstream that failed is asked only after the others; doubled with each
#: failure in a row up to the longest.
SHUNNED = 5.0
SHUNNED_LONGEST = 120.0


@define
class Health:
    """Failures in a row and the time (seconds) until which an upstream is shunned, per host."""

    _failures: dict[str, int] = Factory(dict)
    _until: dict[str, float] = Factory(dict)

    def succeeded(self, host: str) -> None:
        """It answered."""
        self._failures.pop(host, None)
        self._until.pop(host, None)

    def failed(self, host: str, now: float) -> None:
        """It did not answer, or only to say that it can't."""
        count = self._failures[host] = self._failures.get(host, 0) + 1
        self._until[host] = now + min(SHUNNED_LONGEST, SHUNNED * 2.0 ** (count - 1))

    def order(self, hosts: Sequence[str], now: float) -> list[int]:
        """Indexes of ``hosts``, the healthy ones first, else as configured."""
        return sorted(range(len(hosts)), key=lambda i: self._until.get(hosts[i], 0.0) > now)

    def shunned(self, now: float) -> dict[str, float]:
        """Host -> seconds left, for status pages."""
        return {host: until - now for host, until in self._until.items() if until > now}
