"""What is told of each answer, and a log of it in the combined format or as JSON lines.

The format for people is in ``short_log``.
"""

from __future__ import annotations

import json
import re
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


class AccessRecord(NamedTuple):
    """A request and its answer; one value serves all repeats of a memoised answer."""

    method: str
    target: str
    version: str
    status: int
    #: X-Cache of the answer, "" when it carries none.
    outcome: str
    referer: str
    agent: str
    #: The rule that took it, "" for none.
    rule: str = ""
    #: The request's own name, "" for repeats.
    id: str = ""
    #: Seconds to the answer's head, 0 for repeats.
    first: float = 0.0
    #: Seconds of waiting for an upstream.
    waited: float = 0.0
    #: Who has logged in at this mirror, "" for nobody.
    user: str = ""
    #: Why the answer is an error of the mirror's own, or was cut; "" for others.
    why: str = ""

    def repeated(self) -> AccessRecord:
        """What to tell of a repeat: it needs no upstream and has no name."""
        return self._replace(id="", first=0.0, waited=0.0)


#: Called once per answer, broken-off ones included, with the record, the client's address, the
#: bytes of the body that were sent, and the seconds it took.
AccessHook = Callable[[AccessRecord, str, int, float], None]
#: Makes a line of that, given the second (epoch) at which the answer ended.
Format = Callable[[int, AccessRecord, str, int, float], str]


def ignore(record: AccessRecord, peer: str, sent: int, seconds: float) -> None:
    """The hook of a site without an access log."""


class Combined:
    """The combined log format, then X-Cache, seconds, rule, upstream seconds and request id."""

    def __init__(self) -> None:
        self._second = -1
        self._date = ""

    def __call__(
        self, second: int, record: AccessRecord, peer: str, sent: int, seconds: float
    ) -> str:
        """The line of an answer."""
        if second != self._second:
            self._second = second
            self._date = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))
        return (
            f'{peer} - - [{self._date}] "{record.method} {_quoted(path_of(record.target))} '
            f'{record.version}" {record.status} {sent} "{_quoted(path_of(record.referer))}" '
            f'"{_quoted(record.agent)}" {record.outcome or "-"} {seconds:.3f} '
            f'"{_quoted(record.rule)}" {record.waited:.3f} {record.id or "-"}\n'
        )


def as_json(second: int, record: AccessRecord, peer: str, sent: int, seconds: float) -> str:
    """One object per line; times are in seconds, ``time`` since the epoch."""
    fields = {
        "time": second,
        "id": record.id,
        "client": peer,
        "method": record.method,
        "path": path_of(record.target),
        "status": record.status,
        "bytes": sent,
        "seconds": round(seconds, 4),
        "first_byte": round(record.first, 4),
        "rule": record.rule,
        "cache": record.outcome,
        "upstream": round(record.waited, 4),
        "referer": path_of(record.referer),
        "agent": record.agent,
    }
    return json.dumps(fields) + "\n"


#: By the names that the configuration uses.
FORMATS: dict[str, Callable[[], Format]] = {"common": Combined, "json": lambda: as_json}


class AccessLog:
    """Writes a line per answer in a format.

    The query of a target may hold a signature and is left out.  Lines are held up to MAX_HELD
    bytes or HELD_SECONDS; ``write`` owns the file; lines that it refuses with OSError are lost.
    """

    _log = Logger()

    def __init__(
        self,
        write: Callable[[bytes], object],
        clock: IReactorTime,
        line: Format | None = None,
    ) -> None:
        self._write = write
        self._clock = clock
        self._line = line or Combined()
        self._lines: list[str] = []
        self._held = 0
        self._call: IDelayedCall | None = None

    def __call__(self, record: AccessRecord, peer: str, sent: int, seconds: float) -> None:
        """Note one answer."""
        line = self._line(int(self._clock.seconds()), record, peer, sent, seconds)
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


#: How conda's servers have a token in a path; shorter names, as of Debian's pool, are none.
_TOKEN = re.compile(r"/t/(?=[^/]*[0-9])[A-Za-z0-9_-]{20,}(?=/)")


def path_of(url: str) -> str:
    """A URL or path without what may be secret: user and password, tokens, and the query."""
    if "?" not in url and ":" not in url and "/t/" not in url:
        return url
    path, query, _ = url.partition("?")
    if "/t/" in path:
        path = _TOKEN.sub("/t/***", path)
    scheme, slashes, rest = path.partition("://")
    authority, slash, rest = rest.partition("/")
    if slashes:
        path = f"{scheme}://{authority.rpartition('@')[2]}{slash}{rest}"
    return f"{path}?..." if query else path


def _quoted(value: str) -> str:
    if '"' in value or "\\" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return value or "-"
