"""What is there to watch and steer the service, put together: ``/metrics`` and ``/aimirror/``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from aimirror.admin.api import BASE, Api, Steering
from aimirror.admin.dashboard import STEPS, Events, Overview, Pages
from aimirror.admin.entries import Entries
from aimirror.admin.gate import Gate
from aimirror.admin.jobs import Jobs
from aimirror.admin.metrics import Metrics
from aimirror.admin.schedules import Schedules
from aimirror.admin.status import Status
from aimirror.server.admission import own_words
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer
from aimirror.server.tally import Tally

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.exchanges.running import Downloads
    from aimirror.server.memo import Memo
    from aimirror.server.request import Handler, MirrorRequest
    from aimirror.store.store import Store
    from aimirror.workers.pool.pool import Pool

#: The first segments of paths that are the mirror's own.
NAMED = ("health", "stats", "metrics", "aimirror")


@frozen(kw_only=True)
class Parts:
    """The service as it is watched."""

    tally: Tally
    store: Store
    downloads: Downloads
    pool: Pool
    memo: Memo
    clock: IReactorTime


async def elsewhere(request: MirrorRequest) -> Answer:
    """The answer to what is served at another address than this one."""
    return error_answer(404, "not here", "mirror and administration have an address each")


class Operations:
    """The handlers of what is not the mirror; ``start`` begins to sample, ``stop`` ends jobs.

    ``gate`` says who may steer at this moment, ``clients`` how many connections there are.
    """

    def __init__(
        self,
        parts: Parts,
        steering: Steering,
        gate: Callable[[], Gate],
        clients: Callable[[], int],
    ) -> None:
        tally, store, clock = parts.tally, parts.store, parts.clock
        downloads, pool = parts.downloads, parts.pool
        self._jobs = Jobs(clock)
        self.schedules = Schedules(clock, self._jobs, lambda: steering.prefetcher("localhost"))
        self._pages = Pages()
        self._overview = Overview(
            tally, store, downloads, pool, self._jobs, clock, steering.rules, clients
        )
        self._events = Events(self._overview, clock)
        self._admin = Api(
            store,
            parts.memo,
            Entries(
                store,
                clock,
                steering.rules,
                None if downloads.tier is None else downloads.tier.orders,
            ),
            self._jobs,
            steering,
            gate,
            self._overview.all,
            self._events.stream,
        )
        self._metrics = Metrics(tally, store, downloads, pool, clock.seconds)
        self._status = Status(store, downloads, pool, clock, gate)
        self._clock = clock
        self._sampling: list[LoopingCall] = []

    def named(self, login: Callable[[Handler], Handler]) -> dict[str, Handler]:
        """Handlers by the first segment of the path; ``login`` guards those that tell numbers.

        ``/health`` is for whoever watches over the process, ``/aimirror/`` has its own gate.
        """
        handlers = {
            "health": self._status.health,
            "stats": login(self._status.stats),
            "metrics": login(self._metrics.answer),
            "aimirror": self._answer,
        }
        return {name: own_words(handler) for name, handler in handlers.items()}

    def start(self) -> None:
        """Sample from now on."""
        for number, (step, _) in enumerate(STEPS):
            call = LoopingCall(self._overview.sample, number)
            call.clock = self._clock
            call.start(step, now=False)
            self._sampling.append(call)

    def stop(self) -> Deferred[None]:
        """Fires when no job runs any more."""
        for call in self._sampling:
            call.stop()
        self._sampling.clear()
        self.schedules.stop()
        self._events.stop()
        return self._jobs.stop()

    async def _answer(self, request: MirrorRequest) -> Answer | None:
        if request.raw_path.startswith(BASE):
            return await self._admin.answer(request)
        return self._pages.answer(request)
