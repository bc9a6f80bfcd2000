"""What becomes of a part whose bytes are all there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.download.tasks import Reason
from aimirror.exchanges.environment import Environment, Finished
from aimirror.exchanges.growing import GrowingBody
from aimirror.store.errors import is_full

if TYPE_CHECKING:
    from aimirror.store.parts import Part

_log = Logger()


async def store(
    env: Environment, part: Part, body: GrowingBody, entry: Entry, blob: str, size: int
) -> Finished:
    """Make a part, whole and proven, a blob.

    Its readers get its end before it is synced, and all the same when the disk refuses.
    """
    body.proven(size)
    env.store.changed(entry.key)
    try:
        path = await env.store.commit(part, blob, size)
    except Exception as error:
        body.finish_unstored(size, env.clock, env.store.in_use)
        part.discard()
        if not isinstance(error, OSError):
            raise
        return Finished(reason=disk_reason(error), detail=str(error))
    body.finish(size, str(path), blob, env.store.in_use)
    return Finished(evolve(entry, blob=blob, size=size))


def set_apart(env: Environment, part: Part, why: str) -> Finished:
    """Keep bytes that are not what they should be for inspection."""
    try:
        env.store.quarantine(part, why)
    except OSError as error:
        _log.error("not kept for inspection: {error}", error=str(error))
    return Finished(reason=Reason.CHANGED, detail=why, mismatch=True)


def disk_reason(error: OSError) -> Reason:
    """How an error of the disk is told."""
    return Reason.DISK_FULL if is_full(error) else Reason.DISK
