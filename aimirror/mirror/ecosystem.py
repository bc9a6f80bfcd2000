"""One GET or HEAD as the mirror sees it, and what ecosystems may add to the general way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstreamResponse, Refresh
from aimirror.routing.rules import Route, Rule

if TYPE_CHECKING:
    from aimirror.mirror.mirror import Mirror
    from aimirror.server.answers import Answer
    from aimirror.server.request import MirrorRequest


class Declined(Exception):
    """An answer that the caller had something better for (``Asked.declines``); nothing was sent."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Untaken:
    """What an ecosystem returns when a request is to go the general way."""


UNTAKEN = Untaken()


class Ecosystem(Protocol):
    """Knowledge of one package world; a rule names it by its ``ecosystem``.

    All methods are called in the reactor.  The general way: ``take`` (nothing), ``Mirror.answer``
    with the rule's route, ``finish`` on each answer.
    """

    async def take(
        self, request: MirrorRequest, route: Route, mirror: Mirror
    ) -> Answer | Untaken | None:
        """Answer a request of any method, or leave it to the general way with ``UNTAKEN``.

        It may answer by itself, or through ``mirror.answer`` / ``mirror.forward`` with another
        route or other fields; None when the answer was streamed already.
        """

    def finish(self, asked: Asked, answer: Answer) -> Answer:
        """The last word on the status and fields of an answer to GET or HEAD."""

    def refused(self, asked: Asked, response: IUpstreamResponse) -> Answer | None:
        """What to say in place of an upstream's answer that is not stored; None passes it on."""


class General:
    """An ecosystem that knows nothing: a base for those that know something."""

    async def take(
        self, request: MirrorRequest, route: Route, mirror: Mirror
    ) -> Answer | Untaken | None:
        """The general way."""
        return UNTAKEN

    def finish(self, asked: Asked, answer: Answer) -> Answer:
        """As it is."""
        return answer

    def refused(self, asked: Asked, response: IUpstreamResponse) -> Answer | None:
        """As it is."""
        return None


GENERAL = General()


@frozen(kw_only=True)
class Asked:
    """One GET or HEAD for a rule's path, as the mirror sees it."""

    request: MirrorRequest
    route: Route
    #: What would go upstream; also what selects among stored variants.
    headers: Headers
    #: The client's credential as a hash, "" without one.
    scope: str
    #: Epoch seconds.
    now: float
    ecosystem: Ecosystem = GENERAL
    #: Makes ``headers`` anew when the upstream answers 401 to them.
    refresh: Refresh | None = None
    #: Whether the upstream has said just now that ``scope`` may have what is stored for it.
    granted: bool = False
    #: Statuses that are not sent but raised as ``Declined``.
    declines: frozenset[int] = frozenset()
    #: Epoch seconds: what was confirmed before is asked for again, however fresh.  It may still
    #: stand in for a failure.
    not_before: float = 0.0

    def decline(self, status: int) -> None:
        """Raise Declined when this status is not wanted."""
        if status in self.declines:
            raise Declined(status)

    @property
    def rule(self) -> Rule:
        """The rule that took it."""
        return self.route.rule

    @property
    def head_only(self) -> bool:
        """Whether it is a HEAD."""
        return self.request.head.method == "HEAD"
