"""Values in bounded memory: of too many, the least recently used go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from math import inf
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LRU(Generic[K, V]):
    """At most ``most`` values by key, that weigh ``heaviest`` together.

    ``weigh`` says what a value weighs, in any unit; the newest value stays however heavy it is.
    ``dropped`` is called with each value that makes room for others.
    """

    def __init__(
        self,
        most: float = inf,
        *,
        weigh: Callable[[V], int] | None = None,
        heaviest: float = inf,
        dropped: Callable[[V], object] | None = None,
    ) -> None:
        self._most = most
        self._weigh = weigh
        self._heaviest = heaviest
        self._dropped = dropped
        self._values: OrderedDict[K, V] = OrderedDict()
        #: What all values weigh together.
        self.weight = 0

    def get(self, key: K) -> V | None:
        """The value of a key, which counts as a use."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def peek(self, key: K) -> V | None:
        """The value of a key, which counts as no use."""
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value as the one used last."""
        self.pop(key)
        self._values[key] = value
        if self._weigh is not None:
            self.weight += self._weigh(value)
        while len(self._values) > 1 and (
            len(self._values) > self._most or self.weight > self._heaviest
        ):
            oldest = self.pop(self.oldest())
            if oldest is not None and self._dropped is not None:
                self._dropped(oldest)

    def pop(self, key: K) -> V | None:
        """Forget the value of a key; ``dropped`` is not called."""
        value = self._values.pop(key, None)
        if value is not None and self._weigh is not None:
            self.weight -= self._weigh(value)
        return value

    def oldest(self) -> K:
        """The key that was not used for the longest time; StopIteration where there is none."""
        return next(iter(self._values))

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()
        self.weight = 0

    def items(self) -> Iterator[tuple[K, V]]:
        """Keys and values as they are now, the least recently used first."""
        return iter(list(self._values.items()))

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._values))

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)
