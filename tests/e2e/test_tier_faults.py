"""What a store may do to the nodes before it: nothing that a client sees."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from aimirror.store import records
from aimirror.testing import client
from aimirror.testing.processes import RelayProgram, ServiceProgram
from aimirror.tier import names
from aimirror.tier.keys import Keys
from tests.e2e.support import LIMIT, SIZE
from tests.e2e.tier_nodes import NodesCase

KEYS = Keys(("k" * 32,))
#: Entries that wait when a node is killed.
PENDING = 1000


class NetworkTests(NodesCase):
    """A store that is there, and a network that is not."""

    def behind(self, **network: float) -> ServiceProgram:
        """A node that reaches the store over a network of its own."""
        relay = RelayProgram(self.folder / "relay.log", self.store.port, **network)
        self.addCleanup(relay.program.kill)
        self.sections["tier"]["endpoint"] = f"http://127.0.0.1:{relay.port}"
        return self.node("second")

    def test_silent(self) -> None:
        """Connections that fall silent midway: the upstream brings what is missing, soon."""
        path = self.filled()
        # More than the look at the store and the lookup, less than a piece.
        second = self.behind(die_every=1, die_after=150_000)
        began = time.monotonic()
        self.assertWhole(second.get(path))
        self.assertLess(time.monotonic() - began, 20)
        self.assertGreater(self.upstream(path), 0)

    def test_slow(self) -> None:
        """A store that crawls is helped by the upstream, which sends the file hardly twice."""
        path = self.filled()
        second = self.behind(rate=64_000)
        self.assertWhole(second.get(path))
        self.assertGreater(self.upstream(path), 0)
        self.assertLessEqual(self.upstream(path), 1.3 * SIZE)

    def upstream(self, path: str) -> int:
        sent: int = self.origin.count(path).body_bytes
        return sent


class ObjectsTests(NodesCase):
    """Somebody else writes into the bucket."""

    def replace(self, kind: str, data: bytes) -> None:
        for path in self.script.named(kind):
            self.script.objects[path] = data

    def assert_from_upstream(self, path: str) -> None:
        """A new node serves the right file, and all of it is the upstream's."""
        second = self.node("second")
        self.assertWhole(second.get(path))
        self.assertEqual(self.origin.count(path).body_bytes, SIZE)
        self.settle(second)

    def entry(self) -> bytes:
        return self.script.objects[self.script.named("entries")[0]]

    def test_unsigned(self) -> None:
        """An entry that nobody has signed is as none, and so is one of another cluster."""
        path = self.filled()
        said = json.loads(self.entry())["said"]
        self.replace("entries", json.dumps({"said": said, "mac": ""}).encode())
        self.assert_from_upstream(path)

    def test_foreign(self) -> None:
        """So is one that another cluster's key has signed."""
        path = self.filled()
        name = self.script.named("entries")[0].removeprefix("/bucket/p/")
        value = names.opened(name, self.entry(), KEYS)
        assert value is not None
        self.replace("entries", names.sealed(name, value, Keys(("x" * 32,))))
        self.assert_from_upstream(path)

    def test_moved(self) -> None:
        """A signed entry that was put in another's place leads nobody to the other's bytes."""
        path = self.filled()
        other = "/other.bin"
        self.origin.script({path: {"size": SIZE, "seed": 7}, other: {"size": SIZE, "seed": 8}})
        first = self.node("first")
        first.get(other)
        self.sent(first)
        first.program.kill()
        stolen = {path: self.script.objects[path] for path in self.script.named("entries")}
        self.assertEqual(len(stolen), 2)
        for name, data in zip(stolen, reversed(stolen.values()), strict=True):
            self.script.objects[name] = data
        self.assert_from_upstream(path)

    def test_replayed(self) -> None:
        """An old entry of a page, put back, is confirmed as what it is: the new page comes."""
        fields = [["Cache-Control", "max-age=1"]]
        path = self.serve(etag='"old"', headers=fields, seed=3)
        first = self.node("first", immutable=False)
        first.get(path)
        self.sent(first)
        old = dict(self.script.objects)
        self.serve(etag='"new"', headers=fields)
        time.sleep(1.5)
        self.assertWhole(first.get(path))
        self.sent(first)
        first.program.kill()
        self.script.objects.update(old)
        second = self.node("second", immutable=False)
        self.assertWhole(second.get(path))

    def test_other_bytes(self) -> None:
        """A truncated blob, and one that has grown, reach nobody as the whole file."""
        path = self.filled()
        blob = self.script.named("blobs")[0]
        whole = self.script.objects[blob]
        for number, data in enumerate((whole[: SIZE // 2], whole + b"!")):
            self.script.objects[blob] = data
            second = self.node(f"second-{number}")
            try:
                self.assertWhole(second.get(path))
            except client.Broken:  # cut off before its last bytes
                self.settle(second)
                self.assertWhole(second.get(path))
            self.settle(second)
            second.program.kill()

    def test_overloaded(self) -> None:
        """503 to everything costs no answer; after a few nobody asks any more."""
        path = self.filled()
        second = self.node("second")
        self.script.status = 503
        self.script.counts.clear()
        for number in range(20):
            self.serve(f"/other-{number}")
            self.assertWhole(second.get(f"/other-{number}"))
        self.assertLess(sum(self.script.counts.values()), 15)
        self.assertWhole(second.get(path))


class PendingTests(NodesCase):
    def setUp(self) -> None:
        super().setUp()
        signal.alarm(3 * LIMIT)

    def test_killed(self) -> None:
        """A thousand entries that wait when a node is killed are all sent by its next start."""
        self.origin.script({f"/{n}": {"size": 500, "seed": n} for n in range(PENDING)})
        first = self.node("first")
        self.script.status = 503
        with ThreadPoolExecutor(8) as threads:
            replies = threads.map(first.get, [f"/{number}" for number in range(PENDING)])
            self.assertEqual({reply.status for reply in replies}, {200})
        self.settle(first)
        self.assertEqual(self.number(first, "aimirror_tier_queue "), PENDING)
        first.program.kill()
        self.script.status = 0
        again = self.node("first")
        time.sleep(0.5)  # some are under way
        again.program.kill()
        self.sent(self.node("first"))
        self.assertEqual(len(self.script.named("entries")), PENDING)
        self.assertEqual(len(self.script.named("blobs")), PENDING)

    def test_earlier(self) -> None:
        """What was stored before there was a tier, and what an index that is lost knew, is sent."""
        self.origin.script({f"/{n}": {"size": 500, "seed": n} for n in range(20)})
        first = self.node("first", store=False)
        for number in range(10):
            first.get(f"/{number}")
        self.settle(first)
        first.program.stop()
        first = self.node("first")
        self.wait(lambda: len(self.script.named("entries")) == 10)
        self.script.status = 503
        for number in range(10, 20):
            first.get(f"/{number}")
        self.settle(first)
        first.program.kill()
        for path in first.cache.glob("index*"):
            path.unlink()
        self.script.status = 0
        self.node("first")
        self.wait(lambda: len(self.script.named("entries")) == 20)

    def test_bucket(self) -> None:
        """Of all that a node was asked, the bucket has what is for anybody, and nothing else."""
        secret = "sekrit-of-the-client"
        pages: dict[str, dict[str, object]] = {
            "/public": {"size": 900, "seed": 1},
            "/login": {"size": 901, "seed": 2},
            "/store": {"size": 902, "seed": 3, "headers": [["Cache-Control", "no-store"]]},
            "/private": {"size": 903, "seed": 4, "headers": [["Cache-Control", "private"]]},
            "/cookie": {"size": 904, "seed": 5, "headers": [["Set-Cookie", f"s={secret}"]]},
            "/vary": {"size": 905, "seed": 6, "headers": [["Vary", "Authorization"]]},
        }
        self.origin.script(pages)
        node = self.node("first")
        login = ("Authorization", f"Bearer {secret}")
        for path in ("/login", "/vary", "/missing"):
            node.get(path, login)
        for path in (*pages, "/missing"):
            if path not in ("/login", "/vary"):
                node.get(path)
        self.sent(node)
        keys = []
        for path in self.script.named("entries"):
            data = self.script.objects[path]
            self.assertNotIn(secret.encode(), data)
            record = names.unpacked(path.removeprefix("/bucket/p/"), data, KEYS)
            assert isinstance(record, str)
            keys.append(records.load(record).key.removeprefix(self.origin.url))
        self.assertEqual(len(self.script.named("blobs")), len(keys))
        self.assertEqual(sorted(set(keys) - {"/cookie"}), ["/public"])
