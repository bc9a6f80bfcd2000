"""Which node owns a key: the same for all who know the same nodes, whoever asks."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from attrs import Factory, define

#: Seconds for which a node that did not answer is left out; twice as many each further time.
FIRST_ABSENCE = 5.0
LONGEST_ABSENCE = 60.0


def owner(key: str, members: Iterable[str]) -> str:
    """The member with the highest hash together with the key (rendezvous); "" without any.

    When one leaves, its keys alone go to others.
    """
    return max(members, key=lambda member: _weight(key, member), default="")


def _weight(key: str, member: str) -> bytes:
    return blake2b(f"{member}\n{key}".encode(), digest_size=8).digest()


@define
class Roster:
    """The nodes as ``host:port``, our ``own`` among them, and which of them are away."""

    own: str
    members: frozenset[str] = frozenset()
    _away: dict[str, tuple[float, float]] = Factory(dict)

    def update(self, members: Iterable[str]) -> None:
        """The nodes that there are now."""
        self.members = frozenset(members)
        self._away = {name: v for name, v in self._away.items() if name in self.members}

    def owner(self, key: str, now: float) -> str:
        """Who owns a key, of those that are not away; our own where nobody else does."""
        here = [m for m in self.members if m == self.own or self._away.get(m, (0.0, 0.0))[0] <= now]
        return owner(key, {*here, self.own})

    def failed(self, member: str, now: float) -> None:
        """A node did not answer."""
        until, absence = self._away.get(member, (0.0, 0.0))
        if now >= until:
            absence = min(LONGEST_ABSENCE, 2 * absence or FIRST_ABSENCE)
            self._away[member] = (now + absence, absence)

    def answered(self, member: str) -> None:
        """A node is there."""
        self._away.pop(member, None)

    def away(self, now: float) -> tuple[str, ...]:
        """The nodes that are left out."""
        return tuple(sorted(m for m, (until, _) in self._away.items() if until > now))
