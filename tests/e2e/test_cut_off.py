"""SeaweedFS in a network of its own, which loses every packet from one moment on."""

from __future__ import annotations

import os
import subprocess
import time

from twisted.trial.unittest import SkipTest

from tests.clients.worlds import find_client
from tests.e2e.engines import EnginesCase

#: Seconds that a store which is cut off may cost, all requests together.
MOST_LOST = 1.0


class CutOffTests(EnginesCase):
    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("a network of its own needs root")
        self.ip = find_client("ip")
        find_client("iptables")
        super().setUp()
        number = os.getpid() % 250
        self.space = f"aimirror{os.getpid()}"
        inner, outer = f"ami{os.getpid()}", f"amo{os.getpid()}"
        self.host = f"10.213.{number}.2"
        try:
            self.run_ip("netns", "add", self.space)
        except subprocess.CalledProcessError as error:
            raise SkipTest(f"no network of its own: {error.stderr}") from None
        self.addCleanup(self.run_ip, "netns", "del", self.space)
        self.run_ip("link", "add", outer, "type", "veth", "peer", "name", inner)
        self.run_ip("link", "set", inner, "netns", self.space)
        self.run_ip("addr", "add", f"10.213.{number}.1/30", "dev", outer)
        self.run_ip("link", "set", outer, "up")
        self.inside("ip", "addr", "add", f"{self.host}/30", "dev", inner)
        for device in (inner, "lo"):
            self.inside("ip", "link", "set", device, "up")
        self.store = self.start_store()

    def run_ip(self, *words: str) -> None:
        subprocess.run([self.ip, *words], check=True, capture_output=True, text=True)

    def inside(self, *words: str) -> None:
        """A command in the network of the store."""
        self.run_ip("netns", "exec", self.space, *words)

    def wrapped(self, path: str) -> list[str]:
        return [self.ip, "netns", "exec", self.space, path]

    def test_cut_off(self) -> None:
        """It costs a second once, and then nothing; nothing of what was to be sent is lost."""
        old, *paths = [f"/{number}" for number in range(12)]
        self.origin.script({path: {"size": 20_000, "seed": 1} for path in (old, *paths)})
        node = self.node(0, owners=False)
        usual = max(node.get(path).took for path in (old, *paths[:3]))
        self.all_sent(node)
        self.inside("iptables", "-A", "INPUT", "-p", "tcp", "-j", "DROP")
        took = []
        for path in paths[3:]:
            took.append(node.get(path).took)
            time.sleep(0.1)
        self.assertLess(sum(took), MOST_LOST + len(took) * usual, took)
        self.assertLess(max(took[-4:]), usual + 0.2, took)
        self.assertEqual(node.get("/health").json()["tier"], "open")
        self.assertEqual(self.number(node, "aimirror_tier_queue"), len(paths[3:]))
        self.inside("iptables", "-F", "INPUT")
        self.all_sent(node)
