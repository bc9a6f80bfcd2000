"""The second tier with real processes: a store that is scripted, or a real one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from aimirror.testing import client
from aimirror.testing.processes import ServiceProgram, own_environment
from aimirror.testing.s3 import ACCESS, SECRET, Script, Served
from tests.e2e.support import CONTENT, EndToEndTests

CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}


class TierTests(EndToEndTests):
    if find_spec("botocore") is None:
        skip = "botocore is not installed"

    def setUp(self) -> None:
        super().setUp()
        self.script = Script()
        self.store = Served(self.script)
        self.addCleanup(self.store.close)
        self.key = self.folder / "key"
        self.key.write_text("k" * 32)
        self.sections: dict[str, Any] = {
            "cluster": {"key_file": str(self.key)},
            "tier": {"url": "s3://bucket/p", "endpoint": f"http://127.0.0.1:{self.store.port}"},
        }


class CommandTests(TierTests):
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


class NodesTests(TierTests):
    """Nodes with disks of their own before one origin and one store."""

    def node(self, name: str, store: bool = True, **more: Any) -> ServiceProgram:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        sections = self.sections if store else {}
        service = ServiceProgram(folder, [self.rule(**more)], environment=CREDENTIALS, **sections)
        self.addCleanup(service.program.kill)
        if store:
            self.wait(lambda: service.get("/health").json()["tier"] == "closed")
        return service

    def wait(self, ready: Callable[[], bool]) -> None:
        while not ready():
            time.sleep(0.05)

    def number(self, service: ServiceProgram, name: str) -> float:
        """The sum of a metric."""
        lines = service.get("/metrics").body.decode().splitlines()
        found = (line.rpartition(" ") for line in lines if line.startswith(name))
        return sum(float(value) for _, _, value in found)

    def sent(self, service: ServiceProgram) -> None:
        """Wait until all that a node has stored is in the store."""
        self.settle(service)
        self.wait(lambda: self.number(service, "aimirror_tier_queue ") == 0)

    def filled(self, **behaviour: Any) -> str:
        """A path whose file one node has brought into the store, before it died."""
        path = self.serve(**behaviour)
        first = self.node("first")
        self.assertWhole(first.get(path))
        self.sent(first)
        first.program.kill()
        self.serve(**behaviour)  # counts anew
        return path

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

    def test_killed(self) -> None:
        """What was to be sent when a node was killed is sent by its next start."""
        first = self.node("first")
        self.script.status = 503
        for number in range(30):
            self.origin.script({f"/{number}": {"size": 1000, "seed": number}})
            self.assertEqual(first.get(f"/{number}").status, 200)
        self.settle(first)
        waiting = self.number(first, "aimirror_tier_queue ")
        first.program.kill()
        self.script.status = 0
        again = self.node("first")
        self.sent(again)
        self.assertEqual((waiting, len(self.script.named("entries"))), (30, 30))

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

    def test_private(self) -> None:
        """What a login opened is in no bucket, neither its bytes nor its entry."""
        path = self.serve()
        first = self.node("first")
        self.assertWhole(first.get(path, ("Authorization", "Bearer secret")))
        self.settle(first)
        public = self.serve("/public.bin")
        self.assertWhole(first.get(public))
        self.sent(first)
        self.assertEqual(len(self.script.named("entries")), 1)
