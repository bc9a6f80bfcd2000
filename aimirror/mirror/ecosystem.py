"""What a package world may add to the general way, in values: no request on a wire is needed.

A world is asked with a ``ClientRequest`` and its route; what it needs it asks of the ``Desk``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from aimirror.caching.entries import Entry
from aimirror.http.headers import Headers
from aimirror.interfaces import ILibrary, IUpstreamResponse, Refresh
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule
from aimirror.server.answers import Answer

if TYPE_CHECKING:
    from aimirror.server.upload import RequestBody


def _ignore(seconds: float) -> None:
    pass


@frozen(kw_only=True)
class ClientRequest:
    """What a client asks for."""

    method: str = "GET"
    #: To the letter; the query without its question mark, None without one.
    path: str
    query: str | None = None
    headers: Headers = Headers()
    #: The client's address.
    peer: str = ""
    #: By which base URL the client came here.
    reached: str = ""
    #: Whether it has us for a proxy, so that links stay the upstream's.
    proxied: bool = False
    #: Whether a login of the mirror's own was given; it is not among ``headers``.
    admitted: bool = False
    #: The registry that the name stands for by which the client came, "" for none.
    registry: str = ""
    #: The target as it was sent.
    target: str = ""
    #: Whether what its answer depends on is known: see ``Ecosystem.settled``.  No index that nobody
    #: named, no branch and no redirect leads to what is stored.
    settled: bool = False
    body: RequestBody | None = None
    #: Told of seconds that were spent on waiting for an upstream.
    waited: Callable[[float], object] = _ignore

    @property
    def mirror(self) -> str:
        """What links begin with that lead to the mirror, "" where links stay."""
        return "" if self.proxied else self.reached

    @property
    def head_only(self) -> bool:
        """Whether it is a HEAD."""
        return self.method == "HEAD"


class Declined(Exception):
    """An answer that the caller had something better for (``Lookup.declines``)."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Untaken:
    """What an ecosystem returns when a request is to go the general way."""


UNTAKEN = Untaken()


class Desk(Protocol):
    """What an ecosystem may ask for."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules."""

    @property
    def library(self) -> ILibrary:
        """What is stored or arriving, and the way to more of it."""

    async def answer(
        self,
        request: ClientRequest,
        route: Route,
        *,
        headers: Headers | None = None,
        scope: str | None = None,
        refresh: Refresh | None = None,
        granted: bool = False,
        declines: frozenset[int] = frozenset(),
        not_before: float = 0.0,
    ) -> Answer:
        """The answer to GET or HEAD by the cache.

        ``headers`` go upstream instead of the client's own; ``scope`` names the credential in
        them, ``refresh`` renews them after a 401, ``granted`` says that the caller has asked
        whether the scope may have what is stored for it.  Answers of a status in ``declines`` are
        raised as Declined; what was confirmed before ``not_before`` is asked for again.  Raises
        UpstreamError and BodyFailed.
        """

    async def forward(
        self, request: ClientRequest, route: Route, headers: Headers | None = None
    ) -> Answer:
        """The upstream's answer to a request that is passed on as it is; raises UpstreamError."""

    async def changed(self, request: ClientRequest, route: Route, answer: Answer) -> Answer:
        """An answer made by the ecosystem, its links led to the mirror, its text compressed."""


class Ecosystem(Protocol):
    """Knowledge of one package world; a rule names it by its ``ecosystem``.

    ``settled`` says whether a stored answer depends on its own entry alone, and on those that
    ``finish`` names (``Answer.memo_with``): then repeats need not be taken for long.

    All methods are called in the reactor.  The general way: ``take`` (nothing), ``Desk.answer``
    with the rule's route, ``finish`` on each answer.
    """

    @property
    def settled(self) -> bool:
        """See above."""

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """Answer a request of any method, or leave it to the general way with ``UNTAKEN``.

        It may answer by itself, or through ``mirror.answer`` / ``mirror.forward`` with another
        route or other fields.
        """

    async def known(self, route: Route, mirror: Desk) -> Digest | None:
        """What a file hashes to by what is stored for anybody; nobody is asked for more."""

    def finish(self, lookup: Lookup, answer: Answer) -> Answer:
        """The last word on the status and fields of an answer to GET or HEAD."""

    def refused(self, lookup: Lookup, response: IUpstreamResponse) -> Answer | None:
        """What to say in place of an upstream's answer that is not stored; None passes it on."""


class General:
    """An ecosystem that knows nothing: a base for those that know something."""

    settled = False

    async def take(self, request: ClientRequest, route: Route, mirror: Desk) -> Answer | Untaken:
        """The general way."""
        return UNTAKEN

    async def known(self, route: Route, mirror: Desk) -> Digest | None:
        """Nothing."""
        return None

    def finish(self, lookup: Lookup, answer: Answer) -> Answer:
        """As it is."""
        return answer

    def refused(self, lookup: Lookup, response: IUpstreamResponse) -> Answer | None:
        """As it is."""
        return None


class Unknowing(General):
    """The general way, and nothing else."""

    settled = True


GENERAL = Unknowing()


@frozen(kw_only=True)
class Lookup:
    """One GET or HEAD for a rule's path, by way of the cache."""

    request: ClientRequest
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
    #: Whether what a redirect to another origin led to is raised as ``Declined``, too.
    here: bool = False
    #: Epoch seconds: what was confirmed before is asked for again, however fresh.  It may still
    #: stand in for a failure.
    not_before: float = 0.0

    def decline(self, entry: Entry) -> None:
        """Raise Declined when an entry is not wanted."""
        if entry.status in self.declines or (self.here and entry.led_to != entry.asked_of):
            raise Declined(entry.status)

    @property
    def rule(self) -> Rule:
        """The rule that took it."""
        return self.route.rule

    @property
    def head_only(self) -> bool:
        """Whether it is a HEAD."""
        return self.request.head_only
