"""Bodies read by the mirror itself, in whole or in part."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aimirror.interfaces import BodyFailed, IBody

if TYPE_CHECKING:
    from aimirror.exchanges.tools import Tools


async def read(
    tools: Tools, body: IBody, most: int, start: int = 0, stop: int | None = None
) -> bytes:
    """Bytes ``[start, stop)`` of a body that is there or still arriving, to its end with None.

    Raises BodyFailed, also when that is more than ``most`` bytes, and OSError.
    """
    reader = body.reader(start, stop)
    data = bytearray()
    try:
        while not reader.ended():
            count = reader.ready()
            if not count:
                await reader.wait()
                continue
            if len(data) + count > most:
                raise BodyFailed("too long to be read here")
            piece = await tools.to_thread(os.pread, reader.fd, count, reader.position)
            if not piece:
                raise BodyFailed("the stored file is too short")
            data += piece
            reader.advance(len(piece))
    finally:
        reader.close()
    return bytes(data)
