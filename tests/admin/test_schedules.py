"""Fetching ahead by a timetable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.jobs import MOST_RUNNING, Job, Jobs
from aimirror.admin.prefetch import Order
from aimirror.admin.prefetch_lists import BadList
from aimirror.admin.schedules import LATER, Schedules, order
from aimirror.admin.timetable import AFTER_START
from aimirror.config.model import Prefetch

HOUR = 3600.0


class Fetching:
    """A prefetcher whose jobs end when they are told to."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.running: list[Deferred[None]] = []

    async def run(self, wanted: Order, job: Job) -> None:
        self.orders.append(wanted)
        ended: Deferred[None] = Deferred()
        self.running.append(ended)
        await ended


class SchedulesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000 * 24 * HOUR)
        self.jobs = Jobs(self.clock)
        self.fetching = Fetching()
        fetching: Any = self.fetching
        self.schedules = Schedules(self.clock, self.jobs, lambda: fetching, lambda now: 0.0)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def use(self, *entries: Prefetch) -> None:
        self.schedules.use(entries, self.folder)

    def finish(self) -> None:
        for ended in self.fetching.running:
            ended.callback(None)
        self.fetching.running.clear()

    def test_times(self) -> None:
        """At its time each day; one without a time soon after the start, and then each span."""
        self.use(Prefetch(what=("/a",), at=3 * HOUR), Prefetch(what=("/b",), every=HOUR))
        self.clock.advance(AFTER_START - 1)
        self.assertEqual(self.fetching.orders, [])
        self.clock.advance(1)
        self.assertEqual([o.items.urls for o in self.fetching.orders], [("/b",)])
        for _ in range(3):
            self.clock.pump([60.0] * 60)
            self.finish()
        asked = [o.items.urls[0] for o in self.fetching.orders]
        self.assertEqual((asked.count("/a"), asked.count("/b")), (1, 4))
        for _ in range(24):
            self.clock.advance(HOUR)
            self.finish()
        self.assertEqual([o.items.urls[0] for o in self.fetching.orders].count("/a"), 2)

    def test_new_table(self) -> None:
        """An entry that stays keeps its time, one that is gone is not begun."""
        stays, goes = Prefetch(what=("/a",), every=HOUR), Prefetch(what=("/b",), every=HOUR)
        self.use(stays, goes)
        self.clock.advance(AFTER_START / 2)
        self.use(stays)
        self.clock.advance(AFTER_START / 2)
        self.assertEqual([o.items.urls for o in self.fetching.orders], [("/a",)])
        self.schedules.stop()
        self.finish()
        self.clock.advance(10 * HOUR)
        self.assertEqual(len(self.fetching.orders), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_many(self) -> None:
        """When too many jobs run, it is tried again a little later."""
        for number in range(MOST_RUNNING):
            self.jobs.start("other", str(number), lambda job: Deferred())
        self.use(Prefetch(what=("/a",), every=HOUR))
        self.clock.advance(AFTER_START)
        self.assertEqual(self.fetching.orders, [])
        self.successResultOf(self.jobs.stop())
        self.clock.advance(LATER)
        self.assertEqual(len(self.fetching.orders), 1)

    def test_broken_list(self) -> None:
        """A list that can't be read is logged, and is tried again at its next time."""
        self.use(Prefetch(what=("go.sum",), every=HOUR))
        self.clock.advance(AFTER_START)
        (self.folder / "go.sum").write_text("a v1 h1:x=\n")
        self.clock.advance(HOUR)
        self.assertEqual(len(self.fetching.orders), 1)

    def test_orders(self) -> None:
        """What a word means: a repository, an image, a URL, a path of the mirror, or a list."""
        entry = Prefetch(what=(), python="3.11", rate_limit=7, include=("*.json",))

        def made(what: str) -> Order:
            return order(entry, what, self.folder)[0]

        repository = made("huggingface:datasets/o/n@v1").repository
        assert repository is not None
        self.assertEqual((repository.kind, repository.revision), ("datasets", "v1"))
        image = made("image:nginx:1.27").image
        assert image is not None
        self.assertEqual((image.name, image.reference), ("library/nginx", "1.27"))
        for url in ("/simple/numpy/", "https://h/x.whl", "https://h/list.txt"):
            self.assertEqual(made(url).items.urls, (url,))
        (self.folder / "requirements.txt").write_text("numpy\n")
        listed = made("requirements.txt")
        self.assertEqual([p.name for p in listed.items.projects], ["numpy"])
        self.assertEqual((listed.rate_limit, listed.interpreter.python), (7, "3.11"))
        self.assertRaises(BadList, made, "huggingface:a b c")
        self.assertRaises(OSError, made, "none.txt")
