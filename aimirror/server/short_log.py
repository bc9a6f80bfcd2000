"""The log of answers for people who look at a terminal: one short line for each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aimirror.server.access_log import path_of

if TYPE_CHECKING:
    from aimirror.server.access_log import AccessRecord

_GREEN, _YELLOW, _RED, _DIM = "32", "33", "31", "2"
#: By what X-Cache says; the others have none.
_COLOURS = {"HIT": _GREEN, "JOIN": _GREEN, "REVALIDATED": _GREEN, "STALE": _YELLOW}


def size(count: float | None) -> str:
    """Bytes for people."""
    if count is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _duration(seconds: float) -> str:
    """Seconds in at most seven columns."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 99.95 else f"{seconds:.0f} s"


class Short:
    """Time of day, status, X-Cache, size, duration, path (with the method, unless that is GET)."""

    def __init__(self, colours: bool = False) -> None:
        self._colours = colours
        self._second = -1
        #: How the lines of this second begin, by status and X-Cache.
        self._begun: dict[tuple[int, str], str] = {}

    def __call__(
        self, second: int, record: AccessRecord, peer: str, sent: int, seconds: float
    ) -> str:
        """The line of an answer."""
        if second != self._second:
            self._second = second
            self._begun.clear()
        kind = record.status, record.outcome
        begun = self._begun.get(kind) or self._begin(kind)
        method = "" if record.method == "GET" else f"{record.method} "
        path = path_of(record.target)
        if not path.isprintable():
            path = "".join(c if c.isprintable() else "?" for c in path)
        took = _duration(seconds) if seconds else "0 ms"
        return f"{begun} {size(sent):>7}  {took:>7}  {method}{path}\n"

    def _begin(self, kind: tuple[int, str]) -> str:
        status, outcome = kind
        clock = time.strftime("%H:%M:%S", time.localtime(self._second))
        painted = self._painted(f"{status}", _RED if status >= 400 else "")
        cache = self._painted(f"{outcome or '-':<11}", _COLOURS.get(outcome, ""))
        begun = self._begun[kind] = f"{self._painted(clock, _DIM)} {painted} {cache}"
        return begun

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours and colour else text
