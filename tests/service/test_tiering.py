"""Tier and peers when the configuration is read again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import Config, load
from aimirror.service.tiering import keys, reconfigure
from aimirror.tier.keys import Keys


class ReconfigureTests(SynchronousTestCase):
    def config(self, key: str, peers: str) -> Config:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        (folder / "key").write_text(key)
        file = folder / "config.yaml"
        file.write_text(
            "rules: [{name: a, upstream: 'http://h'},"
            " {name: b, upstream: 'http://h', tier: false}]\n"
            f"cluster: {{key_file: key, peers: {peers}, self: 'a:1'}}\n"
            "tier: {url: 's3://bucket/p', uploads: 7}\n"
        )
        return load(file, {"HOME": "/home/u"})

    def test_taken_up(self) -> None:
        """The secrets, the nodes, the rules and the bounds are those of the file by now."""
        said: dict[str, Any] = {}
        env: Any = SimpleNamespace(
            tier=SimpleNamespace(
                keys=Keys(("o" * 32,)), reconfigure=lambda *words: said.update(tier=words)
            ),
            peers=SimpleNamespace(
                keys=Keys(("o" * 32,)), reconfigure=lambda *words: said.update(peers=words)
            ),
        )
        config = self.config("n" * 32 + "\n" + "o" * 32, "['a:1', 'b:1']")
        reconfigure(env, config, keys(config))
        for each in (env.tier, env.peers):
            self.assertEqual(each.keys.secrets, ("n" * 32, "o" * 32))
        self.assertEqual(said["peers"][1], ("a:1", "b:1"))
        rules, limits, largest = said["tier"]
        self.assertEqual([rule.tier for rule in rules], [True, False])
        self.assertEqual((limits.uploads, largest), (7, None))
