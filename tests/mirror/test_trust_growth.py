"""Hostile requests and answers through a whole mirror: what they cost grows with their length.

Work is counted in calls of functions, memory at its peak, both while one request is answered; so a
busy machine changes nothing.  What costs more for each byte of a longer text is found.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aimirror.http.egress import Outgoing
from tests.mirror.support import MirrorCase, Played

#: How much longer the long text is than the short one, and how much more it may cost: less than
#: the square, and room for what is done once for each of a few steps.
TIMES = 4
MOST = 7.0
#: Calls and bytes that no text of this length is worth counting below.
CALLS = 4000
BYTES = 400_000
#: Bytes that one request may take for each byte of its text, parsed, stored and sent.
FOR_EACH_BYTE = 200
SHORT = 3000

#: Texts that grow: each of about so many bytes.
Grows = Callable[[int], tuple[str, ...]]
REQUESTS: dict[str, Grows] = {
    "ranges": lambda n: ("Range: bytes=" + ",".join("0-0" for _ in range(n // 4)),),
    "descending ranges": lambda n: (
        "Range: bytes=" + ",".join(f"{i}-{i}" for i in range(n // 8, 0, -1)),
    ),
    "tags": lambda n: ("If-None-Match: " + ", ".join('"x"' for _ in range(n // 5)),),
    "open tag": lambda n: ('If-None-Match: "' + '\\"' * (n // 2),),
    "types": lambda n: ("Accept: " + ",".join("a/b;q=0" for _ in range(n // 8)),),
    "parameters": lambda n: ("Accept: a/b" + ";a=" * (n // 3),),
    "products": lambda n: ("User-Agent: " + "a/1 " * (n // 4),),
    "comments": lambda n: ("User-Agent: " + "(" * n,),
    "wishes": lambda n: ("Cache-Control: " + ",".join("max-age=1" for _ in range(n // 10)),),
    "spaces": lambda n: ("Cache-Control: a" + " " * n + "b",),
    "cookies": lambda n: ("Cookie: " + "a=b; " * (n // 5),),
    "connection": lambda n: ("Connection: " + ",".join(f"x{i}" for i in range(n // 6)),),
    "encodings": lambda n: ("Accept-Encoding: " + "gzip;q=0," * (n // 9),),
    "via": lambda n: ("CDN-Loop: " + "a, " * (n // 3),),
}
ANSWERS: dict[str, Grows] = {
    "varies": lambda n: ("Vary: " + ", ".join(f"x{i}" for i in range(n // 6)),),
    "directives": lambda n: ("Cache-Control: " + ",".join(f"a{i}=1" for i in range(n // 7)),),
    "listed fields": lambda n: ('Cache-Control: no-cache="' + "x, " * (n // 3) + '"',),
    "open quotes": lambda n: ('Cache-Control: a="' + '\\"' * (n // 2),),
    "links": lambda n: ("Link: " + "<a>; rel=b, " * (n // 12),),
    "open links": lambda n: ("Link: " + "<" * n,),
    "cookies": lambda n: tuple(f"Set-Cookie: a{i}=b" for i in range(n // 20)),
    "types": lambda n: ("Content-Type: text/html" + "; a=b" * (n // 5),),
    "encodings": lambda n: ("Content-Encoding: " + "x," * (n // 2),),
    "digests": lambda n: ("Repr-Digest: " + "sha-256=:AA==:, " * (n // 16),),
    "tag": lambda n: ('ETag: "' + "x" * n + '"',),
    "connection": lambda n: ("Connection: " + ",".join(f"x{i}" for i in range(n // 6)),),
    "date": lambda n: ("Last-Modified: " + "Mon, " * (n // 5),),
}
PIECES = st.sampled_from((*'",;=<>()\\ /*', "a", "0", "q=", "bytes=", "max-age=", "\t", "W/"))


class GrowthTests(MirrorCase):
    """One request at a time, each for a path of its own."""

    paths = 0

    def cost(self, request: tuple[str, ...], answer: tuple[str, ...]) -> tuple[int, int]:
        """Calls and bytes that a miss, a hit and a look at what is stale take."""
        GrowthTests.paths += 1
        path = f"/{GrowthTests.paths}"
        self.upstream.handler = lambda outgoing: self.played(outgoing, answer)
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        gc.collect()
        tracemalloc.start()
        sys.setprofile(count)
        try:
            for later in (0, 0, 10_000):
                self.clock.advance(later)
                self.ask(path, *request)
        finally:
            sys.setprofile(None)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return calls, peak

    def played(self, outgoing: Outgoing, answer: tuple[str, ...]) -> Played:
        return Played(200, 'ETag: "v"', "Cache-Control: max-age=60", *answer, body=b"x" * 64)

    def compare(self, name: str, grows: Grows, *, ask: bool) -> None:
        self.cost((), ())  # what is made once
        costs = []
        for length in (SHORT, SHORT * TIMES):
            text = grows(length)
            costs.append(self.cost(text, ()) if ask else self.cost((), text))
        (calls, peak), (more_calls, more_peak) = costs
        self.assertLess(more_calls, max(calls, CALLS) * MOST, name)
        self.assertLess(more_peak, max(peak, BYTES) * MOST, name)
        self.assertLess(more_peak, BYTES + SHORT * TIMES * FOR_EACH_BYTE, name)

    def test_requests(self) -> None:
        """Fields of a request that grow cost no more than their length."""
        for name, grows in REQUESTS.items():
            self.compare(name, grows, ask=True)

    def test_answers(self) -> None:
        """Nor do those of an answer, while it is stored, served and looked at again."""
        for name, grows in ANSWERS.items():
            self.compare(name, grows, ask=False)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    @given(
        st.sampled_from(("Range", "Accept", "Cache-Control", "If-None-Match", "Vary", "Link")),
        st.lists(PIECES, min_size=1, max_size=6),
        st.booleans(),
    )
    def test_any(self, field: str, pieces: list[str], ask: bool) -> None:
        """Whatever is repeated in a field, on either side, grows in the same way."""
        piece = "".join(pieces)
        self.compare(
            f"{field}: {piece!r}", lambda n: (f"{field}: " + piece * (n // len(piece)),), ask=ask
        )
