"""The second tier with real processes and a store that is scripted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

from aimirror.testing import client
from aimirror.testing.processes import own_environment
from tests.e2e.support import CONTENT, LIMIT
from tests.e2e.tier_nodes import CREDENTIALS, NodesCase, TierCase


class CommandTests(TierCase):
    def command(self, action: str, **environment: str) -> tuple[int, str]:
        file = self.folder / "config.yaml"
        rules = [{"name": "r", "upstream": "http://127.0.0.1:1"}]
        file.write_text(json.dumps({"rules": rules, **self.sections}))
        words = [sys.executable, "-m", "aimirror", "tier", action, "-c", str(file)]
        known = {**own_environment(), **CREDENTIALS, **environment}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=known)
        return done.returncode, done.stdout + done.stderr

    def test_check(self) -> None:
        """A good store is taken, a bad one refused with the reason, a wrong key told of."""
        status, said = self.command("check")
        self.assertEqual((status, "NO" in said), (0, False), said)
        self.script.part_as_200 = True
        status, said = self.command("check")
        self.assertEqual(status, 1)
        self.assertIn("can't be used: it is not so that the store answers a range with 206", said)
        status, said = self.command("check", AWS_SECRET_ACCESS_KEY="wrong-and-secret")
        self.assertEqual(status, 1)
        self.assertIn("403 SignatureDoesNotMatch", said)
        self.assertNotIn("wrong-and-secret", said)

    def test_policy(self) -> None:
        """The rights and the rule of the bucket are those of our prefix alone."""
        status, said = self.command("policy")
        self.assertEqual(status, 0)
        self.assertIn('"arn:aws:s3:::bucket/p/*"', said)

    def test_nothing(self) -> None:
        """Without a tier or a key there is one line that says so."""
        self.key.write_text("short")
        status, said = self.command("ls")
        self.assertIn("cluster.key_file", said)
        del self.sections["tier"]
        status, said = self.command("ls")
        self.assertEqual((status, said.count("\n")), (1, 1))
        self.assertIn("there is no tier in it", said)


class NodesTests(NodesCase):
    """Nodes with disks of their own before one origin and one store."""

    def test_warm(self) -> None:
        """What a node that died had stored comes from the store: no byte from the upstream."""
        path = self.filled()
        second = self.node("second")
        reply = second.get(path)
        self.assertWhole(reply)
        self.assertEqual(reply.headers.get("X-Cache"), "TIER")
        self.assertIn('detail="tier"', reply.headers.get("Cache-Status") or "")
        self.assertEqual(self.origin.count(path).requests, 0)
        self.settle(second)
        self.assertEqual(second.get(path).headers.get("X-Cache"), "HIT")
        self.assertEqual(self.number(second, "aimirror_tier_queue "), 0)

    def test_one_stored_once(self) -> None:
        """What came from the store is not sent there again, and a range is served of it."""
        path = self.filled()
        puts = self.script.counts["PUT blobs"]
        second = self.node("second")
        reply = second.get(path, ("Range", "bytes=100-199"))
        self.assertEqual((reply.status, reply.body), (206, CONTENT[100:200]))
        self.sent(second)
        self.assertEqual(self.script.counts["PUT blobs"], puts)

    def test_damaged(self) -> None:
        """A damaged object reaches nobody as a whole file; it goes, and the upstream is asked."""
        path = self.filled()
        second = self.node("second")
        self.script.damages = True
        with self.assertRaises(client.Broken):  # cut off before its last bytes
            self.assertWhole(second.get(path))
        self.settle(second)
        self.assertWhole(second.get(path))
        self.assertGreaterEqual(self.origin.count(path).requests, 1)
        self.assertEqual(self.number(second, "aimirror_tier_bad_total"), 1)

    def test_cut_midway(self) -> None:
        """Bodies of the store that break off are completed by the upstream."""
        path = self.filled()
        second = self.node("second")
        self.script.cut = 300_000
        self.assertWhole(second.get(path))
        self.assertGreater(self.origin.count(path).requests, 0)

    def test_away(self) -> None:
        """A store that is down costs no answer; it is left alone, and nothing is lost."""
        path = self.filled()
        second = self.node("second")
        self.script.away = True
        for number in range(10):
            self.serve(f"/other-{number}")
            self.assertWhole(second.get(f"/other-{number}"))
        self.assertEqual(second.get("/health").json()["tier"], "open")
        self.assertWhole(second.get(path))
        self.settle(second)
        self.assertEqual(self.number(second, "aimirror_tier_queue "), 11)

    def test_lost(self) -> None:
        """A store that was wiped is only slower."""
        path = self.filled()
        second = self.node("second")
        self.script.objects.clear()
        self.assertWhole(second.get(path))
        self.assertGreater(self.origin.count(path).requests, 0)

    def test_stale(self) -> None:
        """What may have changed is confirmed: 304, and no body from the upstream."""
        path = self.serve(etag='"one"', headers=[["Cache-Control", "max-age=0"]])
        first = self.node("first", immutable=False)
        self.assertWhole(first.get(path))
        self.sent(first)
        self.serve(etag='"one"', headers=[["Cache-Control", "max-age=0"]])
        second = self.node("second", immutable=False)
        self.assertWhole(second.get(path))
        count = self.origin.count(path)
        self.assertEqual((count.requests, count.body_bytes), (1, 0))

    def test_orders(self) -> None:
        """What is pinned or purged on one node is so on the other within 20 seconds."""
        signal.alarm(2 * LIMIT)
        kept, gone = self.serve("/kept"), self.serve("/gone")
        nodes = [self.node("first"), self.node("second")]
        for node in nodes:
            for path in (kept, gone):
                self.assertWhole(node.get(path))
            self.settle(node)
        first, second = nodes
        for action, path in (("pin", kept), ("purge", gone)):
            words = [sys.executable, "-m", "aimirror", action, "--config", str(first.config)]
            words += ["--url", f"http://127.0.0.1:{first.port}", self.origin.url + path]
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, env=own_environment()
            )
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        before = time.monotonic()
        entries: dict[str, bool] = {}
        while entries != {kept: True}:
            self.assertLess(time.monotonic() - before, 20, entries)
            time.sleep(0.5)
            stored = second.get("/aimirror/api/entries").json()["entries"]
            entries = {e["url"].removeprefix(self.origin.url): e["pinned"] for e in stored}
