"""Streams a file with readable spans, old or still growing, to one client.

The reader says what is readable; by sendfile where the transport can, else by ``pread`` of one
piece at a time, each only after the client has taken the one before.  A client that takes
nothing holds one piece at most (nothing with sendfile), and is dropped after the silence limit.
"""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred

from aimirror.interfaces import IBodyReader
from aimirror.server.gone import ClientGone
from aimirror.server.request import MirrorRequest
from aimirror.server.sendfile import FileServer

#: Bytes after which a reader is told of its progress; a turn of the transport sends less.
SPAN = 8 * 1024 * 1024
#: Bytes read into memory at a time where sendfile can't be used, and where TLS encrypts them.
PIECE = 1024 * 1024
TLS_PIECE = 256 * 1024


class CutShort(Exception):
    """Fewer bytes could be sent than the answer's head had promised."""


async def copy(request: MirrorRequest, reader: IBodyReader) -> None:
    """Send what a reader reads, after the head was started; closes the reader in any case.

    Raises BodyFailed, OSError or EOFError when the body fails, ClientGone when the client leaves;
    cancelling stops the transfer at the next span.
    """
    try:
        while True:
            count = reader.ready()
            if count <= 0:
                if reader.ended():
                    return
                await reader.wait()
                continue
            if request.gone:
                raise ClientGone
            reader.advance(await _send(request, reader.fd, reader.position, min(count, SPAN)))
    finally:
        reader.close()


async def _send(request: MirrorRequest, fd: int, offset: int, count: int) -> int:
    """Send up to ``count`` bytes, as one chunk where the answer is chunked; how many it were."""
    channel = request.channel
    files = channel.files
    if files is None:
        count = min(count, TLS_PIECE if channel.isSecure() else PIECE)
    if request.chunked:
        channel.write(b"%x\r\n" % count)
    sent = files.send_some(fd, offset, count) if files is not None else 0
    if sent < count:
        channel.sending(True)
        try:
            if files is not None:
                await _send_file(files, fd, offset + sent, count - sent)
            else:
                await _send_piece(request, fd, offset, count)
        finally:
            channel.sending(False)
    if request.chunked:
        channel.write(b"\r\n")
    request.sentLength += count
    return count


def _send_file(files: FileServer, fd: int, offset: int, count: int) -> Deferred[None]:
    sent: Deferred[None] = Deferred()

    def done(problem: Exception | None) -> None:
        if problem is None:
            sent.callback(None)
        else:
            sent.errback(problem)

    files.send_file(fd, offset, count, done)
    return sent


async def _send_piece(request: MirrorRequest, fd: int, offset: int, count: int) -> None:
    data = os.pread(fd, count, offset)
    if len(data) != count:
        raise EOFError(f"the file ends at {offset + len(data)}")
    request.channel.write(data)
    room = request.channel.room()
    if room is not None:
        await room
