"""The second tier with real processes: a store that is scripted, or a real one."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from aimirror.testing.processes import own_environment
from aimirror.testing.s3 import ACCESS, SECRET, Script, Served
from tests.e2e.support import EndToEndTests

CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}


class TierTests(EndToEndTests):
    if find_spec("botocore") is None:
        skip = "botocore is not installed"

    def setUp(self) -> None:
        super().setUp()
        self.folder.mkdir(parents=True, exist_ok=True)
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
