"""The other nodes: found by name or list, asked for what they own."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from aimirror.bounded import LRU
from aimirror.caching.entries import Entry
from aimirror.cluster import questions
from aimirror.cluster.affinity import Shape, key
from aimirror.cluster.roster import Roster
from aimirror.download.tasks import Reason
from aimirror.http.egress import ANYWHERE, Egress, Outgoing, Timeouts
from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstream, IUpstreamResponse, UpstreamError, Wanted
from aimirror.routing.digests import Digest, parse
from aimirror.store import records
from aimirror.tier.keys import Keys

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: How a name is written that stands for the addresses of all nodes.
DNS = "dns://"
#: Seconds between two looks at it.
RESOLVE_EVERY = 5.0
#: Keys that their owner would not share, and seconds for which it is not asked again.
MOST_UNSHARED = 10_000
UNSHARED_FOR = 60.0
#: Nodes of which is counted what came of the questions to them.
MOST_DEALINGS = 2000
#: Seconds to reach an owner; it then waits for the upstream as we would.
TIMEOUTS = Timeouts(connect=0.3, header=60.0, silence=30.0)


@frozen
class Told:
    """What an owner has: an entry and its body, None when we have that already."""

    entry: Entry
    response: IUpstreamResponse | None
    #: Who has said so.
    member: str = ""


@define
class Dealings:
    """What came of the questions to one node, and bytes of bodies that it has sent."""

    results: Counter[str] = Factory(Counter)
    bytes: int = 0


class Peers:
    """Knows the nodes of the cluster between ``start`` and ``stop``, and asks them.

    ``peers`` are ``host:port``, or one ``dns://name:port``; ``own`` is how others reach this
    node.  Nothing of it fails: where an owner does not help, the answer is None.
    """

    log = Logger()

    def __init__(
        self,
        peers: tuple[str, ...],
        own: str,
        keys: Keys,
        shapes: tuple[Shape, ...],
        upstream: IUpstream,
        clock: IReactorTime,
        to_thread: Callable[..., Deferred[Any]],
        scheme: str = "http",
    ) -> None:
        self._peers = peers
        self.keys = keys
        self._shapes = shapes
        self._upstream = upstream
        self._clock = clock
        self._to_thread = to_thread
        self._scheme = scheme
        self.roster = Roster(own)
        if not self._named:
            self.roster.update(peers)
        #: By node, whether or not it is one of us still.
        self.dealings: LRU[str, Dealings] = LRU(MOST_DEALINGS)
        self._asking: Counter[str] = Counter()
        self._unshared: LRU[str, float] = LRU(MOST_UNSHARED)
        self._later: IDelayedCall | None = None
        self._stopped = False

    @property
    def _named(self) -> str:
        """The name that stands for all, "" for a list."""
        return self._peers[0].removeprefix(DNS) if self._peers[0].startswith(DNS) else ""

    def reconfigure(self, shapes: tuple[Shape, ...], peers: tuple[str, ...]) -> None:
        """The rules have changed, and with them the affinity keys; or the nodes have."""
        self._shapes = shapes
        named, self._peers = self._named, peers
        if not self._named:
            self.roster.update(peers)
        elif not named:
            self.start()

    def start(self) -> None:
        """Look for the others, again and again."""
        if self._named and not self._stopped:
            looking: Deferred[None] = Deferred.fromCoroutine(self._look())
            looking.addErrback(lambda f: self.log.failure("no look at the other nodes", f))

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        if self._later is not None and self._later.active():
            self._later.cancel()

    async def _look(self) -> None:
        if not self._named:  # a list by now
            return
        host, _, port = self._named.rpartition(":")
        try:
            addresses = await self._to_thread(
                socket.getaddrinfo, host, int(port), 0, socket.SOCK_STREAM
            )
            self.roster.update({_authority(address[4][0], int(port)) for address in addresses})
        except OSError as error:  # those of before are as good a guess as any
            self.log.info("the other nodes can't be found: {error}", error=str(error))
        if not self._stopped:
            self._later = self._clock.callLater(RESOLVE_EVERY, self.start)

    def owner(self, wanted: Wanted) -> str:
        """Who owns what is wanted; "" when that is this node, or nobody is to be asked."""
        rule = wanted.route.rule
        if wanted.scope or wanted.hop or wanted.unstored or not rule.tier:
            return ""
        now = self._clock.seconds()
        if (self._unshared.get(wanted.key) or 0.0) > now:
            return ""
        query = wanted.key.partition("?")
        target = f"{wanted.route.path}{query[1]}{query[2]}"
        member = self.roster.owner(key(self._shapes, target), now)
        return "" if member == self.roster.own else member

    def asking(self, name: str) -> bool:
        """Whether we wait for another node's word on this key: we have none for others then."""
        return self._asking[name] > 0

    async def ask(self, wanted: Wanted, have: str) -> Told | None:
        """What the owner says; ``have`` is the sha256 of the body that we have."""
        member = self.owner(wanted)
        if not member:
            return None
        only = wanted.stored_only
        question = questions.asked(
            wanted.route, wanted.headers, wanted.not_before, have, stored_only=only
        )
        text = questions.packed(question, self.keys, self._clock.seconds())
        if not text:
            return None
        self._asking[wanted.key] += 1
        try:
            entry = await self._ask(member, wanted.key, text)
        finally:
            self._asking[wanted.key] -= 1
            if not self._asking[wanted.key]:
                del self._asking[wanted.key]
        if entry is None and not only and member not in self.roster.away(self._clock.seconds()):
            self._unshared.put(wanted.key, self._clock.seconds() + UNSHARED_FOR)
        return entry

    async def said(self, wanted: Wanted) -> Digest | None:
        """What the owner's indexes say that a file hashes to; None where this node owns it."""
        member = self.owner(wanted)
        question = questions.asked(wanted.route, wanted.headers, 0.0, "", digest_only=True)
        text = questions.packed(question, self.keys, self._clock.seconds()) if member else ""
        response = await self._answer(member, text) if text else None
        if response is None:
            return None
        algorithm, _, value = (response.headers.get(questions.DIGEST) or "").partition("=")
        self.dealt(member).results["answered" if value else "nothing"] += 1
        response.abort()
        return parse(algorithm, value) if value else None

    async def _answer(self, member: str, text: str) -> IUpstreamResponse | None:
        """The response of another node, None when there is none."""
        url = f"{self._scheme}://{member}/{questions.NAME}"
        fields = Headers([(questions.QUESTION, text), ("Accept-Encoding", "identity")])
        outgoing = Outgoing("GET", url, fields, Egress(reach=ANYWHERE), TIMEOUTS)
        try:
            response = await self._upstream.request(outgoing)
        except UpstreamError as error:
            if error.reason is Reason.CANCELLED:
                raise
            self.roster.failed(member, self._clock.seconds())
            self.dealt(member).results["failed"] += 1
            self.log.info("{member} is left out: {why}", member=member, why=str(error))
            return None
        self.roster.answered(member)
        return response

    async def _ask(self, member: str, name: str, text: str) -> Told | None:
        response = await self._answer(member, text)
        if response is None:
            return None
        record = response.headers.get(questions.ENTRY)
        try:
            entry = None if record is None else records.load(record)
        except ValueError:
            entry = None
        if entry is None or entry.key != name or entry.scope or response.status not in (200, 204):
            self.dealt(member).results["nothing"] += 1
            response.abort()
            return None
        self.dealt(member).results["answered"] += 1
        if response.status == 200:
            return Told(entry, response, member)
        response.abort()
        return Told(entry, None, member)

    def dealt(self, member: str) -> Dealings:
        """What is counted of a node."""
        dealings = self.dealings.get(member)
        if dealings is None:
            dealings = Dealings()
            self.dealings.put(member, dealings)
        return dealings


def described(entry: Entry) -> str:
    """An entry as the field that other nodes read."""
    return records.dump(entry)


def _authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
