"""What a request leaves for Python's collector of cyclic garbage: nothing, as it costs time there.

What waits for the collector holds bodies, too.
"""

from __future__ import annotations

import gc
import types
from collections.abc import Iterator
from contextlib import contextmanager

from tests.mirror.test_repeatable import LIFE, SmallCase

#: Requests for the same file by turns, and what they are answered with.
REQUESTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a miss", ()),
    ("a hit", ()),
    ("a hit of another client", ("User-Agent: other",)),
    ("a part", ("Range: bytes=1-2",)),
    ("no part", ("Range: bytes=100-",)),
    ("a condition", ('If-None-Match: "1"',)),
    ("a look upstream", ("Cache-Control: no-cache",)),
    ("another's", ("Authorization: Basic YTpi",)),
)


def ours(thing: object) -> bool:
    """Whether it was made by the product."""
    kind = thing if isinstance(thing, types.FunctionType) else type(thing)
    return kind.__module__.startswith("aimirror.") and "testing" not in kind.__module__


class GarbageTests(SmallCase):
    """Requests through a whole mirror."""

    @contextmanager
    def collected(self) -> Iterator[list[object]]:
        """What of the product is collected of what was made meanwhile."""
        kept: list[object] = []
        gc.collect(1)  # what others left is too old for the look below
        gc.disable()
        try:
            yield kept
            self.upstream.sent.clear()  # which knows who has asked
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect(0)
            kept.extend(each for each in gc.garbage if ours(each))
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

    def test_requests(self) -> None:
        """Each goes when its last user does, where an answer is small and comes whole."""
        for status in (200, 404):
            self.plays(status, LIFE, 'ETag: "1"', "Content-Length: 4")
            for turn in ("first", "again"):  # some of it is made once, and kept
                for name, fields in REQUESTS:
                    with self.collected() as garbage:
                        self.get(f"/{status}{turn}", *fields)
                    if turn == "again":
                        kinds = sorted({type(each).__name__ for each in garbage})
                        self.assertEqual(kinds, [], f"{status}: {name}")
