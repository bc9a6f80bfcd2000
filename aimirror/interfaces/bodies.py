"""Bodies that are stored or arriving, and those who read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zope.interface import Attribute, Interface

from aimirror.download.tasks import Reason

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class BodyFailed(Exception):
    """A body can't be completed: its readers must be cut off, never ended cleanly."""

    def __init__(self, detail: str, reason: Reason = Reason.DISK) -> None:
        super().__init__(detail)
        self.reason = reason


class IBodyReader(Interface):
    """One client's place in a body."""

    fd: int = Attribute("file descriptor for pread and sendfile; owned by the body")
    position: int = Attribute("the next byte to send")
    stop: int | None = Attribute("where this reader ends, None while the size is unknown")

    def ready() -> int:
        """How many bytes can be read at ``position`` now."""

    def wait() -> Deferred[None]:
        """Fires when ``ready() > 0`` or the end is reached; fails with BodyFailed."""

    def advance(count: int) -> None:
        """``count`` bytes were sent."""

    def ended() -> bool:
        """Whether all bytes up to ``stop`` were sent (False while the end is unknown)."""

    def close() -> None:
        """Leave; idempotent."""


class IBody(Interface):
    """A file with readable spans: a stored blob or a running download."""

    size: int | None = Attribute("total bytes, None while unknown")
    complete: bool = Attribute("whether every byte is readable and verified")

    def reader(start: int, stop: int | None) -> IBodyReader:
        """A reader of ``[start, stop)``; ``stop=None`` reads to the end."""


class Readable(Protocol):
    """Where a small body lies: next to nothing, so that many can be remembered."""

    def read(self) -> bytes:
        """All of it; BodyFailed or OSError when it is not there, or not as it was recorded."""


class IStoredBody(IBody):
    """A body that is there."""

    size: int = Attribute("total bytes")
    file: Readable = Attribute("where it lies, for small ones")

    def data() -> bytes:
        """All of it, for small ones; raises OSError and BodyFailed."""


class IArrivingBody(IBody):
    """A body that is being stored."""

    whole: bool = Attribute("whether every byte can be read, though a sync is still under way")
    sound: bool = Attribute("whether it is whole, and no reader of it will be cut off")
    failed: tuple[str, Reason] | None = Attribute("why it can't be completed, once that is known")
