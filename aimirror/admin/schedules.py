"""Fetching ahead by a timetable: the ``prefetch`` section of the configuration."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen
from twisted.logger import Logger

from aimirror.admin import prefetch_lists, prefetch_locks
from aimirror.admin.jobs import Jobs, TooManyJobs
from aimirror.admin.prefetch import Order, Prefetcher
from aimirror.admin.prefetch_lists import BadList, Interpreter, Items
from aimirror.admin.timetable import AFTER_START, next_due

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.config.model import Prefetch

#: Seconds until another attempt when too many jobs run.
LATER = 60.0
#: Bytes of a list; those of large projects have a few millions.
MAX_LIST = 16 << 20
#: Words before a colon that say what something is.
_HUB, _IMAGE = "huggingface:", "image:"


@frozen
class _Planned:
    """One entry of the timetable, and what will wake it."""

    entry: Prefetch
    call: Any


class Schedules:
    """Starts jobs when they are due; ``use`` takes a new timetable, ``stop`` ends it.

    Relative paths of lists are below ``folder``.  ``offset`` tells by how many seconds local time
    is ahead of UTC at some moment.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        jobs: Jobs,
        prefetcher: Callable[[], Prefetcher],
        offset: Callable[[float], float] = lambda now: float(time.localtime(now).tm_gmtoff),
    ) -> None:
        self._clock = clock
        self._jobs = jobs
        self._prefetcher = prefetcher
        self._offset = offset
        self._planned: list[_Planned] = []
        self._folder = Path()

    def use(self, entries: Iterable[Prefetch], folder: Path) -> None:
        """Do these from now on.  An entry that was there before keeps its time."""
        entries, self._folder = list(entries), folder
        kept = []
        for planned in self._planned:
            if planned.entry in entries and planned.call.active():
                kept.append(planned)
                entries.remove(planned.entry)
            elif planned.call.active():
                planned.call.cancel()
        self._planned = kept
        for entry in entries:
            self._plan(entry, AFTER_START if entry.at is None else self._until_due(entry))

    def stop(self) -> None:
        """Start nothing any more."""
        self.use((), self._folder)

    def _until_due(self, entry: Prefetch) -> float:
        now = self._clock.seconds()
        return next_due(now, entry.every, entry.at, self._offset(now)) - now

    def _plan(self, entry: Prefetch, seconds: float) -> None:
        self._planned = [each for each in self._planned if each.call.active()]
        call = self._clock.callLater(seconds, self._begin, entry)
        self._planned.append(_Planned(entry, call))

    def _begin(self, entry: Prefetch) -> None:
        try:
            orders = [order(entry, what, self._folder) for what in entry.what]
            prefetcher = self._prefetcher()
            for wanted, what in orders:
                self._jobs.start("prefetch", what, partial(prefetcher.run, wanted))
        except TooManyJobs:
            self._plan(entry, LATER)
            return
        except (BadList, OSError, UnicodeDecodeError) as error:
            self.log.error("prefetch: {what}: {why}", what=", ".join(entry.what), why=str(error))
        self._plan(entry, self._until_due(entry))


def order(entry: Prefetch, what: str, folder: Path) -> tuple[Order, str]:
    """What one word of an entry wants, and its short description.

    Raises BadList and what reading a list raises.
    """
    interpreter = Interpreter(entry.python, entry.platform)
    plain = Order(
        interpreter=interpreter,
        index=entry.index,
        include=entry.include,
        exclude=entry.exclude,
        rate_limit=entry.rate_limit,
        dependencies=what.endswith(".txt"),
    )
    if what.startswith(_HUB):
        repository = prefetch_lists.repository(what.removeprefix(_HUB))
        return evolve(plain, repository=repository), what
    if what.startswith(_IMAGE):
        return evolve(plain, image=prefetch_lists.image(what.removeprefix(_IMAGE))), what
    is_path = what.startswith("/") and not prefetch_locks.is_list(what)
    if is_path or what.startswith(("http://", "https://")):
        return evolve(plain, items=Items(urls=(what,))), what
    with (folder / what).open("rb") as file:
        text = file.read(MAX_LIST).decode("utf-8-sig")
    return evolve(plain, items=prefetch_locks.items(what, text, interpreter)), what
