"""What happened lately."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin import recent
from aimirror.admin.recent import Lines, Recent, Ring, watched
from aimirror.server.access_log import AccessRecord

HIT = AccessRecord("GET", "/a?signature=geheim", "HTTP/1.1", 200, "HIT", "", "", "files")
FAILED = HIT._replace(status=502, outcome="", why="connection lost: by h.test")


class RecentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.recent = Recent(self.clock)

    def add(self, record: AccessRecord, peer: str = "192.0.2.1", sent: int = 10) -> None:
        self.recent.add(record, peer, sent, 0.25)

    def clients(self) -> dict[str, Any]:
        return {row["client"]: row for row in self.recent.usage(50, ["files"])["clients"]}

    def test_rules(self) -> None:
        """Use by rule; one that is gone is told no more, and the mirror's own pages are none."""
        self.add(HIT)
        self.add(HIT._replace(rule="gone"))
        self.add(HIT._replace(rule="", target="/metrics"))
        rules = self.recent.usage(50, ["files", "unused"])["rules"]
        self.assertEqual([(row["rule"], row["answers"]) for row in rules], [("files", 1)])
        self.assertEqual(self.clients()["192.0.2.1"]["answers"], 2)

    def test_tunnels(self) -> None:
        """What went through a tunnel counts for its client, and for no rule."""
        self.add(HIT._replace(rule="", method="CONNECT", target="h.test:443", outcome=""), sent=99)
        self.assertEqual(self.clients()["192.0.2.1"]["bytes"], 99)
        self.assertEqual(self.recent.usage(50, ["", "files"])["rules"], [])

    def test_errors(self) -> None:
        """Equal errors are one row with its reason; the last one comes first; no query is told."""
        self.add(FAILED)
        self.clock.advance(5)
        self.add(FAILED, "192.0.2.9")
        self.clock.advance(1)
        self.add(HIT._replace(status=404, rule="", why="no rule", target="/x"))
        self.add(HIT._replace(why="cut: too short", target="/cut"))
        self.add(HIT._replace(status=404))
        errors = self.recent.errors.told()
        self.assertEqual([row["status"] for row in errors[-1:]], [502])
        self.assertEqual({row["path"] for row in errors}, {"/x", "/cut", "/a?..."})
        row = errors[-1]
        told = (row["count"], row["client"], row["first"], row["last"], row["why"])
        self.assertEqual(told, (2, "192.0.2.9", 1000, 1005, FAILED.why))
        self.assertNotIn("geheim", str(errors))

    def test_refusals_displace_no_faults(self) -> None:
        """A client that asks for a thousand wrong paths hides no failure of an upstream."""
        self.add(FAILED)
        for number in range(1000):
            self.add(HIT._replace(status=404, why="no rule", target=f"/{number}"))
        errors = self.recent.errors.told()
        self.assertEqual(len(errors), recent.MOST_REFUSALS + 1)
        self.assertIn(502, [row["status"] for row in errors])

    def test_answers(self) -> None:
        """Who polls gets each answer once, without its query."""
        self.add(HIT)
        first = self.recent.answers(0, 50)
        self.add(FAILED)
        second = self.recent.answers(first["number"], 50)
        self.assertEqual([row["status"] for row in first["answers"]], [200])
        self.assertEqual([row["status"] for row in second["answers"]], [502])
        self.assertEqual(self.recent.answers(second["number"], 50)["answers"], [])
        self.assertNotIn("geheim", str((first, second)))

    def test_hook(self) -> None:
        """What is noted is logged, too."""
        logged: list[Any] = []
        self.recent.noting(lambda *given: logged.append(given))(HIT, "p", 1, 0.5)
        self.assertEqual((logged, len(self.clients())), ([(HIT, "p", 1, 0.5)], 1))


class RingTests(SynchronousTestCase):
    def test_after(self) -> None:
        """The new ones are told, so many at most; a number of another service's means all."""
        ring = Ring(3)
        for value in range(5):
            ring.add(value)
        self.assertEqual(ring.after(0, 10), [2, 3, 4])
        self.assertEqual(ring.after(4, 10), [4])
        self.assertEqual(ring.after(5, 10), [])
        self.assertEqual(ring.after(0, 2), [3, 4])
        self.assertEqual(ring.after(99, 10), [2, 3, 4])


class LinesTests(SynchronousTestCase):
    def test_log(self) -> None:
        """Lines of the log are kept as people read them, a failure with its kind; none of debug."""
        lines, publisher = Lines(), LogPublisher()
        unwatch = watched(publisher, lines)
        log = Logger(namespace="here", observer=publisher)
        log.warn("{count} lost", count=3)
        log.debug("nothing")
        log.failure("broke", Failure(ValueError("bad")))
        log.info("x" * 10_000)
        unwatch()
        log.info("after")
        told = lines.told(0, 50)
        self.assertEqual(told["number"], 3)
        first, second, third = told["lines"]
        self.assertEqual(
            (first["level"], first["place"], first["text"]), ("warn", "here", "3 lost")
        )
        self.assertEqual(second["text"], "broke: ValueError: bad")
        self.assertEqual(len(third["text"]), recent.LONGEST)
