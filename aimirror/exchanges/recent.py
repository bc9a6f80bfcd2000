"""What happened lately, and how often, in bounded memory."""

from __future__ import annotations

from attrs import Factory, define

from aimirror.bounded import LRU


@define
class Recent:
    """Counts events by name; a count is forgotten ``seconds`` after its last event.

    Of more than ``most`` names the one with the oldest event is forgotten first.
    """

    most: int
    seconds: float
    _known: LRU[str, tuple[int, float]] = Factory(lambda self: LRU(self.most), takes_self=True)

    def note(self, name: str, now: float) -> int:
        """It happened: how often by now."""
        count = self.count(name, now) + 1
        self._known.put(name, (count, now))
        return count

    def count(self, name: str, now: float) -> int:
        """How often it happened lately."""
        count, at = self._known.peek(name) or (0, 0.0)
        if count and now - at >= self.seconds:
            self._known.pop(name)
            return 0
        return count

    def last(self, name: str) -> float:
        """When it happened last."""
        return (self._known.peek(name) or (0, 0.0))[1]

    def forget(self, name: str) -> None:
        """It is over."""
        self._known.pop(name)
