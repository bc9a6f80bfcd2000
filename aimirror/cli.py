"""The ``aimirror`` command: the service in the foreground, and what goes with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from aimirror import __version__
from aimirror.config import Config, ConfigError, Level, expanded
from aimirror.tap import configured

_LEVELS = {
    Level.DEBUG: LogLevel.debug,
    Level.INFO: LogLevel.info,
    Level.WARNING: LogLevel.warn,
    Level.ERROR: LogLevel.error,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit status."""
    given = _parser().parse_args(arguments)
    try:
        status: int = given.run(given)
    except ConfigError as error:
        return _complain(str(error))
    return status


def _complain(message: str) -> int:
    print(f"aimirror: {message}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aimirror",
        description="A download mirror for package indexes, registries and any HTTP source.",
    )
    parser.add_argument("--version", action="version", version=f"aimirror {__version__}")
    parser.set_defaults(run=_serve)
    _add_common(parser)
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", "-p", type=int, help="port to listen on (0: any free one)")
    commands = parser.add_subparsers(title="commands", metavar="")
    check = commands.add_parser("check", help="say whether a configuration file is right")
    check.add_argument("file", nargs="?", help="the configuration file (default: the built-in)")
    check.add_argument("--show", action="store_true", help="print it with its presets written out")
    check.set_defaults(run=_check)
    verify = commands.add_parser(
        "verify", help="hash every stored file again and drop what is damaged"
    )
    _add_common(verify)
    verify.set_defaults(run=_verify)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", "-c", metavar="FILE", help="configuration file")
    parser.add_argument("--cache-dir", metavar="DIR", help="cache folder")


def _check(given: argparse.Namespace) -> int:
    if given.show:
        print(expanded(Path(given.file) if given.file else None), end="")
        return 0
    config = configured(given.file)
    print(f"{config.source}: right; {len(config.rules)} rules, cache in {config.cache.dir}")
    return 0


def _serve(given: argparse.Namespace) -> int:
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
    return _complain(problems[0]) if problems else 0


def _verify(given: argparse.Namespace) -> int:
    from twisted.internet import reactor as real

    from aimirror.service import MirrorService

    reactor: Any = real
    config = configured(given.config, None, None, given.cache_dir)
    store = MirrorService(config, reactor, failed=print, ready=print).store
    problems: list[str] = []

    async def work() -> None:
        await store.open()
        try:
            found = await store.verify()
        finally:
            await store.close()
        print(f"{found.checked} files checked, {found.bad} damaged ones dropped")

    def begin() -> None:
        working = Deferred.fromCoroutine(work())
        working.addErrback(lambda f: problems.append(f.getErrorMessage()))
        working.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    return _complain(problems[0]) if problems else 0


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
