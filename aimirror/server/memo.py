"""Answers that a repeat of a request gets without being looked up again.

What a small hit costs is parsing, deciding and header handling, not its bytes; and clients repeat
themselves and each other.  An answer is kept under its likeness, which is what of the request's
head can matter to it: a request that differs in nothing but who sends it gets the same.  An answer
is kept as long as whoever made it said that it holds, and forgotten as soon as what it was made of
changes.  A body that can be read from the disk is in memory only while there is room: clients that
ask for many files in turn must not drive out the answers to all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from attrs import define

from aimirror.bounded import LRU
from aimirror.http.dates import format_date
from aimirror.interfaces import BodyFailed
from aimirror.server.access_log import AccessRecord

#: Bytes of all answers and their keys.
MAX_BYTES = 32 * 1024 * 1024
#: Bytes of one body: up to here, sending from memory beats parsing, opening and sendfile.
MAX_BODY = 256 * 1024
#: Seconds for which a body that is read again and again is taken from memory.
HELD_SECONDS = 30.0
#: Bytes of what of a request's head can matter: longer ones are rarely repeated.
MAX_KEY = 4096
#: What an answer costs beside its bytes.
_OVERHEAD = 1024

_SLASH = re.compile("/")
#: What our own word on how long an answer is fresh ends with, before the seconds.
_TTL = b"aimirror; hit; ttl="


@define(eq=False)
class Remembered:
    """An answer ready for the wire; Date, Age and what is left of its life are of each second."""

    #: Status line and fields, without Age and without Date unless the origin's is kept.
    prefix: bytes
    body: bytes
    #: Whether Date is ours to set.
    dated: bool
    #: Age in seconds when it was made, None when it carries none.
    age: int | None
    #: Epoch seconds.
    made: float
    until: float
    #: What the access log is told.
    record: AccessRecord
    #: Whether it leaves the connection open.
    persistent: bool = True
    #: The keys of the entries that it depends on; one with a slash at its end is for all below it.
    made_of: tuple[str, ...] = ("",)
    #: Has the body from the disk, and is told the time (epoch seconds); raises OSError or
    #: BodyFailed.
    read: Callable[[float], bytes] | None = None
    like: bytes = b""
    uses: int = 0
    #: Epoch seconds until which a body that can be read is taken from memory.
    held_until: float = 0.0
    _second: int = -1
    _head: bytes = b""

    def head(self, now: float) -> bytes:
        """All before the body, as of ``now`` (epoch seconds)."""
        second = int(now)
        if second != self._second:
            self._second = second
            elapsed = max(0, int(now - self.made))
            fields = f"Date: {format_date(now)}\r\n" if self.dated else ""
            if self.age is not None:
                fields += f"Age: {self.age + elapsed}\r\n"
            self._head = b"%b%b\r\n" % (_aged(self.prefix, elapsed), fields.encode("latin-1"))
        return self._head

    def told(self, agent: str, referer: str) -> AccessRecord:
        """What the access log is told of a repeat by this client."""
        record = self.record
        if record.agent != agent or record.referer != referer:
            record = self.record = record._replace(agent=agent, referer=referer)
        return record

    def cost(self) -> int:
        """Bytes that it holds, but for a body that can be read."""
        own = 0 if self.read else len(self.body)
        return 2 * len(self.prefix) + own + sum(map(len, self.made_of)) + _OVERHEAD


def _aged(prefix: bytes, elapsed: int) -> bytes:
    """A head whose last word on the seconds of freshness left is ``elapsed`` seconds older."""
    before, ours, after = prefix.rpartition(_TTL)
    if not ours or not elapsed:
        return prefix
    seconds, end, rest = after.partition(b"\r")
    return b"%b%b%d%b%b" % (before, ours, max(0, int(seconds) - elapsed), end, rest)


def _folders(key: str) -> Iterator[str]:
    """All that a key is below, with the slash."""
    return (key[: match.end()] for match in _SLASH.finditer(key))


class Memo:
    """Answers by likeness; those least recently used are dropped first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held = 0
        self._answers: LRU[bytes, Remembered] = LRU()
        #: Those whose bodies are in memory although they can be read.
        self._bodies: LRU[bytes, Remembered] = LRU()
        #: The likenesses whose answers depend on an entry, or on those below a folder, by key.
        self._made_of: dict[str, set[bytes]] = {}
        #: Changes with every invalidation: an answer begun before one must not be kept.
        self.epoch = 0

    def get(self, like: bytes, now: float) -> Remembered | None:
        """The answer to requests like this, if it still holds at ``now``."""
        answer = self._answers.get(like)
        if answer is None:
            return None
        if now >= answer.until:
            self._drop(like)
            return None
        return answer

    def put(self, like: bytes, answer: Remembered, epoch: int) -> None:
        """Keep an answer; ``epoch`` is what it was when the request began."""
        if epoch != self.epoch or len(answer.body) > MAX_BODY:
            return
        self._drop(like)
        answer.like = like
        self._answers.put(like, answer)
        for key in answer.made_of:
            self._made_of.setdefault(key, set()).add(like)
        self._held += len(like) + answer.cost()
        self._shrink()

    def content(self, answer: Remembered, now: float) -> bytes | None:
        """The body of an answer; None, and the answer dropped, when the disk has it no more.

        One that is used again and again is held for a while: reading it costs a third of a hit.
        """
        if answer.read is None or now < answer.held_until:
            return answer.body
        if answer.body:
            self._let_go(answer)
        try:
            body = answer.read(now)
        except (OSError, BodyFailed):
            self._drop(answer.like)
            return None
        answer.uses += 1
        if answer.uses > 1 and len(body) <= MAX_BODY and self._has_room(len(body), now):
            answer.body, answer.held_until = body, now + HELD_SECONDS
            self._bodies.put(answer.like, answer)
            self._held += len(body)
        return body

    def _has_room(self, size: int, now: float) -> bool:
        """Whether so many bytes more can be held, without a body that was held only now going.

        Of many files that are asked for in turn, some stay; else none would, until it is used.
        """
        while self._bodies and self._held + size > self._max_bytes:
            oldest = self._bodies.peek(self._bodies.oldest())
            if oldest is None or oldest.held_until > now:
                return False
            self._let_go(oldest)
        return self._held + size <= self._max_bytes

    def invalidate(self, made_of: str | None = None) -> None:
        """Forget what depends on an entry, by its key: it was changed or purged; None: all."""
        self.epoch += 1
        if made_of is not None:
            for key in (made_of, *_folders(made_of)):
                for like in tuple(self._made_of.get(key, ())):
                    self._drop(like)
            return
        self._answers.clear()
        self._bodies.clear()
        self._made_of.clear()
        self._held = 0

    def _shrink(self) -> None:
        """Bodies that can be read go first: an answer is worth many of them."""
        while self._held > self._max_bytes:
            if self._bodies:
                self._let_go(self._bodies.peek(self._bodies.oldest()))
            else:
                self._drop(self._answers.oldest())

    def _let_go(self, answer: Remembered | None) -> None:
        """Have no body in memory that can be read."""
        if answer is not None and self._bodies.pop(answer.like) is not None:
            self._held -= len(answer.body)
            answer.body, answer.held_until = b"", 0.0

    def _drop(self, like: bytes) -> None:
        dropped = self._answers.pop(like)
        if dropped is None:
            return
        self._let_go(dropped)
        self._held -= len(like) + dropped.cost()
        for key in dropped.made_of:
            likes = self._made_of.get(key, set())
            likes.discard(like)
            if not likes:
                self._made_of.pop(key, None)

    def __len__(self) -> int:
        return len(self._answers)
