"""One exchange under way, and the requests that wait for its header or for its end."""

from __future__ import annotations

from collections.abc import Callable, Collection

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aimirror.exchanges.answering import UNABLE
from aimirror.exchanges.terms import Fill
from aimirror.interfaces import Arriving, Outcome, Passing, Wanted


@define(eq=False)
class _Waiter:
    wanted: Wanted
    outcome: Deferred[Outcome | None] = Factory(Deferred)


@define(eq=False)
class Running:
    """An exchange; ``heading`` is its first part, until the outcome is there."""

    wanted: Wanted
    heading: Deferred[Outcome] | None = None
    outcome: Outcome | None = None
    fill: Fill | None = None
    #: Who has asked for it.
    clients: set[str] = Factory(set)
    #: Called when the last one who waited for the outcome has left.
    left: Callable[[Running], object] = lambda running: None
    #: Whether what it brings may have been changed meanwhile.
    outdated: bool = False
    _waiting: list[_Waiter] = Factory(list)
    _ending: list[Deferred[None]] = Factory(list)

    @property
    def awaited(self) -> int:
        """Requests for all of it that wait for the outcome."""
        return sum(not len(waiter.wanted.part) for waiter in self._waiting)

    def wanted_by(self) -> Collection[str]:
        """The clients that it is for; nobody once the last one has left."""
        reading = self.fill is not None and self.fill.body.readers > 0
        return self.clients if reading or self._waiting else ()

    @property
    def failed(self) -> bool:
        """Whether its body can't be completed, and it is about to be over."""
        return isinstance(self.outcome, Arriving) and self.outcome.body.failed is not None

    @property
    def unable(self) -> bool:
        """Whether the upstream's answer was a failure that is likely to pass."""
        return isinstance(self.outcome, Passing) and self.outcome.response.status in UNABLE

    async def header(self, wanted: Wanted) -> Outcome | None:
        """Wait for the outcome; None says that it belongs to somebody else.

        Raises what the exchange failed with.  Cancelling leaves.
        """
        return await self.outcome_of(self.join(wanted))

    def join(self, wanted: Wanted) -> _Waiter:
        """Begin to wait for the outcome; see ``outcome_of``."""
        self.clients.add(wanted.client)
        waiter = _Waiter(wanted)
        self._waiting.append(waiter)
        return waiter

    async def outcome_of(self, waiter: _Waiter) -> Outcome | None:
        """See ``header``, for one that has joined."""
        try:
            return await waiter.outcome
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                if not self._waiting:
                    self.left(self)

    async def end(self) -> None:
        """Wait until it is over."""
        ended: Deferred[None] = Deferred()
        self._ending.append(ended)
        try:
            await ended
        finally:
            if ended in self._ending:
                self._ending.remove(ended)

    def announce(self, outcome: Outcome) -> None:
        """Tell all who wait for the outcome.

        What may not be stored belongs to the leader, or to who asked the very same.
        """
        self.outcome = outcome
        waiting, self._waiting = self._waiting, []
        heir = None
        if isinstance(outcome, Passing):
            ours = (self.wanted.headers, self.wanted.part)
            same = (w for w in waiting if (w.wanted.headers, w.wanted.part) == ours)
            heir = next(same, None)
            if heir is None:
                outcome.response.abort()
        for waiter in waiting:
            shared = not isinstance(outcome, Passing) or waiter is heir
            waiter.outcome.callback(outcome if shared else None)

    def announce_failure(self, failure: Failure) -> None:
        """Tell all who wait that there is no outcome."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.outcome.errback(failure)

    def over(self) -> None:
        """Tell all who wait for the end."""
        ending, self._ending = self._ending, []
        for ended in ending:
            ended.callback(None)
