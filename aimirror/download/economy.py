"""Fewer connections where more add nothing: a cautious experiment during long downloads.

A trial leaves a quarter of the connections idle for a while; if the total rate stays, the
smaller number is kept and tried again, else all are used again for a longer time.  What was
learned holds for so many connections as were allowed then; with more of them it is open again.
"""

from __future__ import annotations

from attrs import define

#: Seconds of steady flow before a trial, of a trial, and after one that failed.
SETTLE = 5.0
TRIAL = 3.0
REST = 30.0
#: A trial succeeds when this share of the rate is kept.
KEPT = 0.97
#: Connections below which no trial is made.
FEWEST = 4
#: Seconds that must be left at the current rate, else a trial is not worth it.
WORTHWHILE = 20.0


@define
class Economy:
    """The number of connections that pay, learned from the rate over time (seconds, bytes/s)."""

    cap: int | None = None
    _allowed: int = 0
    _trying: bool = False
    _baseline: float = 0.0
    _average: float = 0.0
    _since: float | None = None
    _next_trial: float = 0.0

    def slots(self, allowed: int) -> int:
        """How many of the allowed connections to use."""
        return allowed if self.cap is None else max(1, min(allowed, self.cap))

    def observe(self, now: float, rate: float, busy: int, missing: int, allowed: int) -> None:
        """Take one measurement of the total rate with ``busy`` of the ``allowed`` connections."""
        if self._since is None or allowed > self._allowed:
            self._since, self._next_trial = now, now + SETTLE
            self.cap, self._allowed, self._trying = None, allowed, False
        self._average = rate if not self._average else 0.8 * self._average + 0.2 * rate
        if now < self._next_trial or rate <= 0:
            return
        if self._trying:
            self._trying = False
            if self._average < KEPT * self._baseline:
                self.cap = None
                self._next_trial = now + REST
            else:
                self._next_trial = now + SETTLE
        elif busy > FEWEST and missing / rate > WORTHWHILE:
            self._trying, self._baseline, self._allowed = True, self._average, allowed
            self.cap = busy - max(1, busy // 4)
            self._next_trial = now + TRIAL
