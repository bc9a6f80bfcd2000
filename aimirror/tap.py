"""``twistd aimirror``: its options, and the service they describe."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python import usage

from aimirror.config import Config, ConfigError, check_dirs, load

log = Logger()


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
    """The configuration that a command line asks for; raises ConfigError."""
    config = load(Path(file) if file else None)
    if host is not None:
        config = evolve(config, server=evolve(config.server, host=host))
    if port is not None:
        if not 0 <= port <= 65535:
            raise ConfigError(f"--port: {port}: allowed are 0 to 65535")
        config = evolve(config, server=evolve(config.server, port=port))
    if cache is not None:
        config = evolve(config, cache=evolve(config.cache, dir=Path(cache).absolute()))
    check_dirs(config)
    return config


def on_signal(reactor: Any, number: signal.Signals, act: Callable[[], object]) -> None:
    """Have ``act`` called in the reactor whenever a signal comes; to be called in the main thread.

    A SIGHUP because our terminal was closed ends the service instead, as it does other programs.
    """
    ours = _has_terminal()

    def handle(*_: object) -> None:
        gone = number == signal.SIGHUP and ours and not _has_terminal()
        reactor.callFromThread(reactor.stop if gone else act)

    reactor.callWhenRunning(signal.signal, number, handle)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def makeService(options: Any) -> IService:
    """The service; a mistake in the configuration ends the program with one line."""
    from twisted.internet import reactor as real

    from aimirror.service import MirrorService

    reactor: Any = real
    try:
        config = configured(
            options["config"], options["host"], options["port"], options["cache-dir"]
        )
    except ConfigError as error:
        print(f"aimirror: {error}", file=sys.stderr)  # noqa: T201  # before twistd logs anything
        raise SystemExit(1) from None

    def failed(message: str) -> None:
        log.critical("aimirror: {message}", message=message)
        # twistd itself would end with status 0 here, and an init system see a success.
        reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
        reactor.stop()

    def configuration() -> Config:
        return configured(options["config"], options["host"], options["port"], options["cache-dir"])

    service = MirrorService(
        config,
        reactor,
        failed=failed,
        ready=lambda url: log.info("aimirror listens on {url}", url=url),
        again=configuration,
    )
    on_signal(reactor, signal.SIGHUP, service.hang_up)
    return service
