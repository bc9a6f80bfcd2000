"""The AMP commands; the docstring of each says who sends it.

Offsets are bytes of the file, intervals half open.  AMP has no flow control: fetches are bounded
by the pool's window per worker, progress is coalesced by the worker.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from twisted.protocols import amp

_SPAN = struct.Struct("!QQQ")


class Failed(Exception):
    """The other end could not do it; the text is for people."""


class HashFailed(Exception):
    """Hashing failed: an OSError as ``<errno> <text>``."""

    @classmethod
    def of(cls, error: OSError) -> HashFailed:
        """From the error at the worker's end."""
        return cls(f"{error.errno or 0} {error.strerror or error}")

    def error(self) -> OSError:
        """The error again, at the parent's end."""
        number, _, text = str(self).partition(" ")
        return OSError(int(number), text)


class Fetch(amp.Command):
    """Parent to worker: run a packed FetchTask; answered with its FetchResult when it ended."""

    commandName = b"fetch"
    arguments = [(b"task", amp.String())]
    response = [(b"result", amp.String())]
    errors = {Failed: b"FAILED"}


class Trim(amp.Command):
    """Parent to worker: a running fetch ends at ``stop`` already."""

    commandName = b"trim"
    arguments = [(b"id", amp.Integer()), (b"stop", amp.Integer())]
    requiresAnswer = False


class Limit(amp.Command):
    """Parent to worker: a running fetch takes so many bytes per second at the most, 0 = any."""

    commandName = b"limit"
    arguments = [(b"id", amp.Integer()), (b"rate", amp.Integer())]
    requiresAnswer = False


class Cancel(amp.Command):
    """Parent to worker: drop a running fetch and its connection."""

    commandName = b"cancel"
    arguments = [(b"id", amp.Integer())]
    requiresAnswer = False


class Spans(amp.Argument):
    """Fetches' ids and ``[start, stop)`` in one value, 2730 at most: what comes often."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def toString(self, inObject: Sequence[tuple[int, int, int]]) -> bytes:
        """Pack."""
        return b"".join(_SPAN.pack(*span) for span in inObject)

    def fromString(self, inString: bytes) -> list[tuple[int, ...]]:
        """Unpack; raises struct.error."""
        return list(_SPAN.iter_unpack(inString))


class Wrote(amp.Command):
    """Worker to parent: running fetches have written spans; those of each follow each other."""

    commandName = b"wrote"
    arguments = [(b"spans", Spans())]
    requiresAnswer = False


class Hash(amp.Command):
    """Parent to worker: digests of ``[0, stop)`` of a file, going on from where ``key`` stands."""

    commandName = b"hash"
    arguments = [
        (b"key", amp.Unicode()),
        (b"path", amp.String()),
        (b"algorithms", amp.ListOf(amp.String())),
        (b"stop", amp.Integer()),
    ]
    response = [(b"digests", amp.ListOf(amp.String()))]
    errors = {Failed: b"FAILED", HashFailed: b"HASH_FAILED"}


class Forget(amp.Command):
    """Parent to worker: drop the hashing state of ``key``."""

    commandName = b"forget"
    arguments = [(b"key", amp.Unicode())]
    requiresAnswer = False


class CloseIdle(amp.Command):
    """Parent to worker: close one idle connection to a host; answered when it is gone."""

    commandName = b"close_idle"
    arguments = [(b"host", amp.Unicode())]
    errors = {Failed: b"FAILED"}


class Send(amp.Command):
    """Parent to worker: run a packed SendTask; answered with its SendResult when it ended."""

    commandName = b"send"
    arguments = [(b"task", amp.String())]
    response = [(b"result", amp.String())]
    errors = {Failed: b"FAILED"}


class Ping(amp.Command):
    """Parent to worker: are you there?  The first answer says that the worker is up."""

    commandName = b"ping"
    errors = {Failed: b"FAILED"}


class Stop(amp.Command):
    """Parent to worker: cancel all fetches (each still gets its answer), then leave."""

    commandName = b"stop"
    requiresAnswer = False
