"""What a host leaves unanswered while it answers others: a connection too many, or slow work.

Both look the same at first.  A request that is repeated where a connection has become free tells:
it is answered, and the host bears no more; or it is not, and the host is slow.  Pure but for the
clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import Factory, define, frozen

#: Seconds without an answer after which a new connection may be one too many: before its request
#: is sent a second time for it.
SUSPECT_AFTER = 3.5
#: Seconds after that in which others get as old that were opened with it; and between two looks.
TOGETHER = 0.1
LOOK_EVERY = 0.5
#: Seconds after which one is asked again, too, where others that are older tell something.
YOUNG = 1.0
#: Connections that are left unanswered at one time, from which something is learned.
FEWEST = 2
#: Times that a request is asked again for that.
MOST_TURNS = 2
#: Seconds for which a host is remembered to be slow.
SLOW_FOR = 600.0

_NEVER = float("-inf")


@define(eq=False)
class Pending:
    """A new connection whose answer has not begun; ``turns`` is how often it was asked before.

    ``give_up`` ends it, to be asked again; None where that might do harm.
    """

    since: float
    turns: int = 0
    give_up: Callable[[], object] | None = None
    given_up: bool = False

    def end(self) -> None:
        """Have it asked again."""
        if self.give_up is not None and not self.given_up:
            self.given_up = True
            self.give_up()


@frozen
class Verdict:
    """What silence says: connections that the host bears, None if it says nothing of the kind.

    ``over`` are to be asked again, once others know.
    """

    borne: int | None
    over: tuple[Pending, ...] = ()


@define(eq=False)
class Silence:
    """The connections of one host that were opened and have brought nothing, the oldest first."""

    _seconds: Callable[[], float]
    _pending: dict[Pending, None] = Factory(dict)
    _answered_at: float = _NEVER
    _ended_at: float = _NEVER
    _slow_at: float = _NEVER

    def __len__(self) -> int:
        return len(self._pending)

    def begins(self) -> Pending:
        """One more is asked."""
        pending = Pending(self._seconds())
        self._pending[pending] = None
        return pending

    def answered(self, pending: Pending) -> None:
        """Its answer begins; one that comes late, whatever others do, is of a slow host."""
        if self._pending.pop(pending, pending) is None:
            now = self._answered_at = self._seconds()
            if now - pending.since >= SUSPECT_AFTER and self._ended_at < pending.since:
                self._slow_at = now

    def leave(self, pending: Pending) -> None:
        """Its silence tells nothing: it is over, or goes by a connection that was accepted."""
        self._pending.pop(pending, None)

    def ended(self) -> None:
        """A connection that was answered is free or closed: another may be answered for it."""
        self._ended_at = self._seconds()

    @property
    def slow(self) -> bool:
        """Whether its answers come late though it bears the connections."""
        return self._seconds() - self._slow_at < SLOW_FOR

    def wait(self) -> float | None:
        """Seconds to the next look, None where there is nothing to look at."""
        oldest = next(iter(self._pending), None)
        if oldest is None:
            return None
        return max(LOOK_EVERY, oldest.since + SUSPECT_AFTER + TOGETHER - self._seconds())

    def judge(self, accepted: int, limited: bool) -> Verdict | None:
        """What it means, with ``accepted`` connections beside those; None while it tells nothing.

        ``limited``: the host is known to bear few, so that one silent connection tells as much.
        """
        late = list(self._late(SUSPECT_AFTER, accepted))
        if len(late) < (1 if limited else FEWEST) or self.slow:
            return None
        again = max(pending.turns for pending in late)
        if again >= MOST_TURNS or (again and not accepted):
            self._slow_at = self._seconds()
            return Verdict(None)
        over = tuple(each for each in self._late(YOUNG, accepted) if each.give_up is not None)
        return Verdict(max(1, accepted), over) if over else None

    def _late(self, age: float, accepted: int) -> Iterator[Pending]:
        now = self._seconds()
        for pending in self._pending:
            beside = accepted > 0 or self._answered_at >= pending.since or pending.turns > 0
            late = now - pending.since >= age
            if late and beside and not pending.given_up:
                yield pending
