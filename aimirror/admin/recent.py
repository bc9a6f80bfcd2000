"""What happened lately: answers, errors with their reasons, who asks most, the log's last lines.

All of it is in memory and bounded; it begins anew with the service.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from attrs import Factory, define
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

from aimirror.admin.uses import Clients, Uses
from aimirror.bounded import LRU
from aimirror.server.access_log import AccessHook, AccessRecord, path_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

#: Answers and lines of the log that are kept.
MOST_ANSWERS = 500
MOST_LINES = 1000
#: Letters of a line of the log, and of a path.
LONGEST = 500
#: Different errors that are kept: those of the mirror or its upstreams, and refusals (4xx), which
#: any client can bring about, apart from them.
MOST_FAULTS = 200
MOST_REFUSALS = 100
#: Rules whose use is kept; reloads may bring others.
MOST_RULES = 1000


@define
class Error:
    """One kind of error: the same status, rule, path and reason."""

    status: int
    rule: str
    path: str
    why: str
    count: int = 0
    first: float = 0.0
    last: float = 0.0
    #: Who had it last.
    client: str = ""

    def told(self) -> dict[str, Any]:
        """For the API."""
        return {
            "status": self.status,
            "rule": self.rule,
            "path": self.path,
            "why": self.why,
            "count": self.count,
            "first": self.first,
            "last": self.last,
            "client": self.client,
        }


class Errors:
    """The last errors, equal ones as one; an error of the mirror's own has a reason."""

    def __init__(self) -> None:
        self._faults: LRU[tuple[int, str, str, str], Error] = LRU(MOST_FAULTS)
        self._refusals: LRU[tuple[int, str, str, str], Error] = LRU(MOST_REFUSALS)

    def add(self, record: AccessRecord, peer: str, now: float) -> None:
        """One answer that is an error, or was cut."""
        path = path_of(record.target)[:LONGEST]
        key = (record.status, record.rule, path, record.why)
        kept = self._refusals if 400 <= record.status < 500 else self._faults
        error = kept.get(key)
        if error is None:
            error = Error(*key, first=now)
            kept.put(key, error)
        error.count += 1
        error.last, error.client = now, record.user or peer

    def told(self) -> list[dict[str, Any]]:
        """The last ones first."""
        both = [error for kept in (self._faults, self._refusals) for _, error in kept.items()]
        return [error.told() for error in sorted(both, key=lambda error: -error.last)]


#: One answer as it is kept: when it ended, what the access log was told, client, bytes, seconds.
Seen = tuple[float, AccessRecord, str, int, float]


def _answer(seen: Seen) -> dict[str, Any]:
    """An answer for the API; never a query."""
    ended, record, peer, sent, seconds = seen
    return {
        "time": ended,
        "client": record.user or peer,
        "method": record.method,
        "path": path_of(record.target)[:LONGEST],
        "status": record.status,
        "cache": record.outcome,
        "rule": record.rule,
        "bytes": sent,
        "seconds": round(seconds, 4),
        "why": record.why,
    }


@define
class Ring:
    """The last values, numbered from 1 on, so that who polls gets each once."""

    most: int
    number: int = 0
    _kept: deque[Any] = Factory(lambda self: deque(maxlen=self.most), takes_self=True)

    def add(self, value: Any) -> None:
        """One more."""
        self.number += 1
        self._kept.append(value)

    def after(self, number: int, count: int) -> list[Any]:
        """The last ``count`` of those that came after a number; all when it is from before."""
        new = self.number - number if 0 <= number <= self.number else self.number
        kept = list(self._kept)
        return kept[max(0, len(kept) - min(new, count)) :]


@implementer(ILogObserver)
class Lines:
    """The last lines of the log, from what is worth a look to people on."""

    def __init__(self) -> None:
        self._ring = Ring(MOST_LINES)

    def __call__(self, event: LogEvent) -> None:
        """See ILogObserver; comes from any thread."""
        level = event.get("log_level", LogLevel.info)
        if level is LogLevel.debug:
            return
        text = formatEvent(event)
        failure = event.get("log_failure")
        if failure is not None:  # where it happened is in the log itself
            text = f"{text}: {failure.type.__name__}: {failure.getErrorMessage()}"
        place = str(event.get("log_namespace", ""))
        self._ring.add((event.get("log_time", 0.0), level.name, place, text[:LONGEST]))

    def told(self, after: int, count: int) -> dict[str, Any]:
        """Lines after a number, and the number of the last."""
        names = ("time", "level", "place", "text")
        kept = [dict(zip(names, line, strict=True)) for line in self._ring.after(after, count)]
        return {"number": self._ring.number, "lines": kept}


class Recent:
    """Notes each answer for administrators, and hands it on to the access log."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.clients = Clients()
        self.errors = Errors()
        self.lines = Lines()
        self._rules: Uses[str] = Uses(MOST_RULES)
        self._answers = Ring(MOST_ANSWERS)

    def noting(self, log: AccessHook) -> AccessHook:
        """A hook that notes each answer, and logs it."""

        def note(record: AccessRecord, peer: str, sent: int, seconds: float) -> None:
            self.add(record, peer, sent, seconds)
            log(record, peer, sent, seconds)

        return note

    def add(self, record: AccessRecord, peer: str, sent: int, seconds: float) -> None:
        """One answer.

        What the mirror says of itself (/metrics, the API) counts for no client; tunnels, which no
        rule takes, do.
        """
        now = self._clock.seconds()
        if record.why or record.status >= 500:
            self.errors.add(record, peer, now)
        if not record.rule and record.method != "CONNECT":
            return
        self._answers.add((now, record, peer, sent, seconds))
        self.clients.add(record, peer, sent, now)
        if record.rule:
            self._rules.of(record.rule).add(record, sent, now)

    def usage(self, count: int, rules: Iterable[str]) -> dict[str, Any]:
        """Who has had how much, and of which rule; rules that are gone are told no more."""
        known = [(name, self._rules.peek(name)) for name in rules]
        by_rule = [{"rule": name, **use.told()} for name, use in known if use is not None]
        by_rule.sort(key=lambda row: -row["bytes"])
        return {"clients": self.clients.told(count), "rules": by_rule}

    def answers(self, after: int, count: int) -> dict[str, Any]:
        """Answers after a number, and the number of the last."""
        kept: list[Seen] = self._answers.after(after, count)
        return {"number": self._answers.number, "answers": [_answer(seen) for seen in kept]}


def watched(publisher: Any, lines: Lines) -> Callable[[], None]:
    """Have a log's publisher tell ``lines``; what is returned ends that."""
    publisher.addObserver(lines)
    return lambda: publisher.removeObserver(lines)
