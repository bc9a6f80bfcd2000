"""Snapshotters that read a layer lazily: its end first, then here and there (stargz, SOCI)."""

from __future__ import annotations

import hashlib

from aimirror.testing import client
from aimirror.testing.behaviour import pattern
from tests.e2e.test_oci import NAME, OciTests

#: Bytes of the layer, of its footer, and of one file in it; a connection's bytes per second.
LAYER, FOOTER, FILE = 200_000_000, 65_536, 20_000
RATE = 1_000_000
#: Seconds from a request to its header at the registry.
ROUND_TRIP = 0.6
#: Where files are read, one after the other.
PLACES = tuple(LAYER // 11 * n + 12_345 for n in (7, 2, 9, 1, 5, 10, 3, 8, 4, 6))


class LazyTests(OciTests):
    def setUp(self) -> None:
        super().setUp()
        self.content = pattern(LAYER, 9)
        path = f"/v2/{NAME}/blobs/sha256:{hashlib.sha256(self.content).hexdigest()}"
        behaviour = {"size": LAYER, "seed": 9, "rate": RATE, "delay": ROUND_TRIP}
        self.registry.script({path: behaviour})
        self.path = path

    def read(self, port: int, place: int, size: int = FILE) -> float:
        """Seconds that a span takes, which must be right; a negative place is before the end."""
        said = f"bytes={place}-{place + size - 1}" if place >= 0 else f"bytes={place}"
        reply = client.request(port, self.path, [("Range", said)])
        start = place % LAYER
        self.assertEqual(reply.status, 206)
        self.assertEqual(reply.body, self.content[start : start + size])
        return reply.took

    def test_cold(self) -> None:
        """The footer of a cold layer comes within two round trips, files as fast as from there.

        Ten of them, though all of a download's connections are busy with other parts of it.
        """
        direct = [self.read(self.registry.port, place) for place in PLACES[:3]]
        service = self.mirror()
        footer = self.read(service.port, -FOOTER, FOOTER)
        self.assertLess(footer, 3 * ROUND_TRIP)  # two, and what a busy machine takes
        files = [self.read(service.port, place) for place in PLACES]
        self.assertLess(sum(files), 2 * len(files) * sum(direct) / len(direct))

    def test_not_kept(self) -> None:
        """Of a layer that is too large to be kept, what is read is fetched, and little more."""
        service = self.mirror(cache={"max_size_gb": 0.1})
        self.read(service.port, -FOOTER, FOOTER)
        for place in PLACES[:3]:
            self.read(service.port, place)
        self.assertLess(self.registry.count(self.path).body_bytes, LAYER // 10)
