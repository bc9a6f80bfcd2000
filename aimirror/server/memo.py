"""Answers that a repeat of a request gets without being looked up again.

What a small hit costs is parsing, deciding and header handling, not its bytes; and clients repeat
themselves and each other.  An answer is kept under what of the request's head can matter to it: a
request that differs in nothing but who sends it gets the same.  A repeat to the letter is known by
its bytes and not even parsed.  An answer is kept as long as whoever made it said that it holds,
and forgotten as soon as what it was made of changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from attrs import define, evolve

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
#: Bytes of a request's head: longer ones are rarely repeated.
MAX_KEY = 4096
#: What an answer, and a request that gets it, costs beside its bytes.
_OVERHEAD = 1024
_REPEAT_OVERHEAD = 512


_SLASH = re.compile("/")
#: Our own word on how long an answer is fresh, the last in its line.
_TTL = re.compile(rb"(\r\nCache-Status: [^\r]*\baimirror; hit; ttl=)([0-9]{1,10})\b")


def _less(match: re.Match[bytes], elapsed: int) -> bytes:
    return b"%b%d" % (match[1], max(0, int(match[2]) - elapsed))


@define
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
    #: Has the body from the disk, where it is not held; raises OSError or BodyFailed.
    read: Callable[[], bytes] | None = None
    like: str = ""
    uses: int = 0
    _second: int = -1
    _head: bytes = b""

    def head(self, now: float) -> bytes:
        """All before the body, as of ``now`` (epoch seconds)."""
        second = int(now)
        if second != self._second:
            self._second = second
            elapsed = max(0, int(now - self.made))
            prefix = _TTL.sub(lambda age_field: _less(age_field, elapsed), self.prefix)
            self._head = b"".join((prefix, self._changing(now), b"\r\n"))
        return self._head

    def _changing(self, now: float) -> bytes:
        fields = f"Date: {format_date(now)}\r\n" if self.dated else ""
        if self.age is not None:
            fields += f"Age: {self.age + max(0, int(now - self.made))}\r\n"
        return fields.encode("latin-1")

    def cost(self) -> int:
        """Bytes that it holds."""
        keys = sum(len(key) for key in self.made_of)
        return 2 * len(self.prefix) + len(self.body) + keys + _OVERHEAD


def _folders(key: str) -> Iterator[str]:
    """All that a key is below, with the slash."""
    return (key[: match.end()] for match in _SLASH.finditer(key))


@define
class Repeat:
    """A request that was answered from here: whose answer it gets, and what the log is told."""

    like: str
    record: AccessRecord


class Memo:
    """Answers by likeness, and heads to the letter; those least recently used are dropped first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held = 0
        self._answers: LRU[str, Remembered] = LRU()
        #: By the bytes of a head, its origin before them.
        self._repeats: LRU[bytes, Repeat] = LRU()
        #: The likenesses whose answers depend on an entry, or on those below a folder, by key.
        self._made_of: dict[str, set[str]] = {}
        #: Changes with every invalidation: an answer begun before one must not be kept.
        self.epoch = 0

    def repeat(self, raw: bytes, now: float) -> tuple[Remembered, AccessRecord] | None:
        """The answer to a head that was here before to the letter, if it still holds at ``now``."""
        known = self._repeats.get(raw)
        if known is None:
            return None
        answer = self.get(known.like, now)
        if answer is None:
            self._forget(raw)
            return None
        return answer, known.record

    def get(self, like: str, now: float) -> Remembered | None:
        """The answer to requests like this, if it still holds at ``now``."""
        answer = self._answers.get(like)
        if answer is None:
            return None
        if now >= answer.until:
            self._drop(like)
            return None
        return answer

    def put(self, like: str, answer: Remembered, epoch: int) -> None:
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
        if answer.read is None:
            return answer.body
        try:
            body = answer.read()
        except (OSError, BodyFailed):
            self._drop(answer.like)
            return None
        answer.uses += 1
        if answer.uses > 1 and len(body) <= MAX_BODY:
            until = min(answer.until, now + HELD_SECONDS)
            self.put(answer.like, evolve(answer, body=body, read=None, until=until), self.epoch)
        return body

    def note(self, raw: bytes, like: str, record: AccessRecord) -> None:
        """A head that is to get, to the letter, what is kept for its like."""
        if len(raw) > MAX_KEY or like not in self._answers:
            return
        self._forget(raw)
        self._repeats.put(raw, Repeat(like, record))
        self._held += len(raw) + _REPEAT_OVERHEAD
        self._shrink()

    def invalidate(self, made_of: str | None = None) -> None:
        """Forget what depends on an entry, by its key: it was changed or purged; None: all."""
        self.epoch += 1
        if made_of is not None:
            for key in (made_of, *_folders(made_of)):
                for like in tuple(self._made_of.get(key, ())):
                    self._drop(like)
            return
        self._answers.clear()
        self._repeats.clear()
        self._made_of.clear()
        self._held = 0

    def _shrink(self) -> None:
        """Heads go first where they hold more than a quarter: an answer is worth many of them."""
        while self._held > self._max_bytes:
            if self._repeats and len(self._repeats) * _REPEAT_OVERHEAD * 8 > self._max_bytes:
                self._forget(self._repeats.oldest())
            elif self._answers:
                self._drop(self._answers.oldest())
            else:
                self._forget(self._repeats.oldest())

    def _forget(self, raw: bytes) -> None:
        if self._repeats.pop(raw) is not None:
            self._held -= len(raw) + _REPEAT_OVERHEAD

    def _drop(self, like: str) -> None:
        dropped = self._answers.pop(like)
        if dropped is None:
            return
        self._held -= len(like) + dropped.cost()
        for key in dropped.made_of:
            likes = self._made_of.get(key, set())
            likes.discard(like)
            if not likes:
                self._made_of.pop(key, None)

    def __len__(self) -> int:
        return len(self._answers)
