"""What is imported for what: every command waits for it."""

from __future__ import annotations

import json
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

#: Names of modules that cost: of twisted and of TLS, and what only writes settings of clients.
_NETWORK = ("twisted.internet.tcp", "twisted.web.http", "OpenSSL", "cryptography")
_EDITING = ("tomlkit", "ruamel.yaml")


class ImportTests(SynchronousTestCase):
    def imported(self, code: str) -> set[str]:
        """The modules of a fresh Python after some code."""
        script = f"import sys\n{code}\nimport json; print(json.dumps(sorted(sys.modules)))"
        command = [sys.executable, "-c", script]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        return set(json.loads(ended.stdout.splitlines()[-1]))

    def line(self, *words: str) -> set[str]:
        """The modules after a command line."""
        run = f"from aimirror.cli import main\ntry: main({list(words)})\nexcept SystemExit: pass"
        return self.imported(run)

    def test_light(self) -> None:
        """What needs no configuration reads none, and nothing of the network."""
        for words in (("--version",), ("--help",), ("config",), ("nosuch",)):
            modules = self.line(*words)
            heavy = {"twisted", "attr", "yaml", "aimirror.config", "aimirror.tap"} & modules
            self.assertEqual(heavy, set(), words)

    def test_commands(self) -> None:
        """What speaks to a service reads the configuration, and needs no TLS of Twisted's."""
        for module in ("stored", "watch", "jobs", "prefetch"):
            modules = self.imported(f"import aimirror.commands.{module}")
            self.assertEqual({*_NETWORK, *_EDITING} & modules, set(), module)

    def test_service(self) -> None:
        """A service has no use for what writes settings of clients."""
        modules = self.imported("import aimirror.commands.serve, aimirror.service.service")
        self.assertEqual({*_EDITING} & modules, set())
