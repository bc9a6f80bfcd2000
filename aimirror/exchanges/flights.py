"""What flies for one download: the fetches of the workers, and the streams read here."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.download import commands as c
from aimirror.download.assignment import PROBE
from aimirror.download.tasks import FetchResult, FetchTask
from aimirror.exchanges.environment import Environment, Place, shared
from aimirror.exchanges.sinks import FileSink
from aimirror.exchanges.stream import StreamWriter
from aimirror.http import urls
from aimirror.interfaces import IFetch, IUpstreamResponse

#: Seconds for which the ends of complete pieces are awaited, so that their connections are kept.
LANDING_SECONDS = 1.0


class Flights:
    """The flights of one download of ``total`` bytes into ``path``, by their number.

    ``wrote(flight, start, stop)`` and ``ended(flight, result, beside)`` are called as it comes;
    ``repeats(True)`` once, when a request after the first has brought bytes.
    """

    log = Logger()

    def __init__(
        self,
        env: Environment,
        path: str,
        total: int,
        host: str,
        *,
        rate_limit: Callable[[], int],
        wrote: Callable[[int, int, int], None],
        ended: Callable[[int, FetchResult, int], None],
        repeats: Callable[[bool], None],
    ) -> None:
        self._env = env
        self._path = path
        self._total = total
        self._rate_limit = rate_limit
        self._wrote = wrote
        self._report = ended
        self._repeats = repeats
        #: Whether a request after the first one has brought bytes.
        self.repeated = False
        self._flights: dict[int, IFetch | StreamWriter] = {}
        #: The host that each flight is at; the probe flies before it is read.
        self._at: dict[int, str] = {PROBE: host}
        self._streams: set[int] = {PROBE}
        self._drained: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._at)

    def at(self, host: str) -> int:
        """Those to one host."""
        return sum(at == host for at in self._at.values())

    def streams_at(self, host: str) -> int:
        """Those to one host that the service itself reads."""
        return sum(self._at.get(flight) == host for flight in self._streams)

    def trim(self, flight: int, stop: int) -> None:
        """It needs to fetch no more than that."""
        if flight in self._flights:
            self._flights[flight].trim(stop)

    def cancel(self, flight: int) -> None:
        """It ends."""
        if flight in self._flights:
            self._flights[flight].cancel()

    def waiting(self) -> list[int]:
        """Those that are not sent yet."""
        return [
            number
            for number, flight in self._flights.items()
            if not isinstance(flight, StreamWriter) and flight.waiting
        ]

    def linger(self, limit: int, seconds: float) -> None:
        """Read little more than ``limit`` of the first request before another one has ended."""
        probe = self._flights.get(PROBE)
        if isinstance(probe, StreamWriter):
            probe.linger(limit, seconds)

    def fetch(self, command: c.Fetch, place: Place) -> None:
        """Have a worker fetch a piece."""
        task = FetchTask(
            id=command.id,
            url=place.url,
            headers=place.headers,
            start=command.start,
            stop=command.stop,
            total=self._total,
            path=self._path,
            validator=place.validator,
            egress=place.egress,
            timeouts=self._env.timeouts,
            rate_limit=self._rate(),
        )
        flight = command.id
        host = self._at[flight] = urls.authority(place.url)
        hosts = self._env.hosts
        permit = hosts.take(host)

        def wrote(start: int, stop: int) -> None:
            permit.works()
            if not self.repeated:
                self.repeated = True
                self._repeats(True)
            self._wrote(flight, start, stop)

        fetch = self._env.pool.fetch(task, wrote)
        self._flights[flight] = fetch
        permit.pending.give_up = fetch.cancel
        if task.rate_limit:
            self.paced()

        def over(result: FetchResult) -> None:
            permit.release()
            self.ended(flight, result, hosts.working(host))

        fetch.result.addCallback(over)
        fetch.result.addErrback(lambda f: self.log.failure("a piece ended badly", f))

    def stream(
        self,
        flight: int,
        response: IUpstreamResponse,
        start: int,
        stop: int,
        sink: Callable[[str], FileSink],
    ) -> StreamWriter:
        """A flight that is read here; raises OSError, the response ended, without a ``sink``."""
        try:
            opened = sink(self._path)
        except OSError:
            response.abort()
            self._forget(flight)
            raise
        self._at[flight] = urls.authority(response.url)
        self._streams.add(flight)
        stream = self._flights[flight] = StreamWriter(
            response,
            opened,
            start,
            stop,
            wrote=lambda a, b: self._wrote(flight, a, b),
            ended=lambda result: self.ended(flight, result),
            to_thread=self._env.to_thread,
            clock=self._env.clock,
            rate_limit=self._rate,
        )
        return stream

    def ended(self, flight: int, result: FetchResult, beside: int = 0) -> None:
        """A flight has ended, or was never begun."""
        self._forget(flight)
        if self._rate_limit():
            self.paced()
        if self._drained is not None and not self._flights:
            drained, self._drained = self._drained, None
            drained.callback(None)
        probe = self._flights.get(PROBE)
        if isinstance(probe, StreamWriter):
            probe.go_on()
        self._report(flight, result, beside)

    def _forget(self, flight: int) -> None:
        self._flights.pop(flight, None)
        self._at.pop(flight, None)
        self._streams.discard(flight)

    def _rate(self) -> int:
        """Bytes per second of each connection, 0 without limit."""
        return shared(self._rate_limit(), len(self._at))

    def paced(self) -> None:
        """The rate limit is to be divided anew."""
        rate = self._rate()
        for flight in self._flights.values():
            if not isinstance(flight, StreamWriter):
                flight.limit(rate)

    async def landed(self) -> None:
        """Wait until no flight writes any more; ends that do not come soon are not waited for."""
        if self._flights:
            self._drained = Deferred()
            late = self._env.clock.callLater(LANDING_SECONDS, self._cut)
            await self._drained
            if late.active():
                late.cancel()

    def _cut(self) -> None:
        for flight in tuple(self._flights.values()):
            flight.cancel()
