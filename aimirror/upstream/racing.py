"""One of several addresses: the next one is tried before the last has failed (RFC 8305).

Twisted's HostnameEndpoint does as much, but resolves names itself, does not say which address
answered, and after a refusal lets the delay pass all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from aimirror.bounded import LRU
from aimirror.http.egress import Address
from aimirror.interfaces import UpstreamError

#: Seconds that one address has for itself before the next one is tried, too.
ATTEMPT_DELAY = 0.25
#: Seconds for which an address that was passed by is tried after the others.
PASSED_BY_FOR = 600.0
#: Addresses of which that is remembered.
MOST_PASSED_BY = 4096

T = TypeVar("T")


class Unreached(UpstreamError):
    """Nothing answers at that address; another one of the same name may."""


class Race(Generic[T]):
    """Attempts at addresses, in their order; the first that succeeds ends all others."""

    def __init__(
        self,
        clock: IReactorTime,
        addresses: Sequence[Address],
        attempt: Callable[[Address], Deferred[T]],
        delay: float = ATTEMPT_DELAY,
    ) -> None:
        self._clock = clock
        self._left = list(addresses)
        self._attempt = attempt
        self._delay = delay
        self._running: dict[Address, Deferred[T]] = {}
        self._timer: IDelayedCall | None = None
        self._won: Deferred[tuple[T, Address]] = Deferred(lambda _: self._end())
        #: Those that failed, or had said nothing when another one answered.
        self.passed_by: list[Address] = []

    def run(self) -> Deferred[tuple[T, Address]]:
        """Fires with what an attempt brought, and its address; cancelling ends all attempts.

        Fails as the last attempt did, or at once as one that says nothing of its address.
        """
        self._next()
        return self._won

    def _next(self) -> None:
        self._timer = None
        address = self._left.pop(0)
        attempt = self._running[address] = self._attempt(address)
        attempt.addCallbacks(
            lambda brought: self._succeeded(address, brought),
            lambda failure: self._failed(address, failure),
        )
        if self._left and self._timer is None and not self._won.called:
            self._timer = self._clock.callLater(self._delay, self._next)

    def _succeeded(self, address: Address, brought: T) -> None:
        self._running.pop(address, None)
        self.passed_by += self._running
        self._end()
        self._won.callback((brought, address))

    def _failed(self, address: Address, failure: Failure) -> None:
        self._running.pop(address, None)
        if self._won.called or address in self.passed_by:
            return
        self.passed_by.append(address)
        if failure.check(ConnectError, Unreached) is None:
            self._end()
        elif self._left:
            self._stop_timer()
            self._next()
            return
        if not self._running:
            self._won.errback(failure)

    def _end(self) -> None:
        self._left.clear()
        self._stop_timer()
        running, self._running = self._running, {}
        for attempt in running.values():
            attempt.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class PassedBy:
    """Addresses that did not answer lately, by host; ``now`` is in seconds."""

    def __init__(self) -> None:
        self._until: LRU[tuple[str, Address], float] = LRU(MOST_PASSED_BY)

    def ordered(self, host: str, addresses: Sequence[Address], now: float) -> list[Address]:
        """The same addresses, those last that did not answer lately."""
        return sorted(addresses, key=lambda each: (self._until.peek((host, each)) or 0.0) > now)

    def learn(self, host: str, won: Address, passed_by: Sequence[Address], now: float) -> None:
        """One has answered; others had their chance before it."""
        self._until.pop((host, won))
        for address in passed_by:
            self._until.put((host, address), now + PASSED_BY_FOR)
