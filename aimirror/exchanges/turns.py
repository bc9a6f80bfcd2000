"""The first of several upstreams that can answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.upstream.health import Health

T = TypeVar("T")


class PassedOver(Exception):
    """An attempt that says nothing about its upstream's health.

    ``trouble`` is why nobody could answer, if no later upstream can either; None keeps the last.
    """

    def __init__(self, trouble: UpstreamError | None = None) -> None:
        super().__init__(str(trouble or ""))
        self.trouble = trouble


async def first_able(
    health: Health,
    now: Callable[[], float],
    upstreams: Sequence[str],
    attempt: Callable[[int, bool], Awaitable[T]],
    *,
    able: Callable[[T], bool],
    drop: Callable[[T], object] = lambda answer: None,
    nobody: Callable[[], UpstreamError] = lambda: UpstreamError(
        Reason.STATUS, "no upstream can answer"
    ),
) -> T:
    """What ``attempt(index, last)`` brings at the first upstream that is ``able``, by health.

    The last one's answer is the answer, able or not; ``drop`` is told of the others.  Raises what
    the last attempt failed with, UpstreamErrors alone leading to the next one; ``nobody()`` if none
    of them failed.
    """
    trouble: UpstreamError | None = None
    order = health.order(upstreams, now())
    for index in order:
        try:
            answer = await attempt(index, index == order[-1])
        except PassedOver as passed:
            trouble = passed.trouble or trouble
            continue
        except UpstreamError as error:
            if error.reason is Reason.CANCELLED:
                raise
            if error.retry_after is not None:  # it was not asked at all
                trouble = error
                continue
            health.failed(upstreams[index], now(), unreachable=error.unreachable)
            if error.unreachable or error.reason is Reason.SILENT:
                health.unreached(upstreams[index], now(), unreachable=error.unreachable)
            trouble = error
            continue
        if able(answer):
            health.succeeded(upstreams[index], now())
            return answer
        health.reached(upstreams[index])
        health.failed(upstreams[index], now())
        if index == order[-1]:
            return answer
        drop(answer)
    raise trouble or nobody()
