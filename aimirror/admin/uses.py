"""Who has had how much of what: use by client and by rule, in memory and bounded."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

from attrs import define

from aimirror.bounded import LRU
from aimirror.server.access_log import AccessRecord
from aimirror.server.tally import FROM_CACHE, SPARED

K = TypeVar("K", bound=Hashable)

#: Clients that are told apart; those that asked longest ago are counted together as others.
MOST_CLIENTS = 1000
OTHERS = "others"


@define
class Use:
    """What one client, or one rule, has had."""

    answers: int = 0
    hits: int = 0
    errors: int = 0
    #: Bytes of bodies sent, and of those what no upstream had to send.
    bytes: int = 0
    saved: int = 0
    #: Epoch seconds of the last answer.
    last: float = 0.0

    def add(self, record: AccessRecord, sent: int, now: float) -> None:
        """One answer."""
        self.answers += 1
        self.bytes += sent
        self.last = now
        if record.outcome in SPARED:
            self.saved += sent
            self.hits += record.outcome in FROM_CACHE
        if record.status >= 500:
            self.errors += 1

    def merge(self, other: Use) -> None:
        """Count somebody else's here."""
        self.answers += other.answers
        self.hits += other.hits
        self.errors += other.errors
        self.bytes += other.bytes
        self.saved += other.saved
        self.last = max(self.last, other.last)

    def told(self) -> dict[str, Any]:
        """For the API."""
        return {
            "answers": self.answers,
            "hits": self.hits,
            "errors": self.errors,
            "bytes": self.bytes,
            "saved": self.saved,
            "last": self.last,
        }


class Uses(Generic[K]):
    """Use by name, at most ``most`` of them; what makes room for others is told ``dropped``."""

    def __init__(self, most: int, dropped: Callable[[Use], object] | None = None) -> None:
        self._known: LRU[K, Use] = LRU(most, dropped=dropped)
        #: The last one: most answers are of the same as the one before.
        self._last: tuple[K, Use] | None = None

    def of(self, name: K) -> Use:
        """The use of a name, a new one for a new name."""
        if self._last is not None and self._last[0] == name:
            return self._last[1]
        use = self._known.get(name)
        if use is None:
            use = Use()
            self._known.put(name, use)
        self._last = name, use
        return use

    def peek(self, name: K) -> Use | None:
        """That of a name, where it is known; it counts for nothing."""
        return self._known.peek(name)

    def items(self) -> Iterator[tuple[K, Use]]:
        """All of it."""
        return self._known.items()


class Clients:
    """Use by client: the name of a login, else the address; at most MOST_CLIENTS of them."""

    def __init__(self) -> None:
        self._others = Use()
        self._known: Uses[tuple[str, str]] = Uses(MOST_CLIENTS, self._others.merge)

    def add(self, record: AccessRecord, peer: str, sent: int, now: float) -> None:
        """One answer."""
        kind = "user" if record.user else "address"
        self._known.of((kind, record.user or peer)).add(record, sent, now)

    def told(self, count: int) -> list[dict[str, Any]]:
        """Those with most bytes, then the rest as one."""
        ranked = sorted(self._known.items(), key=lambda item: (-item[1].bytes, -item[1].answers))
        rest = Use()
        rest.merge(self._others)
        for _, use in ranked[count:]:
            rest.merge(use)
        rows = [{"kind": k, "client": name, **use.told()} for (k, name), use in ranked[:count]]
        if rest.answers:
            rows.append({"kind": "", "client": OTHERS, **rest.told()})
        return rows
