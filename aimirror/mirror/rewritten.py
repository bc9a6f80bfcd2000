"""Sends a body that is changed piece by piece while it arrives; memory holds one piece."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aimirror.interfaces import BodyFailed, IBody, IBodyReader
from aimirror.mirror.changes import GZIP_LEVEL, Change
from aimirror.server.answers import Answer, Streamed, Wire
from aimirror.server.gone import ClientGone

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


#: Bytes read from the file at a time.
STEP = 256 << 10
#: Bytes that are changed at once; what is more work is done in a thread.
LITTLE = 16 << 10
#: What zlib calls the gzip format with the largest window.
_GZIP = 31


class Piecewise:
    """A change of a body whose pieces come one after the other."""

    def __init__(self, change: Change) -> None:
        self._rewriter = change.rewriter() if change.mark else None
        self._packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP) if change.gzip else None

    def feed(self, data: bytes) -> bytes:
        """What can be sent, now that these bytes are there."""
        if self._rewriter is not None:
            data = self._rewriter.feed(data)
        return data if self._packer is None else self._packer.compress(data)

    def flush(self) -> bytes:
        """What the packer holds back, while nothing more comes for now."""
        return b"" if self._packer is None else self._packer.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """The rest."""
        rest = b"" if self._rewriter is None else self._rewriter.end()
        return rest if self._packer is None else self._packer.compress(rest) + self._packer.flush()


class Changing(Streamed):
    """A body of unknown length that is changed on its way."""

    def __init__(
        self, body: IBody, change: Change, to_thread: Callable[..., Deferred[Any]]
    ) -> None:
        self._body = body
        self._change = change
        self._to_thread = to_thread

    async def send(self, wire: Wire, answer: Answer) -> None:
        """See Streamed; what fails before anything was sent is raised, what fails later cuts."""
        reader = self._body.reader(0, None)
        try:
            while not reader.ready() and not reader.ended():
                await reader.wait()
            wire.start(answer.status, answer.headers, None)
            await _send(wire, reader, Piecewise(self._change), self._to_thread)
            wire.finish()
        except (BodyFailed, OSError):
            if not wire.begun:
                raise
            wire.abort()
        finally:
            reader.close()


async def _send(
    wire: Wire,
    reader: IBodyReader,
    change: Piecewise,
    to_thread: Callable[..., Deferred[Any]],
) -> None:
    while not reader.ended():
        count = min(reader.ready(), STEP)
        if count <= 0:
            await _write(wire, change.flush())
            await reader.wait()
            continue
        data = os.pread(reader.fd, count, reader.position)
        if len(data) != count:
            raise BodyFailed("the file ends too early")
        reader.advance(count)
        changed = change.feed(data) if count <= LITTLE else await to_thread(change.feed, data)
        await _write(wire, changed)
    await _write(wire, change.end())


async def _write(wire: Wire, data: bytes) -> None:
    if wire.gone:
        raise ClientGone
    if not data:
        return
    wire.write(data)
    room = wire.room()
    if room is not None:
        await room
