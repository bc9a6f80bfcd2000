"""The charts' numbers in a small file of the cache folder, so that a restart does not lose them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import astuple
from twisted.logger import Logger

from aimirror.http.json_text import parse_json
from aimirror.server.tally import Series, Totals

#: Its name in the cache folder.
NAME = "history.json"
#: What the file says that it is; another number is another form, and is not read.
FORM = 1
#: Bytes that are read of it; a full one has some 60 kB.
MOST = 1 << 20
#: Columns of a step: when it ended, and Totals.
_COLUMNS = 1 + len(astuple(Totals()))

_log = Logger()


def dumped(series: Iterable[Series]) -> bytes:
    """The file's content."""
    kept = [
        {"step": each.step, "points": [[at, *astuple(totals)] for at, totals in each.steps()]}
        for each in series
    ]
    return json.dumps({"form": FORM, "series": kept}, separators=(",", ":")).encode()


def loaded(data: bytes, series: Sequence[Series], now: float) -> None:
    """Fill series, which are new, with what the file has of them up to ``now`` (epoch seconds).

    Raises ValueError, and fills none, when the file is damaged.
    """
    document: Any = parse_json(data)
    if not isinstance(document, dict) or document.get("form") != FORM:
        raise ValueError("of another form")
    by_step = {}
    for each in _list(document.get("series")):
        if not isinstance(each, dict) or not isinstance(each.get("step"), float):
            raise ValueError("no series")
        by_step[each["step"]] = [_step(point) for point in _list(each.get("points"))]
    for each in series:
        steps = by_step.get(each.step, [])
        since = now - each.step * each.length
        each.resume([step for step in steps if since < step[0] <= now])


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a list is missing")
    return value


def _step(point: object) -> tuple[float, Totals]:
    row = _list(point)
    if len(row) != _COLUMNS or any(type(n) not in (int, float) or not 0 <= n < 1e18 for n in row):
        raise ValueError("a step is no row of numbers")
    at, *counts = row
    return float(at), Totals(*map(int, counts))


def read(folder: Path, series: Sequence[Series], now: float) -> None:
    """Go on with what the folder has; a file that can't be used is left behind, with a line."""
    try:
        with (folder / NAME).open("rb") as file:
            loaded(file.read(MOST), series, now)
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError) as error:
        _log.warn("the charts begin anew: {file}: {why}", file=folder / NAME, why=error)


def write(folder: Path, data: bytes) -> None:
    """Put the file in place, whole or not at all.  Raises OSError."""
    new = folder / f"{NAME}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    new.replace(folder / NAME)
