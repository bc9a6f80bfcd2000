"""Where the sources of one download are, and which version of the file each of them has."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from aimirror.download.download import Download
from aimirror.download.piece import OTHER_VALIDATOR
from aimirror.download.tasks import FetchResult, Reason
from aimirror.exchanges.environment import Place
from aimirror.http import urls
from aimirror.http.validator import Validator


class Sources:
    """The place of each source; ``unlike()`` is told that nodes have tags of their own."""

    def __init__(self, machine: Download, place: Place, unlike: Callable[[], None]) -> None:
        self._machine = machine
        self._places = {machine.primary: place}
        self._hosts: dict[int, str] = {machine.primary: urls.authority(place.url)}
        self._unlike = unlike
        #: Whether one stream brings the file, known by its date: nodes have tags of their own.
        self.by_date = False

    def __getitem__(self, source: int) -> Place:
        return self._places[source]

    def __setitem__(self, source: int, place: Place) -> None:
        self._places[source] = place
        self._hosts[source] = urls.authority(place.url)

    def host(self, source: int) -> str:
        """The host of a source, with its port where that is not the usual one."""
        return self._hosts[source]

    @property
    def total(self) -> int:
        """Bytes of the file."""
        return self._machine.total

    @property
    def hosts(self) -> frozenset[str]:
        """Those of all sources that are drawn from."""
        alive = self._machine.assignment.sources
        return frozenset(host for source, host in self._hosts.items() if source in alive)

    def at(self, host: str) -> frozenset[int]:
        """The sources at one host."""
        return frozenset(source for source, its in self._hosts.items() if its == host)

    def granted(self, shares: dict[str, int]) -> dict[int, int]:
        """The connections of each source, by those of each host."""
        return {source: shares.get(host, 0) for source, host in self._hosts.items()}

    def same_version(self, source: int, theirs: Validator, strongly: bool = False) -> bool:
        """Whether a validator is of the version that is being fetched.

        Servers of one file rarely agree on more than a strong ETag; without one, a source is
        compared only with what it said itself.
        """
        ours = self._places[self._machine.primary].validator
        if strongly:
            return (
                bool(theirs.etag) and theirs.etag == ours.etag and not theirs.etag.startswith("W/")
            )
        if self.by_date:
            return bool(theirs.last_modified) and theirs.last_modified == ours.last_modified
        known = self._places.get(source)
        return (ours if known is None else known.validator).agrees(theirs)

    def own_tags(self, flight: int, result: FetchResult) -> FetchResult:
        """What it means that a node names the same file by another ETag than the first one did.

        Where the digest is known, that decides: tags are of no account from now on.  Else one
        connection does, if size and date are the same: what it brings must be what is here.
        """
        machine = self._machine
        running = machine.assignment.flights.get(flight)
        if result.detail != OTHER_VALIDATOR or running is None or flight == machine.whole:
            return result
        source = running.source
        place = self._places[source]
        if machine.digest is not None:
            self._places[source] = evolve(place, validator=Validator())
            self._unlike()
            return evolve(result, reason=Reason.CANCELLED)
        alive = [n for n, each in machine.assignment.sources.items() if each.alive]
        if self.by_date or (source != machine.primary and len(alive) > 1):
            return result
        if not (place.validator.etag and place.validator.last_modified):
            return result
        self.by_date = True
        self._unlike()
        return evolve(result, reason=Reason.WHOLE)
