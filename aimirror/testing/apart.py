"""Reading what others wrote without a process of its own, for tests in memory."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from aimirror.interfaces import Unreadable

Source = bytes | Callable[[], Awaitable[bytes]]


def apart_by(
    to_thread: Callable[..., Deferred[Any]] = maybeDeferred,
) -> Callable[..., Deferred[bytes]]:
    """Does ``ILibrary.apart`` by this; whatever the function raises is Unreadable."""

    async def run(function: Callable[..., bytes], source: Source, *texts: str) -> bytes:
        data = source if isinstance(source, bytes) else await source()
        try:
            made: bytes = await to_thread(function, data, *texts)
        except Exception as error:
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        return made

    def apart(function: Callable[..., bytes], source: Source, *texts: str) -> Deferred[bytes]:
        return Deferred.fromCoroutine(run(function, source, *texts))

    return apart


def echo(data: bytes, *texts: str) -> bytes:
    """What it was given."""
    return b"|".join([data, *(text.encode() for text in texts)])


def fails(data: bytes) -> bytes:
    """Doesn't understand a word."""
    raise ValueError("not a word")


def busy(data: bytes) -> bytes:
    """Never ends."""
    while True:
        pass


def greedy(data: bytes) -> bytes:
    """Takes all memory that there is."""
    held = []
    while True:
        held.append(bytearray(64 << 20))


def dies(data: bytes) -> bytes:
    """Takes its process down."""
    os._exit(7)
