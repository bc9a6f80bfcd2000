"""Answers that an exact repeat of a request gets without being parsed.

What a small hit costs is parsing and header handling, not its bytes; package managers and load
balancers repeat requests to the letter.  An answer is kept under the bytes of the request's head
as long as whoever made it said that it holds, and forgotten as soon as what it was made of changes.
"""

from __future__ import annotations

from collections import OrderedDict

from attrs import define

from aimirror.core.dates import format_date
from aimirror.core.headers import Headers
from aimirror.web.access import Exchange

#: Bytes of all answers and their keys.
MAX_BYTES = 32 * 1024 * 1024
#: Bytes of one body: up to here, sending from memory beats parsing, opening and sendfile.
MAX_BODY = 256 * 1024
#: Bytes of a request's head: longer ones are rarely repeated to the letter.
MAX_KEY = 4096
#: Requests with one of these are answered for one client only, or depend on who sent them.
PERSONAL = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    }
)
#: What an answer costs beside its bytes.
_OVERHEAD = 1024


def repeatable(method: str, headers: Headers) -> bool:
    """Whether an equal request from anybody would get an equal answer."""
    return method == "GET" and "host" in headers and not headers.has_any(PERSONAL)


@define
class Remembered:
    """An answer ready for the wire; Date and Age are set anew each second."""

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
    exchange: Exchange
    #: The key of the entry that it tells of.
    made_of: str = ""
    _second: int = -1
    _wire: bytes = b""

    def wire(self, now: float) -> bytes:
        """The whole answer as of ``now`` (epoch seconds)."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._wire = b"".join((self.prefix, self._changing(now), b"\r\n", self.body))
        return self._wire

    def _changing(self, now: float) -> bytes:
        fields = f"Date: {format_date(now)}\r\n" if self.dated else ""
        if self.age is not None:
            fields += f"Age: {self.age + max(0, int(now - self.made))}\r\n"
        return fields.encode("latin-1")

    def cost(self) -> int:
        """Bytes that it holds: the parts and the assembled whole."""
        return 2 * (len(self.prefix) + len(self.body)) + _OVERHEAD


class Memo:
    """Answers by the bytes of the request's head, least recently used ones dropped first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held = 0
        self._answers: OrderedDict[bytes, Remembered] = OrderedDict()
        #: The heads whose answers were made of an entry, by its key.
        self._made_of: dict[str, set[bytes]] = {}
        #: Changes with every invalidation: an answer begun before one must not be kept.
        self.epoch = 0

    def get(self, key: bytes, now: float) -> Remembered | None:
        """The answer to a request with this head, if it still holds at ``now``."""
        found = self._answers.get(key)
        if found is None:
            return None
        if now >= found.until:
            self._drop(key)
            return None
        self._answers.move_to_end(key)
        return found

    def put(self, key: bytes, answer: Remembered, epoch: int) -> None:
        """Keep an answer; ``epoch`` is what it was when the request began."""
        if epoch != self.epoch or len(key) > MAX_KEY or len(answer.body) > MAX_BODY:
            return
        self._drop(key)
        self._answers[key] = answer
        self._made_of.setdefault(answer.made_of, set()).add(key)
        self._held += len(key) + answer.cost()
        while self._held > self._max_bytes:
            self._drop(next(iter(self._answers)))

    def invalidate(self, made_of: str | None = None) -> None:
        """Forget what was made of an entry, by its key: it was changed or purged; None: all."""
        self.epoch += 1
        if made_of is not None:
            for key in tuple(self._made_of.get(made_of, ())):
                self._drop(key)
            return
        self._answers.clear()
        self._made_of.clear()
        self._held = 0

    def _drop(self, key: bytes) -> None:
        dropped = self._answers.pop(key, None)
        if dropped is None:
            return
        self._held -= len(key) + dropped.cost()
        heads = self._made_of[dropped.made_of]
        heads.discard(key)
        if not heads:
            del self._made_of[dropped.made_of]

    def __len__(self) -> int:
        return len(self._answers)
