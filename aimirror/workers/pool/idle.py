"""Connections that workers keep idle, as far as the parent can know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import Factory, define
from twisted.internet.defer import Deferred

from aimirror.upstream.host import Spare
from aimirror.upstream.hosts import Hosts
from aimirror.upstream.pool import IDLE_SECONDS

if TYPE_CHECKING:
    from aimirror.workers.pool.slot import Slot

#: Idle connections of all workers to one host that are remembered.
MOST_REMEMBERED = 256


@define(eq=False)
class _Kept:
    slot: Slot
    spare: Spare
    until: float


@define
class Idle:
    """Which worker has an idle connection to which host; workers close theirs by themselves.

    Each is counted in ``hosts`` until it is used again, closed, or too old.
    """

    _hosts: Hosts
    _now: Callable[[], float]
    _kept: dict[str, list[_Kept]] = Factory(dict)

    def keep(self, slot: Slot, host: str) -> None:
        """A piece ended well, and its connection is idle."""
        self._expire(host)
        kept: _Kept | None = None

        def close() -> Deferred[None]:
            if kept is not None:
                self._remove(host, kept)
            return Deferred.fromCoroutine(slot.close_idle(host))

        kept = _Kept(slot, self._hosts.keep(host, close), self._now() + IDLE_SECONDS)
        self._kept.setdefault(host, []).append(kept)
        if len(self._kept[host]) > MOST_REMEMBERED:
            self._remove(host, self._kept[host][0])

    def at(self, host: str) -> list[Slot]:
        """Workers that have one, the newest last."""
        self._expire(host)
        return [kept.slot for kept in self._kept.get(host, ())]

    def use(self, slot: Slot, host: str) -> None:
        """A piece goes to this worker, which uses its newest one if it has any."""
        for kept in reversed(self._kept.get(host, ())):
            if kept.slot is slot:
                self._remove(host, kept)
                return

    def lose(self, slot: Slot) -> None:
        """A worker is gone, and all its connections."""
        for host in list(self._kept):
            for kept in [kept for kept in self._kept[host] if kept.slot is slot]:
                self._remove(host, kept)

    def _expire(self, host: str) -> None:
        for kept in [kept for kept in self._kept.get(host, ()) if kept.until <= self._now()]:
            self._remove(host, kept)

    def _remove(self, host: str, kept: _Kept) -> None:
        kept.spare.drop()
        left = self._kept.get(host, [])
        if kept in left:
            left.remove(kept)
        if not left:
            self._kept.pop(host, None)
