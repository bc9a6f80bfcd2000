"""``aimirror``: the service in the foreground."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import IO, Any

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from aimirror.commands.common import add_common, complain
from aimirror.config import Config, Level
from aimirror.tap import configured

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
    """Serve until a signal comes; the exit status."""
    from twisted.internet import reactor as real

    from aimirror.service import MirrorService
    from aimirror.web.access import AccessLog

    reactor: Any = real
    config = configured(given.config, given.host, given.port, given.cache_dir)
    log = _begin_logging(config)
    quiet = config.logging.level in (Level.WARNING, Level.ERROR)
    access = AccessLog(_bytes_to(log), reactor)
    extra = {} if quiet else {"access": access}

    def ready(url: str) -> None:
        print(_welcome(url, config), flush=True)

    def make(failed: Callable[[str], None]) -> MirrorService:
        return MirrorService(config, reactor, failed=failed, ready=ready, **extra)

    status = _run(make)
    access.flush()
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
  Hugging Face: export HF_ENDPOINT={here}"""


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


def _begin_logging(config: Config) -> IO[str]:
    """Send events to the configured file or to standard error."""
    if config.logging.file is None:
        stream: IO[str] = sys.stderr
    else:
        stream = config.logging.file.open("a", encoding="utf-8")
    predicate = LogLevelFilterPredicate(_LEVELS[config.logging.level])
    # Twisted announces each connection of the workers' wire.
    predicate.setLogLevelForNamespace("twisted.protocols.amp", LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(stream), [predicate])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    return stream


def _bytes_to(stream: IO[str]) -> Callable[[bytes], object]:
    def write(data: bytes) -> None:
        stream.write(data.decode("latin-1"))
        stream.flush()

    return write
