"""``aimirror``: the service in the foreground."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from typing import IO, Any, cast

from attrs import define
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from aimirror.commands.common import Complaint, add_common, complain
from aimirror.config import AccessFormat, Config, Level
from aimirror.tap import configured, on_signal
from aimirror.web.access import FORMATS, AccessLog
from aimirror.web.logfile import LogFile

_LEVELS = {
    Level.DEBUG: LogLevel.debug,
    Level.INFO: LogLevel.info,
    Level.WARNING: LogLevel.warn,
    Level.ERROR: LogLevel.error,
}


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command without a name."""
    add_common(parser)
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", "-p", type=int, help="port to listen on (0: any free one)")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Serve until a signal comes; the exit status.

    SIGHUP reloads the configuration, SIGUSR1 opens the log files anew.
    """
    from twisted.internet import reactor as real

    from aimirror.service import MirrorService

    reactor: Any = real

    def configuration() -> Config:
        return configured(given.config, given.host, given.port, given.cache_dir)

    config = configuration()
    logs = _begin_logging(config, reactor)

    def ready(url: str) -> None:
        print(_welcome(url, config), flush=True)

    def make(failed: Callable[[str], None]) -> MirrorService:
        extra = {} if logs.access is None else {"access": logs.access}
        service = MirrorService(
            config, reactor, failed=failed, ready=ready, again=configuration, **extra
        )
        on_signal(reactor, signal.SIGHUP, service.hang_up)
        on_signal(reactor, signal.SIGUSR1, logs.reopen)
        return service

    status = _run(make)
    if logs.access is not None:
        logs.access.flush()
    return status


def _welcome(url: str, config: Config) -> str:
    """Where it listens, where it caches, and what clients are told first."""
    here = url.replace("//0.0.0.0:", "//localhost:").replace("//[::]:", "//localhost:").rstrip("/")
    host = here.partition("://")[2]
    return f"""\
aimirror listens on {url}
aimirror caches in {config.cache.dir}
  pip:          pip install --index-url {here}/simple --trusted-host {host} numpy
  docker:       "registry-mirrors": ["{here}"] in /etc/docker/daemon.json
  Hugging Face: export HF_ENDPOINT={here}
  dashboard:    {here}/aimirror/"""


def _run(make: Callable[[Callable[[str], None]], Any]) -> int:
    """Run a service until a signal comes or it fails; the exit status."""
    from twisted.internet import reactor as real

    reactor: Any = real
    problems: list[str] = []

    def failed(message: str) -> None:
        problems.append(message)
        reactor.stop()

    service = make(failed)
    reactor.callWhenRunning(service.startService)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    return complain(problems[0]) if problems else 0


@define
class _Logs:
    """The log of answers, if there is one, and the files that are ours."""

    access: AccessLog | None
    files: tuple[LogFile, ...]

    def reopen(self) -> None:
        """Somebody has moved the files away."""
        if self.access is not None:
            self.access.flush()
        for file in self.files:
            file.reopen()


def _begin_logging(config: Config, reactor: Any) -> _Logs:
    """Send events and answers to the configured files or to standard error."""
    logging = config.logging
    files = {}
    for path in (logging.file, logging.access_file):
        if path is not None and path not in files:
            try:
                files[path] = LogFile(path, logging.max_size, logging.keep)
            except OSError as error:
                raise Complaint(f"{path}: {error.strerror}") from None
    events = cast("IO[str]", sys.stderr if logging.file is None else files[logging.file])
    predicate = LogLevelFilterPredicate(_LEVELS[logging.level])
    # Twisted announces each connection of the workers' wire.
    predicate.setLogLevelForNamespace("twisted.protocols.amp", LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(events), [predicate])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    quiet = logging.level in (Level.WARNING, Level.ERROR) and logging.access_file is None
    if quiet or logging.access is AccessFormat.OFF:
        return _Logs(None, tuple(files.values()))
    target = files.get(logging.access_file or logging.file)  # type: ignore[arg-type]
    write = _bytes_to(sys.stderr) if target is None else target.write_bytes
    access = AccessLog(write, reactor, FORMATS[logging.access.value]())
    return _Logs(access, tuple(files.values()))


def _bytes_to(stream: IO[str]) -> Callable[[bytes], object]:
    def write(data: bytes) -> None:
        stream.write(data.decode("latin-1"))
        stream.flush()

    return write
