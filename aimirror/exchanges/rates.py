"""The rate limits: every byte from upstream counts, whoever it is for."""

from __future__ import annotations

from collections.abc import Callable
from time import localtime, time
from typing import TYPE_CHECKING

from attrs import Factory, define
from zope.interface import implementer

from aimirror.download.hours import Hours, limit_at
from aimirror.exchanges.environment import shared
from aimirror.exchanges.throttle import Throttle
from aimirror.exchanges.wrapped import WrappedResponse
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError
from aimirror.routing.rules import Rule

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime


@define(eq=False)
class _Member:
    rule: Rule
    changed: Callable[[], None]


@define
class Rates:
    """Divides ``limit`` and each rule's (bytes per second, 0 = none) among all that flows.

    ``changed`` of each member is called when its share may have become another one.
    """

    limit: int = 0
    #: What takes its place at some times of the day; pieces under way keep the rate that they have.
    hours: tuple[Hours, ...] = ()
    #: Epoch seconds.
    now: Callable[[], float] = time
    _members: dict[object, _Member] = Factory(dict)

    def enter(self, owner: object, rule: Rule, changed: Callable[[], None]) -> None:
        """A download or a stream begins."""
        self._members[owner] = _Member(rule, changed)
        self._tell(rule)

    def leave(self, owner: object) -> None:
        """It is over; idempotent."""
        member = self._members.pop(owner, None)
        if member is not None:
            self._tell(member.rule)

    def rate(self, rule: Rule) -> int:
        """Bytes per second for one: its share of its rule's limit and of the whole."""
        limit = self._whole()
        if not (rule.rate_limit or limit):
            return 0
        same = sum(member.rule.name == rule.name for member in self._members.values())
        limits = (shared(rule.rate_limit, same), shared(limit, len(self._members)))
        return min((limit for limit in limits if limit > 0), default=0)

    def limits(self, rule: Rule) -> bool:
        """Whether there is any for a rule."""
        return bool(rule.rate_limit or self.limit or self.hours)

    def _whole(self) -> int:
        """The limit of all together, now."""
        if not self.hours:
            return self.limit
        local = localtime(self.now())
        second = (local.tm_hour * 60 + local.tm_min) * 60 + local.tm_sec
        return limit_at(second, self.hours, self.limit)

    def _tell(self, rule: Rule) -> None:
        if self.limits(rule):
            for member in tuple(self._members.values()):
                member.changed()


@implementer(IReceiver)
class LimitedResponse(WrappedResponse):
    """A response that is passed on no faster than it may be."""

    def __init__(
        self, response: IUpstreamResponse, clock: IReactorTime, rates: Rates, rule: Rule
    ) -> None:
        super().__init__(response)
        self._rates = rates
        self._throttle = Throttle(response, clock, lambda: rates.rate(rule))
        self._receiver: IReceiver | None = None
        rates.enter(self, rule, lambda: None)

    def deliver(self, receiver: IReceiver) -> None:
        """Let it flow."""
        self._receiver = receiver
        self._response.deliver(self)

    def pause(self) -> None:
        """The receiver wants no more for now."""
        self._throttle.hold()

    def resume(self) -> None:
        """The receiver wants more; the limit may not allow it yet."""
        self._throttle.release()

    def abort(self) -> None:
        """Nobody wants it any more."""
        self._leave()
        self._response.abort()

    def data(self, chunk: bytes) -> None:
        """Some bytes came."""
        self._throttle.took(len(chunk))
        if self._receiver is not None:
            self._receiver.data(chunk)

    def finished(self, error: UpstreamError | None) -> None:
        """All has come, or no more will."""
        self._leave()
        if self._receiver is not None:
            self._receiver.finished(error)

    def _leave(self) -> None:
        self._throttle.stop()
        self._rates.leave(self)
