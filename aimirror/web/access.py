"""What is told of each answer, and a log of it in the combined format."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Bytes of lines held before they are written.
MAX_HELD = 64 * 1024
#: Seconds that a line is held at most.
HELD_SECONDS = 1.0


class Exchange(NamedTuple):
    """A request and its answer; one value serves all repeats of a memoised answer."""

    method: str
    target: str
    version: str
    status: int
    #: X-Cache of the answer, "" when it carries none.
    outcome: str
    referer: str
    agent: str


#: Called once per answer, broken-off ones included, with the exchange, the client's address, the
#: bytes of the body that were sent, and the seconds it took.
AccessHook = Callable[[Exchange, str, int, float], None]


def ignore(exchange: Exchange, peer: str, sent: int, seconds: float) -> None:
    """The hook of a site without an access log."""


class AccessLog:
    """Writes a line per answer in the combined log format, X-Cache and seconds appended.

    The query of a target may hold a signature and is left out.  Lines are held up to MAX_HELD
    bytes or HELD_SECONDS; ``write`` owns the file; lines that it refuses with OSError are lost.
    """

    _log = Logger()

    def __init__(self, write: Callable[[bytes], object], clock: IReactorTime) -> None:
        self._write = write
        self._clock = clock
        self._lines: list[str] = []
        self._held = 0
        self._second = -1
        self._date = ""
        self._call: IDelayedCall | None = None

    def __call__(self, exchange: Exchange, peer: str, sent: int, seconds: float) -> None:
        """Note one answer."""
        path, query, _ = exchange.target.partition("?")
        line = (
            f'{peer} - - [{self._now()}] "{exchange.method} {path}{query and "?..."} '
            f'{exchange.version}" {exchange.status} {sent} "{_quoted(exchange.referer)}" '
            f'"{_quoted(exchange.agent)}" {exchange.outcome or "-"} {seconds:.3f}\n'
        )
        self._lines.append(line)
        self._held += len(line)
        if self._held >= MAX_HELD:
            self.flush()
        elif self._call is None:
            self._call = self._clock.callLater(HELD_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is held; to be called before the file is closed."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        lines, self._lines, self._held = self._lines, [], 0
        if lines:
            try:
                self._write("".join(lines).encode("latin-1", "replace"))
            except OSError as problem:
                self._log.error("access log: {count} lines lost: {e}", count=len(lines), e=problem)

    def _now(self) -> str:
        second = int(self._clock.seconds())
        if second != self._second:
            self._second = second
            self._date = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))
        return self._date


def _quoted(value: str) -> str:
    if '"' in value or "\\" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return value or "-"
