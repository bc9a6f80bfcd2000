"""``twistd aimirror``: its options, and the service they describe."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.application.service import IService, MultiService, Service
from twisted.logger import Logger, LogPublisher, globalLogPublisher
from twisted.python import usage

from aimirror.collector import collect_rarely
from aimirror.config import Config, ConfigError, Logging, check_dirs, load
from aimirror.monotonic import steady
from aimirror.platform import prepare_process

if TYPE_CHECKING:
    from aimirror.server.access_log import AccessRecord
    from aimirror.service.logs import Logs

log = Logger()
#: Answers in twistd's own log.
answers = Logger("aimirror.access")


class Options(usage.Options):
    """What the command line may say; it goes before the file."""

    optParameters = [
        ["config", "c", None, "configuration file (default: the built-in one)"],
        ["host", None, None, "address to listen on, before the file's server.host"],
        ["port", "p", None, "port to listen on, before the file's server.port", int],
        ["cache-dir", None, None, "cache folder, before the file's cache.dir"],
    ]
    longdesc = "Serves package indexes, registries and other HTTP sources from near."


def configured(
    file: str | None, host: str | None = None, port: int | None = None, cache: str | None = None
) -> Config:
    """The configuration that a command line asks for; raises ConfigError.

    Nothing is made or looked at but the file.
    """
    config = load(Path(file) if file else None)
    if host is not None:
        config = evolve(config, server=evolve(config.server, host=host))
    if port is not None:
        if not 0 <= port <= 65535:
            raise ConfigError(f"--port: {port}: allowed are 0 to 65535")
        config = evolve(config, server=evolve(config.server, port=port))
    if cache is not None:
        config = evolve(config, cache=evolve(config.cache, dir=Path(cache).absolute()))
    return config


def prepared(
    file: str | None, host: str | None = None, port: int | None = None, cache: str | None = None
) -> Config:
    """The same for who is going to serve: its folders are there, its files can be used."""
    from aimirror.service.checking import check_files

    config = configured(file, host, port, cache)
    check_dirs(config)
    check_files(config)
    return config


def on_signal(reactor: Any, number: signal.Signals, act: Callable[[], object]) -> None:
    """Have ``act`` called in the reactor whenever a signal comes; to be called in the main thread.

    A SIGHUP because our terminal was closed ends the service instead, as it does other programs.
    Not under nohup, though. What handled the signal before, such as twistd rotating its own log,
    goes on doing so.
    """
    ours = signal.getsignal(number) != signal.SIG_IGN and _has_terminal()

    def install() -> None:
        before = signal.getsignal(number)

        def handle(given: int, frame: FrameType | None) -> None:
            gone = number == signal.SIGHUP and ours and not _has_terminal()
            reactor.callFromThread(reactor.stop if gone else act)
            if callable(before):
                before(given, frame)

        signal.signal(number, handle)

    reactor.callWhenRunning(install)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class LogService(Service):
    """Writes events and answers to the files of a configuration, beside twistd's own log.

    A hook for answers (``AccessHook``). The files are opened when it starts, for twistd first
    becomes a daemon and another user; ``failed`` is called with one line when that can't be done.
    """

    def __init__(
        self,
        logging: Logging,
        reactor: Any,
        failed: Callable[[str], None],
        publisher: LogPublisher = globalLogPublisher,
    ) -> None:
        self._logging = logging
        self._publisher = publisher
        self._reactor = reactor
        self._failed = failed
        self._logs: Logs | None = None

    def startService(self) -> None:
        """Open the files; without one for answers, they are events of twistd's log."""
        from aimirror.service.logs import limit, observer, open_logs

        super().startService()  # type: ignore[no-untyped-call]
        try:
            logs = self._logs = open_logs(self._logging, self._reactor, _log_answers)
        except ConfigError as error:
            self._failed(str(error))
            return
        limit(self._logging.level, self._publisher)
        if logs.file is not None:
            self._publisher.addObserver(observer(self._logging.level, logs.file))
        # Answers end until the very last moment.
        self._reactor.addSystemEventTrigger("after", "shutdown", logs.flush)

    def __call__(self, exchange: AccessRecord, peer: str, sent: int, seconds: float) -> None:
        """Note one answer."""
        if self._logs is not None and self._logs.access is not None:
            self._logs.access(exchange, peer, sent, seconds)

    def reopen(self) -> None:
        """Somebody has moved the files away."""
        if self._logs is not None:
            self._logs.reopen()


class _Together(MultiService):
    """The services of one process.

    When the address can't be had, what has become a daemon raises CannotListen, for twistd tells
    it to who started it; in the foreground the start fails, with one line in the log.
    """

    def __init__(self, foreground: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._foreground = foreground

    def privilegedStartService(self) -> None:
        """See MirrorService."""
        from aimirror.server.listening import CannotListen

        try:
            super().privilegedStartService()  # type: ignore[no-untyped-call]
        except CannotListen:
            if not self._foreground:
                raise


def _log_answers(lines: bytes) -> None:
    for line in lines.decode("latin-1").splitlines():
        answers.info("{line}", line=line)


def makeService(options: Any) -> IService:
    """The service; a mistake in the configuration ends the program with one line."""
    from twisted.internet import reactor as real

    from aimirror.service.checking import warned
    from aimirror.service.service import MirrorService
    from aimirror.store.legacy import notice

    reactor: Any = real
    steady(reactor)
    prepare_process()

    def configuration() -> Config:
        return prepared(options["config"], options["host"], options["port"], options["cache-dir"])

    try:
        config = configuration()
    except ConfigError as error:
        print(f"aimirror: {error}", file=sys.stderr)  # noqa: T201  # before twistd logs anything
        raise SystemExit(1) from None

    def failed(message: str) -> None:
        log.critical("aimirror: {message}", message=message)
        # twistd itself would end with status 0, and an init system see a success; before that, it
        # removes its pidfile.
        atexit.register(os._exit, 1)
        reactor.callWhenRunning(reactor.stop)

    def ready(url: str) -> None:
        collect_rarely()
        log.info("aimirror listens on {url}", url=url)

    old = notice(config.cache.dir)
    for line in (*([old] if old else []), *warned(config)):
        reactor.callWhenRunning(log.warn, "{source}: {line}", source=config.source, line=line)
    logs = LogService(config.logging, reactor, failed)
    service = MirrorService(
        config,
        reactor,
        failed=failed,
        ready=ready,
        access=logs,
        again=configuration,
    )
    on_signal(reactor, signal.SIGHUP, service.hang_up)
    on_signal(reactor, signal.SIGUSR1, logs.reopen)
    together = _Together(foreground=bool(getattr(options, "parent", {}).get("nodaemon")))
    for each in (logs, service):
        each.setServiceParent(together)  # type: ignore[no-untyped-call]
    return together
