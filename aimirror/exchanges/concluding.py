"""The end of one ranged download: what becomes of its part, and of those who read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.download import commands as c
from aimirror.download.tasks import Reason
from aimirror.download.trouble import EXPIRED
from aimirror.exchanges.ending import set_apart, store
from aimirror.exchanges.environment import Environment, Finished
from aimirror.exchanges.flights import Flights
from aimirror.exchanges.growing import GrowingBody

if TYPE_CHECKING:
    from aimirror.store.parts import Part

End = c.Complete | c.Restart | c.Fail
_log = Logger()


@frozen(kw_only=True)
class Conclusion:
    """Stores ``part`` as ``entry``, sets it apart, keeps it for later or throws it away."""

    env: Environment
    part: Part
    body: GrowingBody
    entry: Entry
    flights: Flights
    #: Whether what is whole is stored.
    keep: bool
    #: Told that the links of its host work for one request, ``repeats(False)``.
    repeats: Callable[[bool], None]

    async def finish(self, command: End, total: int) -> Finished:
        """Close the part; whatever happens here, there is an end, as others wait for it."""
        try:
            finished = await self._conclude(command, total)
        except Exception as error:
            _log.failure("a download could not be ended")
            finished = Finished(reason=Reason.DISK, detail=type(error).__name__)
            self.part.discard()
            self.body.fail("the file could not be stored", Reason.DISK)
        self.env.pool.forget(self.part.id)
        closing = self.part.close()
        if finished.entry is None:
            await closing  # who comes next finds the part, to go on with it
        return finished

    async def _conclude(self, command: End, total: int) -> Finished:
        if isinstance(command, c.Complete):
            return await self._complete(dict(command.digests)["sha256"], total)
        reason, detail = command.reason, command.detail
        self.body.fail(detail or reason.value, reason)
        if isinstance(command, c.Restart):
            if command.quarantine and self.keep:
                return set_apart(self.env, self.part, detail)
            self.part.discard()
            return Finished(reason=reason, detail=detail)
        refused = reason is Reason.STATUS and command.status in EXPIRED
        if refused and not self.flights.repeated:
            self.repeats(False)
        if reason in (Reason.DISK, Reason.DISK_FULL):
            self.part.discard()
        await self.flights.landed()
        if not self.keep:
            self.part.discard()
        return Finished(reason=reason, detail=detail)

    async def _complete(self, blob: str, total: int) -> Finished:
        self.body.wake()
        # Losers of a race may still write; what is committed must not be touched any more.
        await self.flights.landed()
        if not self.keep:
            self.body.finish_unstored(total, self.env.clock, self.env.store.in_use)
            self.part.discard()
            return Finished()
        return await store(self.env, self.part, self.body, self.entry, blob, total)
