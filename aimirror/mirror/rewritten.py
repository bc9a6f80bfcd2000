"""Sends a body that is changed piece by piece while it arrives; memory holds one piece."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aimirror.interfaces import BodyFailed, IBody, IBodyReader
from aimirror.mirror.changes import GZIP_LEVEL, Change
from aimirror.mirror.rewriting import Rewriter
from aimirror.server.answers import Answer
from aimirror.server.sendfile import ClientGone

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from aimirror.server.request import MirrorRequest

#: Bytes read from the file at a time.
STEP = 256 << 10
#: Bytes that are changed at once; what is more work is done in a thread.
LITTLE = 16 << 10
#: What zlib calls the gzip format with the largest window.
_GZIP = 31


class Piecewise:
    """A change of a body whose pieces come one after the other."""

    def __init__(self, change: Change) -> None:
        self._rewriter = Rewriter(change.links, change.root_relative) if change.mark else None
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


async def stream_changed(
    request: MirrorRequest,
    answer: Answer,
    body: IBody,
    change: Change,
    to_thread: Callable[..., Deferred[Any]],
) -> None:
    """Send an answer of unknown length whose body is changed on the way.

    Raises BodyFailed and OSError before anything was sent; later ones cut the connection.
    """
    reader = body.reader(0, None)
    try:
        while not reader.ready() and not reader.ended():
            await reader.wait()
        request.start(answer.status, answer.headers, None)
        await _send(request, reader, Piecewise(change), to_thread)
        request.finish()
    except (BodyFailed, OSError):
        if not request.startedWriting:
            raise
        request.abort()
    finally:
        reader.close()


async def _send(
    request: MirrorRequest,
    reader: IBodyReader,
    change: Piecewise,
    to_thread: Callable[..., Deferred[Any]],
) -> None:
    while not reader.ended():
        count = min(reader.ready(), STEP)
        if count <= 0:
            await _write(request, change.flush())
            await reader.wait()
            continue
        data = os.pread(reader.fd, count, reader.position)
        if len(data) != count:
            raise BodyFailed("the file ends too early")
        reader.advance(count)
        changed = change.feed(data) if count <= LITTLE else await to_thread(change.feed, data)
        await _write(request, changed)
    await _write(request, change.end())


async def _write(request: MirrorRequest, data: bytes) -> None:
    if request.gone:
        raise ClientGone
    if not data:
        return
    request.write(data)
    room = request.channel.room()
    if room is not None:
        await room
