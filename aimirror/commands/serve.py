"""``aimirror``: the service in the foreground."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from attrs import frozen
from twisted.internet.error import ReactorNotRunning
from twisted.logger import globalLogBeginner

from aimirror.collector import collect_rarely
from aimirror.commands.common import complain
from aimirror.config import Config
from aimirror.config.offers import moved, offered
from aimirror.monotonic import steady
from aimirror.platform import install_reactor, prepare_process
from aimirror.server.listening import CannotListen, authority
from aimirror.server.short_log import Short
from aimirror.service.checking import unheeded, warned
from aimirror.service.logs import Logs, observer, open_logs
from aimirror.settings.setting import Address
from aimirror.store.legacy import notice
from aimirror.tap import on_signal, prepared


def run(given: argparse.Namespace) -> int:
    """Serve until a signal comes; the exit status.

    SIGHUP reloads the configuration, SIGUSR1 opens the log files anew.
    """
    prepare_process()
    install_reactor()
    from twisted.internet import reactor as real

    from aimirror.service.service import MirrorService

    reactor: Any = real
    steady(reactor)

    def configuration() -> Config:
        return prepared(given.config, given.host, given.port, given.cache_dir)

    config = configuration()
    offer = Offer.of(config)  # takes long: clients that are let in do not wait for it
    logs = _begin_logging(config, reactor)

    def ready(url: str) -> None:
        collect_rarely()
        print(welcome(url, offer), flush=True)

    def make(failed: Callable[[str], None]) -> MirrorService:
        extra = {} if logs.access is None else {"access": logs.access}
        service = MirrorService(
            config, reactor, failed=failed, ready=ready, again=configuration, **extra
        )
        on_signal(reactor, signal.SIGHUP, service.hang_up)
        on_signal(reactor, signal.SIGUSR1, logs.reopen)
        return service

    status = _run(make)
    logs.flush()
    return status


#: Clients that the welcome tells of, where they are served, and how.
_FIRST = {
    "pip": "pip:          pip install --index-url {simple}{trust} numpy",
    "docker": 'docker:       "registry-mirrors": ["{here}"] in /etc/docker/daemon.json',
    "huggingface": "Hugging Face: export HF_ENDPOINT={here}",
}

#: Warnings that the welcome shows.
_WARNINGS = 5


@frozen
class Offer:
    """What the welcome tells of a configuration."""

    config: Config
    clients: tuple[str, ...]
    moved: dict[str, str]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, config: Config) -> Offer:
        """Found out by reading the rules that are built in."""
        return cls(config, offered(config.rules), moved(config.rules), tuple(_warnings(config)))


def welcome(url: str, offer: Offer) -> str:
    """Where it listens, where it caches, and what clients are told first."""
    here = url.replace("//0.0.0.0:", "//localhost:").replace("//[::]:", "//localhost:").rstrip("/")
    address = Address(here, offer.moved)
    trust = f" --trusted-host {address.host}" if address.plain else ""
    config, old = offer.config, notice(offer.config.cache.dir)
    values = {"here": here, "simple": address.at("/simple"), "trust": trust}
    first = [text.format(**values) for client, text in _FIRST.items() if client in offer.clients]
    lines = [
        f"aimirror listens on {url}",
        f"aimirror reads {_source(config)}",
        f"aimirror caches in {config.cache.dir}",
        *([f"aimirror: {old}"] if old else []),
        *offer.warnings,
        *(f"  {text}" for text in first),
        *(["  others:       aimirror setup"] if set(offer.clients) - _FIRST.keys() else []),
        f"  set-up:       {here}/aimirror/",
        f"  dashboard:    {_administration(here, config)}",
    ]
    return "\n".join(lines)


def _warnings(config: Config) -> list[str]:
    """What the configuration hardly means, cut to a few lines."""
    every = [*unheeded(config), *warned(config)]
    more = len(every) - _WARNINGS
    lines = [f"aimirror: warning: {warning}" for warning in every[:_WARNINGS]]
    check = f"aimirror check {shlex.quote(config.source)}"
    return [*lines, *([f"aimirror: {more} more: {check}"] if more > 0 else [])]


def _administration(here: str, config: Config) -> str:
    """Where the administration's pages are."""
    admin = config.admin
    if admin.port is None:
        return f"{here}/aimirror/admin/"
    scheme = here.partition("://")[0]
    return f"{scheme}://{authority(admin.host, admin.port)}/aimirror/admin/"


def _source(config: Config) -> str:
    """The configuration in use, as somebody in another folder finds it."""
    file = Path(config.source)
    return f"{file.absolute()}" if file.is_file() else "its built-in configuration"


def _run(make: Callable[[Callable[[str], None]], Any]) -> int:
    """Run a service until a signal comes or it fails; the exit status."""
    from twisted.internet import reactor as real

    reactor: Any = real
    problems: list[str] = []

    def failed(message: str) -> None:
        problems.append(message)
        reactor.stop()  # or a signal was quicker

    service = make(failed)
    try:
        service.privilegedStartService()
    except CannotListen as error:
        return complain(str(error))
    _stop_calmly(reactor)
    reactor.callWhenRunning(service.startService)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    return complain(problems[0]) if problems else 0


def _stop_calmly(reactor: Any) -> None:
    """Have a second ctrl-c while it stops change nothing; Twisted would log it as a fault."""
    stop = reactor.stop

    def again() -> None:
        with contextlib.suppress(ReactorNotRunning):
            stop()

    reactor.stop = again


def _begin_logging(config: Config, reactor: Any) -> Logs:
    """Send events and answers to the configured files or to standard error."""
    short = Short(colours=has_colours(sys.stderr, os.environ))
    logs = open_logs(config.logging, reactor, _bytes_to(sys.stderr), short)
    events = observer(config.logging.level, logs.file or sys.stderr)
    globalLogBeginner.beginLoggingTo([events], redirectStandardIO=False)
    return logs


def has_colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal that shows colours, and wants them (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _bytes_to(stream: TextIO) -> Callable[[bytes], object]:
    def write(data: bytes) -> None:
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()

    return write
