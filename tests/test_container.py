"""The container's first process, with a stand-in for the service."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
#: Whom the service runs as in the container.
USER = 10001

_STAND_IN = '#!/bin/sh\necho "$(id -u) $(id -g) $*"\ntouch "$CACHE_DIRECTORY/made" ../made\n'


class EntryPointTests(SynchronousTestCase):
    def setUp(self) -> None:
        # Not below the tests' own folder, which the service's user may not be let into.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.folder.chmod(0o755)
        self.cache = self.folder / "data" / "cache"
        stand_in = self.folder / "aimirror"
        stand_in.write_text(_STAND_IN)
        stand_in.chmod(0o755)

    def enter(self, *prefix: str) -> str:
        """What the service is started as, and with."""
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        entered = subprocess.run(
            [*prefix, str(ROOT / "docker-entrypoint.sh"), "--config", "a b"],
            env={"PATH": path, "CACHE_DIRECTORY": str(self.cache)},
            cwd=self.cache,
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual(entered.returncode, 0, entered.stderr)
        return entered.stdout

    def test_folders(self) -> None:
        """Folders that Docker made for root become the service's; another user stays itself."""
        self.cache.mkdir(parents=True)
        who = f"{os.getuid()} {os.getgid()}" if os.getuid() else f"{USER} {USER}"
        self.assertEqual(self.enter(), f"{who} --config a b\n")
        for folder in (self.cache, self.cache.parent):
            made = folder / "made"
            self.assertEqual(made.stat().st_uid, int(who.split()[0]))

    def test_image(self) -> None:
        """The image has the entry point's user, and the folder that it speaks of."""
        image = (ROOT / "Dockerfile").read_text()
        self.assertIn(f"useradd --uid {USER} ", image)
        self.assertIn(f"\nuser={USER}\n", (ROOT / "docker-entrypoint.sh").read_text())
        self.assertIn("CACHE_DIRECTORY=/data/fast_proxy/cache", image)
        self.assertIn('ENTRYPOINT ["docker-entrypoint.sh"]', image)
        self.assertTrue(os.access(ROOT / "docker-entrypoint.sh", os.X_OK))
