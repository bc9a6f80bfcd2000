"""How numbers, times and progress look in a terminal."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TextIO

from aimirror.server.short_log import size as size

#: Seconds between two looks at a job.
LOOK = 0.25
_WIDTH = 30
#: Seconds over which a rate is told.
_PACE_SECONDS = 5.0
#: Columns where a terminal does not tell, and the fewest for which lines are made.
_COLUMNS = 100
_LEAST_COLUMNS = 20


def span(seconds: float) -> str:
    """Seconds for people."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: ``1 entry``, ``2 entries``."""
    if not many:
        many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{count} {one if count == 1 else many}"


def bar(done: float, total: float | None, width: int = _WIDTH) -> str:
    """A bar, empty while the whole is unknown."""
    full = min(width, int(width * done / total)) if total else 0
    return "█" * full + "░" * (width - full)


def strip(spans: list[list[int]], total: int | None, width: int = _WIDTH) -> str:
    """Which parts of a file are there."""
    if not total:
        return "░" * width
    cells = []
    for cell in range(width):
        start, stop = cell * total / width, (cell + 1) * total / width
        there = sum(max(0.0, min(stop, end) - max(start, begin)) for begin, end in spans)
        cells.append("░▒▓█"[min(3, int(3 * there / (stop - start) + 1e-9))])
    return "".join(cells)


def ending(text: str, width: int) -> str:
    """A text in so many columns; of one too long the end, which tells URLs apart."""
    return text if len(text) <= width else f"…{text[len(text) - max(0, width - 1) :]}"


def columns(stream: TextIO = sys.stdout) -> int | None:
    """The columns of a terminal; None for a file or a pipe, whose lines may be of any length."""
    if not stream.isatty():
        return None
    return max(_LEAST_COLUMNS, shutil.get_terminal_size((_COLUMNS, 24)).columns)


def fitted(line: str, width: int | None) -> str:
    """A line in so many columns, its end left out where need be."""
    return line if width is None or len(line) <= width else f"{line[: width - 1]}…"


def follow(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Show a job's progress until it ends; its last state."""
    wait, pace = threading.Event(), Pace()
    while True:
        job = look()
        ended: bool = job["state"] != "running"
        pace.note(time.monotonic(), job["bytes"])
        show_progress(job, ended, pace)
        if ended:
            return job
        wait.wait(LOOK)


class Pace:
    """How fast bytes have come of late."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=int(_PACE_SECONDS / LOOK))

    def note(self, now: float, count: int) -> None:
        """So many bytes have come by now."""
        self._seen.append((now, count))

    @property
    def rate(self) -> float:
        """Bytes per second."""
        (then, before), (now, count) = self._seen[0], self._seen[-1]
        return (count - before) / (now - then) if now > then else 0.0


def show_progress(job: dict[str, Any], ended: bool, pace: Pace | None = None) -> None:
    """Draw a job's line anew where standard error is a terminal."""
    width = columns(sys.stderr)
    if width is not None:
        end = "\n" if ended else ""
        line = fitted(progress(job, pace.rate if pace is not None else 0.0), width - 1)
        print(f"\r\x1b[K{line}", end=end, file=sys.stderr, flush=True)


def progress(job: dict[str, Any], rate: float = 0.0) -> str:
    """One line: the share of the bytes where their sum is known or likely, else of the items;
    how fast, how long still, and what is under way.
    """
    total, whole = job["total"], job["total_bytes"]
    likely = whole if whole is not None else job.get("likely_bytes")
    of = f"{job['done']} of {total}" if total is not None else "looking"
    parts = [of, size(job["bytes"])]
    if likely is not None and _running(job):
        parts[1] += f" of {'' if whole is not None else 'about '}{size(likely)}"
    elif whole is not None:
        parts[1] += f" of {size(whole)}"
    if rate > 0 and _running(job):
        parts.append(f"{size(rate)}/s")
        if likely is not None and likely > job["bytes"]:
            parts.append(f"{span((likely - job['bytes']) / rate)} left")
    share = (job["done"], total) if likely is None else (job["bytes"], likely)
    if not _running(job) and total:
        share = (job["done"], total)
    name = job.get("current", "").rpartition("/")[2]
    return f"{bar(*share)} {', '.join(parts)}{f'  {name}' if name else ''}"


def _running(job: dict[str, Any]) -> bool:
    return bool(job.get("state", "running") == "running")
