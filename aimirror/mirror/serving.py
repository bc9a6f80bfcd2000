"""Answers made of entries: their fields, bodies as this client gets them, how long they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import evolve

from aimirror.caching import caching
from aimirror.caching.caching import Forward, Handling
from aimirror.caching.entries import Entry
from aimirror.caching.freshness import must_validate
from aimirror.http.headers import Headers
from aimirror.interfaces import BodyFailed, IBody, ILibrary, IStoredBody
from aimirror.mirror.ecosystem import Lookup
from aimirror.mirror.transforms import Transforms
from aimirror.routing.policies import STALE_IF_ERROR, CachePolicy
from aimirror.server.answers import Again, Answer
from aimirror.server.likeness import NEUTRAL

if TYPE_CHECKING:
    pass

#: Bytes of a stored body that is sent from memory.
IN_MEMORY = 256 << 10
#: Seconds for which a repeat of a request is answered without a look at the store.
MEMO_SECONDS = 30.0
#: Seconds for which it is where the file is looked at each time, and nothing else can matter.
REPEATABLE_SECONDS = 3600.0
#: Seconds within which a use of what is used again and again is noted once.
USED_EVERY = 60.0
#: Request fields that ask for something else than the whole stored answer.
_PARTIAL = frozenset({"range", "if-range"})
_WISHES = frozenset({"cache-control", "pragma"})


class Damaged(Exception):
    """The stored body of an entry is not there or can't be read; the entry was dropped."""


class Serving:
    """Makes answers of entries."""

    def __init__(self, library: ILibrary, transforms: Transforms) -> None:
        self._library = library
        self._transforms = transforms

    def now(self) -> float:
        """Epoch seconds."""
        return self._library.now()

    async def hit(self, lookup: Lookup, entry: Entry, outcome: str, handling: Handling) -> Answer:
        """The answer from a stored entry.

        Raises Damaged when its body is not there any more.
        """
        lookup.decline(entry)
        try:
            stored = self._stored(entry)
            small = stored is not None and stored.size <= IN_MEMORY
            body = stored.data() if stored is not None and small else stored
            self._library.used(entry)
            read = stored.file.read if stored is not None and small else None
            body = b"" if body is None else body
            return await self.made(lookup, entry, body, outcome, handling, read)
        except (BodyFailed, OSError) as error:
            self._library.drop(entry)
            raise Damaged from error

    def _stored(self, entry: Entry) -> IStoredBody | None:
        stored = self._library.body(entry)
        if stored is None and entry.blob:
            raise BodyFailed("the stored body is gone")
        return stored

    async def made(
        self,
        lookup: Lookup,
        entry: Entry,
        body: IBody | bytes | None,
        outcome: str,
        handling: Handling,
        read: Callable[[], bytes] | None = None,
    ) -> Answer:
        """The answer with a body that is stored, arrives, or (HEAD) is left out.

        Links lead to the mirror, text is compressed.  A repeat of the request may get the same
        as long as the entry needs no question; ``read`` has the body again, which is stored: many
        clients ask for one small file after another, and memory does not hold them all.
        """
        changes, mirror = self._library.changes, lookup.request.mirror
        served = self._served(lookup, entry)
        headers = _worded(served, outcome, handling)
        if "location" in entry.headers:
            headers = self._transforms.located(lookup.route, headers, mirror)
            read = None
        stored = handling.stored
        ttl = self.ttl(lookup, entry) if stored and read is not None else handling.ttl
        left = self._left(lookup, entry, ttl) if entry.blob and (read or not stored) else 0.0
        answer = Answer(
            status=entry.status,
            headers=headers,
            body=body,
            memo_until=lookup.now + min(MEMO_SECONDS, left) if left and not stored else 0.0,
            memo_of=entry.key,
        )
        change = self._transforms.change(lookup.route, answer, lookup.request.headers, mirror)
        if change is not None:
            blob = "" if stored else entry.blob
            carrying = self._transforms.carry_out(lookup.request, answer, change, blob, entry.blob)
            answer = await carrying
        if read is None or not left or not isinstance(answer.body, bytes):
            return answer
        hit = answer.headers
        if outcome != "HIT":  # has just been stored, or confirmed
            hit = _worded(served, "HIT", Handling(ttl=ttl))
            hit = hit if change is None else change.headers(hit)
        if change is not None and change.of_bytes:
            read = self._transforms.reading(entry.blob, change, read)
        again = Again(
            headers=hit,
            beside=(answer.headers, answer.body),
            read=self._noting(entry, lookup.now, len(answer.body), read),
            holds=lambda: self._library.changes == changes,
            otherwise=answer.memo_until,
        )
        most = REPEATABLE_SECONDS if lookup.request.settled else MEMO_SECONDS
        return evolve(answer, memo_until=lookup.now + min(most, left), again=again)

    def _noting(
        self, entry: Entry, noted: float, size: int, read: Callable[[], bytes]
    ) -> Callable[[float], bytes]:
        """Reads a body of ``size`` bytes again, and notes now and then that it was used.

        Its last use was ``noted`` (epoch seconds).
        """
        library = self._library
        identity = Entry(key=entry.key, scope=entry.scope, variant=entry.variant)

        def read_again(now: float) -> bytes:
            nonlocal noted
            content = read()
            if len(content) != size:
                raise BodyFailed(f"the body of {identity.key} is not what it was")
            if now - noted >= USED_EVERY:
                noted = now
                library.used(identity)
            return content

        return read_again

    def _served(self, lookup: Lookup, entry: Entry) -> tuple[Headers, str]:
        """The stored fields without those on caches, and what other caches have said."""
        before = entry.headers.joined("cache-status") or ""
        if before or "x-cache" in entry.headers:
            entry = evolve(entry, headers=entry.headers.without("cache-status", "x-cache"))
        return caching.serve(entry, lookup.now), before

    def _left(self, lookup: Lookup, entry: Entry, ttl: float | None) -> float:
        """Seconds for which a repeat may get the same, 0 for none; ``ttl`` where it is known."""
        fields = lookup.request.headers
        wishes = fields.has_any(_PARTIAL) or (lookup.rule.obeys_clients and fields.has_any(_WISHES))
        if entry.scope or wishes or must_validate(entry, lookup.rule.cache):
            return 0.0
        if any(_by_client(each) for each in self._library.at(entry.key).entries):
            return 0.0
        left = ttl
        if left is None:
            left = caching.remaining(entry, lookup.rule.cache, lookup.now)
        return max(0.0, left)

    def ttl(self, lookup: Lookup, entry: Entry) -> float | None:
        """Seconds of freshness left, None where that means nothing."""
        return told(entry, caching.remaining(entry, lookup.rule.cache, lookup.now))

    # -- in place of a failure -----------------------------------------------------------------

    def may_be_stale(self, lookup: Lookup, entry: Entry | None, status: int | None) -> bool:
        """Whether an entry may stand in for an upstream that failed (``status`` None: altogether).

        What only a credential gives a right to does so for the rule's ``private_grace`` alone: the
        upstream knows whether it still may be had.
        """
        if entry is None:
            return False
        if entry.scope:
            failed = status is None or status == 429 or status >= 500
            return failed and self.now() - entry.received_at <= lookup.rule.cache.private_grace
        policy = _patient(lookup.rule.cache)
        return caching.on_error(entry, status, policy, self.now(), lookup.headers)

    async def stale(
        self, lookup: Lookup, entry: Entry, forward: Forward, status: int | None, detail: str
    ) -> Answer:
        """The answer from an entry in place of a failure; as ``hit``."""
        lookup = evolve(lookup, now=self.now())
        handling = Handling(
            forward=forward,
            forward_status=status,
            ttl=self.ttl(lookup, entry),
            detail=detail or "stale",
        )
        return await self.hit(lookup, entry, "STALE", handling)


def told(entry: Entry, left: float) -> float | None:
    """Seconds of freshness left as a client is told of them, None where that means nothing."""
    return None if entry.immutable or left > 1e9 else left


def _worded(served: tuple[Headers, str], outcome: str, handling: Handling) -> Headers:
    """Fields with our own words on how the cache came to answer."""
    fields, before = served
    ours = caching.cache_status(handling)
    ours = f"{before}, {ours}" if before else ours
    return Headers([*fields, ("X-Cache", outcome), ("Cache-Status", ours)])


def _by_client(entry: Entry) -> bool:
    """Whether fields choose among answers that the memo takes for neutral."""
    return "vary" in entry.headers and not NEUTRAL.isdisjoint(entry.headers.tokens("vary"))


def _patient(policy: CachePolicy) -> CachePolicy:
    if policy.stale_if_error is not None:
        return policy
    return evolve(policy, stale_if_error=STALE_IF_ERROR)
