"""What the tier has done, in numbers."""

from __future__ import annotations

from collections import Counter

from attrs import Factory, define


@define
class Counts:
    """Requests by what they were for and what came of them, and bytes of bodies."""

    requests: Counter[tuple[str, str]] = Factory(Counter)
    read: int = 0
    sent: int = 0
    #: Objects that were not what they should be.
    bad: int = 0

    def note(self, operation: str, result: str) -> None:
        """One request."""
        self.requests[operation, result] += 1
