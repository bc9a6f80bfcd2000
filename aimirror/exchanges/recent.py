"""What happened lately, and how often, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict

from attrs import Factory, define


@define
class Recent:
    """Counts events by name; a count is forgotten ``seconds`` after its last event.

    Of more than ``most`` names the one with the oldest event is forgotten first.
    """

    most: int
    seconds: float
    _known: OrderedDict[str, tuple[int, float]] = Factory(OrderedDict)

    def note(self, name: str, now: float) -> int:
        """It happened: how often by now."""
        count = self.count(name, now) + 1
        self._known[name] = (count, now)
        self._known.move_to_end(name)
        if len(self._known) > self.most:
            self._known.popitem(last=False)
        return count

    def count(self, name: str, now: float) -> int:
        """How often it happened lately."""
        count, at = self._known.get(name, (0, 0.0))
        if count and now - at >= self.seconds:
            del self._known[name]
            return 0
        return count

    def forget(self, name: str) -> None:
        """It is over."""
        self._known.pop(name, None)
