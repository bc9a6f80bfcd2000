"""The worker processes, as their parent sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from aimirror.download.tasks import FetchResult, FetchTask, HashTask, SendResult, SendTask


class IFetch(Interface):
    """A piece in flight."""

    result: Deferred[FetchResult] = Attribute("fires once with a FetchResult, never fails")
    waiting: bool = Attribute("whether it is not sent yet, for want of a connection or a worker")

    def trim(stop: int) -> None:
        """End earlier: bytes from ``stop`` on are somebody else's."""

    def limit(rate: int) -> None:
        """From now on so many bytes per second at the most, 0 without limit."""

    def cancel() -> None:
        """Give up; ``result`` fires with CANCELLED (or what it had come to)."""


class IPool(Interface):
    """The worker processes as the parent sees them."""

    def fetch(task: FetchTask, wrote: Callable[[int, int], None]) -> IFetch:
        """Have a piece fetched; ``wrote(start, stop)`` is called as its bytes get readable.

        ``task.id`` is the caller's own; the pool gives its workers numbers of its own.
        """

    def hash(task: HashTask) -> Deferred[dict[str, str]]:
        """Digests (algorithm -> hex) of ``[0, stop)``; fails with OSError."""

    def forget(key: str) -> None:
        """Drop the hashing state of a key."""

    def send(task: SendTask) -> Deferred[SendResult]:
        """Have part of a file PUT somewhere; never fails."""
