"""What clients of registries are told, where it is more than one file or depends on its version."""

from __future__ import annotations

import tomllib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.registry import setting
from aimirror.registries.registry import DEFAULTS

URL = "http://mirror:8081"
OLD, NEW = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"


class ContainerdTests(SynchronousTestCase):
    def config(self, before: str) -> dict[str, Any]:
        """The plugins of containerd's own configuration, which is edited where it is there."""
        (_, own), *_ = setting("containerd", URL).also
        self.assertEqual(own.path, "/etc/containerd/config.toml")
        plugins: dict[str, Any] = tomllib.loads(own.merges(before)).get("plugins", {})
        return plugins

    def test_versions(self) -> None:
        """The folder is named to the plugin that pulls, which containerd 2 calls otherwise."""
        for version, plugin in ((2, OLD), (3, NEW)):
            plugins = self.config(f"version = {version}\n")
            folder = {"registry": {"config_path": "/etc/containerd/certs.d"}}
            self.assertEqual(plugins, {plugin: folder})

    def test_left_alone(self) -> None:
        """A folder of one's own stays, and what can't stand beside one."""
        for rest in ('config_path = "/own"', '[plugins."X".registry.mirrors]'):
            before = f'version = 2\n[plugins."{OLD}".registry]\n{rest.replace("X", OLD)}\n'
            self.assertEqual(self.config(before), tomllib.loads(before)["plugins"])
        self.assertEqual(self.config("[plugins.cri]\n"), {"cri": {}})  # version 1


class BuildKitTests(SynchronousTestCase):
    def test_all(self) -> None:
        """Each well-known registry has the mirror, which is spoken to in clear where it has to."""
        for url, plain in ((URL, True), ("https://mirror", False)):
            said = tomllib.loads(setting("buildkit", url).text)["registry"]
            host = url.partition("//")[2]
            for registry in DEFAULTS:
                self.assertEqual(said[registry.name]["mirrors"], [host])
            self.assertIs(said.get(host, {}).get("http", False), plain)
