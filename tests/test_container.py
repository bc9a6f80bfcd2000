"""The container's first process, with a stand-in for the service."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import load
from aimirror.server.access import Networks

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


class AdministrationTests(SynchronousTestCase):
    def test_compose(self) -> None:
        """A token in the environment opens the administration to private networks."""
        told = yaml.safe_load((ROOT / "compose.yaml").read_text())
        words = told["services"]["aimirror"]["environment"]
        given = {name: value.partition(":-")[2].rstrip("}") for name, value in words.items()}
        self.assertEqual(given.pop("AIMIRROR_ADMIN_TOKEN"), "")
        admin = load(None, {**given, "AIMIRROR_ADMIN_TOKEN": "e" * 16, "HOME": "/"}).admin
        self.assertTrue(Networks(admin.hosts).admit("172.17.0.1"))
        self.assertFalse(Networks(admin.hosts).admit("203.0.113.1"))
        self.assertEqual(load(None, {**given, "HOME": "/"}).admin.hosts, ())


class ClusterFilesTests(SynchronousTestCase):
    """compose.cluster.yaml and the chart, as far as they can be read without their programs."""

    def test_compose(self) -> None:
        """Each node has a cache and a name of its own, and all have one key and one store."""
        told: Any = yaml.safe_load((ROOT / "compose.cluster.yaml").read_text())
        nodes = {n: s for n, s in told["services"].items() if n.startswith("node")}
        self.assertEqual(len(nodes), 3)
        owns = {node["environment"]["AIMIRROR_SELF"] for node in nodes.values()}
        self.assertEqual(owns, {f"{name}:8081" for name in nodes})
        caches = {node["volumes"][1].partition(":")[0] for node in nodes.values()}
        self.assertEqual(caches, set(told["volumes"]) - {"store"})

    def test_chart(self) -> None:
        """Each value that a template asks for is among the values, and each value is asked for."""
        chart = ROOT / "charts" / "aimirror"
        values: Any = yaml.safe_load((chart / "values.yaml").read_text())
        known = {
            f"{name}.{inner}" if isinstance(value, dict) and value else name
            for name, value in values.items()
            for inner in (value if isinstance(value, dict) and value else ("",))
        }
        asked = {
            name
            for template in (chart / "templates").iterdir()
            for name in re.findall(r"\.Values\.([\w.]+)", template.read_text())
        }
        whole = {name.partition(".")[0] for name in known}
        self.assertEqual({a for a in asked if a not in known and a not in whole}, set())
        read = {k for k in known if k in asked or k.partition(".")[0] in asked}
        self.assertEqual(read, known)

    def test_chart_config(self) -> None:
        """The chart's configuration is the built-in one, to which it adds what makes a cluster."""
        chart = ROOT / "charts" / "aimirror"
        self.assertEqual((chart / "config.yaml").read_text(), (ROOT / "config.yaml").read_text())
        for key in ("cluster:", "tier:"):
            self.assertNotIn(f"\n{key}", (chart / "config.yaml").read_text())
