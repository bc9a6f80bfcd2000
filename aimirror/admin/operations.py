"""What is there to watch and steer the service, put together: ``/metrics`` and ``/aimirror/``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from aimirror.admin import history
from aimirror.admin.api import BASE, Api, Steering
from aimirror.admin.draining import Draining
from aimirror.admin.entries import Entries
from aimirror.admin.events import Events
from aimirror.admin.gate import Gate
from aimirror.admin.jobs import Jobs
from aimirror.admin.looks import Looks
from aimirror.admin.metrics import Metrics
from aimirror.admin.overview import STEPS, Overview
from aimirror.admin.packages import Packages
from aimirror.admin.pages import PLACE, Pages, moved_to
from aimirror.admin.recent import Recent
from aimirror.admin.schedules import Schedules
from aimirror.admin.status import Status
from aimirror.admin.welcome import Welcome
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
#: What is at ``/aimirror/`` where the administration has an address of its own: there, and at the
#: mirror's.
ADMINISTRATION = "administration"
WELCOME = "welcome"


@frozen(kw_only=True)
class Parts:
    """The service as it is watched."""

    tally: Tally
    store: Store
    downloads: Downloads
    pool: Pool
    memo: Memo
    clock: IReactorTime
    recent: Recent


async def elsewhere(request: MirrorRequest) -> Answer:
    """The answer to what is served at another address than this one."""
    return error_answer(404, "not here", "mirror and administration have an address each")


class Operations:
    """The handlers of what is not the mirror; ``start`` begins to sample, ``stop`` ends jobs.

    ``gate`` says who may steer at this moment, ``clients`` how many connections there are and
    ``answering`` on how many an answer runs, ``base`` by which URL a client came here, ``forward``
    whether the mirror is a proxy, too.
    """

    log = Logger()

    def __init__(
        self,
        parts: Parts,
        steering: Steering,
        gate: Callable[[], Gate],
        clients: Callable[[], int],
        answering: Callable[[], int],
        base: Callable[[MirrorRequest], str],
        forward: Callable[[], bool],
    ) -> None:
        tally, store, clock = parts.tally, parts.store, parts.clock
        downloads, pool = parts.downloads, parts.pool
        draining = Draining(answering)
        self._jobs = Jobs(clock)
        self.schedules = Schedules(clock, self._jobs, lambda: steering.prefetcher("localhost"))
        self._pages = Pages()
        self._welcome = Welcome(steering.rules, forward)
        self._base = base
        self._store = store
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
            Looks(parts.recent, Packages(store, clock, steering.rules), steering.rules),
            draining,
        )
        self._metrics = Metrics(tally, store, downloads, pool, clock.seconds)
        self._status = Status(store, downloads, pool, clock, gate, draining)
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
            ADMINISTRATION: self._answer_administration,
            WELCOME: self._answer_welcome,
        }
        return {name: own_words(handler) for name, handler in handlers.items()}

    def start(self) -> None:
        """Sample from now on, and go on with what was sampled before."""
        self._overview.remember(self._store.root)
        for number, (step, _) in enumerate(STEPS):
            call = LoopingCall(self._sample, number)
            call.clock = self._clock
            call.start(step, now=False)
            self._sampling.append(call)

    def stop(self) -> Deferred[None]:
        """Fires when no job runs any more."""
        for call in self._sampling:
            call.stop()
        self._sampling.clear()
        self._keep()
        self.schedules.stop()
        self._events.stop()
        return self._jobs.stop()

    def _sample(self, series: int) -> None:
        self._overview.sample(series)
        if series == len(STEPS) - 1:
            self._keep()

    def _keep(self) -> None:
        """Write the charts' numbers: some 60 kB, each five minutes."""
        try:
            history.write(self._store.root, self._overview.history())
        except OSError as error:
            self.log.warn("the charts are not kept: {why}", why=error)

    async def _answer(self, request: MirrorRequest) -> Answer | None:
        if request.raw_path.startswith(BASE):
            return await self._admin.answer(request)
        return self._page(request, administered=True) or self._pages.answer(request.raw_path)

    async def _answer_administration(self, request: MirrorRequest) -> Answer | None:
        if request.raw_path in (PLACE, f"{PLACE}/"):
            return moved_to(f"{PLACE}/admin/", request.raw_path)
        return await self._answer(request)

    async def _answer_welcome(self, request: MirrorRequest) -> Answer | None:
        if request.raw_path.startswith((BASE, f"{PLACE}/admin")):
            return await elsewhere(request)
        return self._page(request, administered=False) or self._pages.answer(request.raw_path)

    def _page(self, request: MirrorRequest, *, administered: bool) -> Answer | None:
        base = self._base(request)
        return self._welcome.answer(request.raw_path, base, administered=administered)
