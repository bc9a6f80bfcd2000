"""Which of the log files a configuration opens, and what is written to them."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, LogPublisher, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import AccessFormat, ConfigError, Level, Logging
from aimirror.server.access_log import AccessRecord
from aimirror.server.short_log import Short
from aimirror.service.logs import Logs, observer, open_logs
from aimirror.tap import LogService

EXCHANGE = AccessRecord("GET", "/a", "HTTP/1.1", 200, "HIT", "", "pip")


class LogsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        (self.folder / "more").mkdir(parents=True)
        self.standard: list[bytes] = []
        self.own = Logging(file=self.folder / "events")

    def open(self, logging: Logging) -> Logs:
        return open_logs(logging, Clock(), self.standard.append)

    def answered(self, logging: Logging) -> Logs:
        """Open the logs, and let one answer be noted."""
        logs = self.open(logging)
        assert logs.access is not None
        logs.access(EXCHANGE, "127.0.0.1", 3, 0.1)
        logs.flush()
        return logs

    def test_answers_go_with_events(self) -> None:
        """Answers are written to the program's stream, the file of events, or their own."""
        self.answered(Logging())
        self.assertEqual(len(self.standard), 1)
        self.answered(self.own)
        self.assertIn("GET /a", (self.folder / "events").read_text())
        self.answered(evolve(self.own, access_file=self.folder / "answers"))
        self.assertIn("GET /a", (self.folder / "answers").read_text())
        self.assertEqual(len(self.standard), 1)

    def test_format(self) -> None:
        """People who look at the program's stream get short lines, files the combined format."""
        both = evolve(Logging(), access_file=self.folder / "answers")
        for access, people, standard, filed in (
            (AccessFormat.AUTO, True, "  /a\n", '"GET /a HTTP/1.1"'),
            (AccessFormat.AUTO, False, '"GET /a HTTP/1.1"', '"GET /a HTTP/1.1"'),
            (AccessFormat.SHORT, False, "  /a\n", "  /a\n"),
            (AccessFormat.COMMON, True, '"GET /a HTTP/1.1"', '"GET /a HTTP/1.1"'),
        ):
            for logging in (Logging(access=access), evolve(both, access=access)):
                short = Short(colours=True) if people else None
                logs = open_logs(logging, Clock(), self.standard.append, short)
                assert logs.access is not None
                logs.access(EXCHANGE, "127.0.0.1", 3, 0.1)
                logs.flush()
            self.assertIn(standard, self.standard[-1].decode())
            last = (self.folder / "answers").read_text().splitlines(keepends=True)[-1]
            self.assertIn(filed, last)
            self.assertNotIn("\x1b", last)

    def test_no_answers(self) -> None:
        """None are written when they are off, or when only what is wrong shall be told."""
        self.assertIsNone(self.open(Logging(access=AccessFormat.OFF)).access)
        self.assertIsNone(self.open(Logging(level=Level.WARNING)).access)
        loud = Logging(level=Level.WARNING, access_file=self.folder / "answers")
        self.assertIsNotNone(self.open(loud).access)

    def test_mistake(self) -> None:
        """A file that can't be opened is named."""
        with self.assertRaises(ConfigError) as caught:
            self.open(Logging(file=self.folder))
        self.assertEqual(str(caught.exception), f"{self.folder}: Is a directory")

    def test_reopen(self) -> None:
        """A file that can't be opened anew does not keep the others from it."""
        logs = self.answered(evolve(self.own, access_file=self.folder / "more" / "answers"))
        moved = self.folder / "more" / "answers"
        moved.rename(moved.with_name("moved"))
        (self.folder / "events").unlink()
        (self.folder / "events").mkdir()
        logs.reopen()
        self.assertTrue(moved.exists())

    def test_level(self) -> None:
        """Events below the level are left out."""
        logs = self.open(self.own)
        publisher = LogPublisher(observer(Level.WARNING, logs.file))  # type: ignore[arg-type]
        told = Logger(observer=publisher)
        told.info("quiet")
        told.warn("loud")
        text = (self.folder / "events").read_text()
        self.assertTrue("loud" in text and "quiet" not in text, text)


class LogServiceTests(SynchronousTestCase):
    """Logs beside twistd's own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.events: list[dict[str, object]] = []
        self.last: list[object] = []
        self.failures: list[str] = []
        clock = Clock()
        clock.addSystemEventTrigger = (  # type: ignore[attr-defined]
            lambda phase, event, act: self.last.append(act)
        )
        self.clock = clock
        self.publisher = LogPublisher(self.events.append)
        globalLogPublisher.addObserver(self.publisher)
        self.addCleanup(globalLogPublisher.removeObserver, self.publisher)

    def serve(self, logging: Logging) -> LogService:
        service = LogService(logging, self.clock, self.failures.append, self.publisher)
        service.startService()
        service(EXCHANGE, "127.0.0.1", 3, 0.1)
        for act in self.last:
            act()  # type: ignore[operator]
        return service

    def test_twistd_log(self) -> None:
        """Without files of its own, answers are events of twistd's log."""
        self.serve(Logging())
        (told,) = [each for each in self.events if each["log_namespace"] == "aimirror.access"]
        self.assertEqual(told["log_level"], LogLevel.info)
        self.assertIn('"GET /a HTTP/1.1" 200 3', str(told["line"]))

    def test_level(self) -> None:
        """twistd's log, too, has events from the level on alone."""
        for level, shown in (
            (Level.DEBUG, ["fine", "plain", "loud"]),
            (Level.INFO, ["plain", "loud"]),
            (Level.WARNING, ["loud"]),
        ):
            self.serve(Logging(level=level, access=AccessFormat.OFF))
            self.events.clear()
            log = Logger()
            log.debug("fine")
            log.info("plain")
            log.warn("loud")
            self.assertEqual([each["log_format"] for each in self.events], shown)

    def test_files(self) -> None:
        """With them, answers and events are written there, and SIGUSR1 opens them anew."""
        events, answers = self.folder / "events", self.folder / "answers"
        logging = Logging(file=events, access=AccessFormat.JSON, access_file=answers)
        service = self.serve(logging)
        Logger().info("an event")
        self.assertIn("an event", events.read_text())
        self.assertIn('"path": "/a"', answers.read_text())
        answers.unlink()
        service.reopen()
        self.assertTrue(answers.exists())

    def test_fails(self) -> None:
        """A file that can't be opened is told in one line."""
        self.serve(Logging(file=self.folder))
        self.assertEqual(self.failures, [f"{self.folder}: Is a directory"])
