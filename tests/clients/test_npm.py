"""npm, pnpm and yarn through the npm preset."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from aimirror.testing.behaviour import pattern
from aimirror.testing.site import Asked, File
from tests.clients.worlds import WorldTests, find_client

#: Bytes: large enough to be fetched in ranges.
PAYLOAD = 1_500_000


def tarball(name: str, version: str, seed: int, **more: Any) -> bytes:
    """A package as ``npm pack`` makes it."""
    manifest = json.dumps({"name": name, "version": version, **more}).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for path, data in (("package.json", manifest), ("data.bin", pattern(PAYLOAD, seed))):
            info = tarfile.TarInfo(f"package/{path}")
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class NpmCase(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.start({"preset": "npm", "upstream": self.upstream.url, "chunk_size": 300_000})
        self.registry = f"{self.mirror}/registry/npm"
        self.publish("@s/a", 1, dependencies={"b": "^1.0.0"})
        self.publish("b", 2)
        self.upstream.fallback = self.other

    def other(self, asked: Asked) -> File | None:
        """Audit finds nothing; publishing is taken."""
        if asked.target.startswith("/-/npm/v1/security/"):
            return File(b"{}", "application/json")
        return File(b"{}", "application/json") if asked.method == "PUT" else None

    def publish(self, name: str, seed: int, **more: Any) -> str:
        """Put a package on the upstream; the path of its tarball."""
        content = tarball(name, "1.0.0", seed, **more)
        path = f"/{name}/-/{name.rpartition('/')[2]}-1.0.0.tgz"
        sha512 = base64.b64encode(hashlib.sha512(content).digest()).decode()
        dist = {
            "tarball": f"{self.upstream.url}{path}",
            "integrity": f"sha512-{sha512}",
            "shasum": hashlib.sha1(content).hexdigest(),
        }
        version = {"name": name, "version": "1.0.0", "dist": dist, **more}
        document: dict[str, Any] = {
            "name": name,
            "dist-tags": {"latest": "1.0.0"},
            "versions": {"1.0.0": version},
        }
        short = json.dumps(document).encode()
        full = json.dumps({**document, "readme": "full", "time": {}}).encode()
        self.upstream.put(path, content)
        encoded = "/" + name.replace("/", "%2f")
        for each in {encoded, encoded.replace("%2f", "%2F")}:
            self.upstream.put(each, full, "application/json", headers=(("Vary", "Accept"),))
        self.documents = {**getattr(self, "documents", {}), encoded.lower(): (short, full)}
        return path

    def project(self, name: str, token: str = "") -> Path:
        folder = self.fresh(name)
        (folder / "package.json").write_text('{"name": "p", "version": "1.0.0"}')
        (folder / "yarn.lock").touch()  # where yarn 4 takes this folder for a project of its own
        lines = [f"registry={self.registry}/", "fund=false", "update-notifier=false"]
        lines += ["fetch-retries=1", "fetch-retry-mintimeout=100", "fetch-retry-maxtimeout=200"]
        if token:
            lines.append(f"//127.0.0.1:{self.service.port}/registry/npm/:_authToken={token}")
        (folder / ".npmrc").write_text("\n".join(lines))
        return folder

    def npm(self, folder: Path, *words: str, fails: bool = False) -> str:
        command = [find_client("npm"), *words, "--cache", str(folder / "cache")]
        return (self.assertFails if fails else self.assertRuns)(command, folder)

    def assertInstalled(self, folder: Path) -> None:
        for name, seed in (("@s/a", 1), ("b", 2)):
            self.assertHas(folder, name, seed)

    def assertHas(self, folder: Path, name: str, seed: int) -> None:
        data = (folder / "node_modules" / name / "data.bin").read_bytes()
        self.assertTrue(data == pattern(PAYLOAD, seed), name)


class NpmTests(NpmCase):
    def test_npm(self) -> None:
        """npm installs; again without a byte of a tarball, with a token, and with no upstream."""
        first = self.project("first")
        self.npm(first, "install", "@s/a")
        self.assertInstalled(first)
        lock = json.loads((first / "package-lock.json").read_text())
        resolved = [p["resolved"] for p in lock["packages"].values() if "resolved" in p]
        self.assertEqual(len(resolved), 2)
        for url in resolved:
            self.assertTrue(url.startswith(f"{self.registry}/"), url)
        targets = [asked.target for asked in self.upstream.requests]
        self.assertIn("/@s%2fa", targets)
        audit = next(a for a in self.upstream.requests if a.method == "POST")
        body = gzip.decompress(audit.body) if "content-encoding" in audit.headers else audit.body
        self.assertIn("@s/a", json.loads(body))
        self.assertKept(self.upstream.files["/b/-/b-1.0.0.tgz"].content)
        before = self.upstream.total(".tgz")
        for name, token in (("second", ""), ("third", "secret")):
            folder = self.project(name, token)
            self.npm(folder, "install", "@s/a")
            self.assertInstalled(folder)
        self.assertEqual(self.upstream.total(".tgz"), before)
        self.upstream.stop()
        dead = self.project("dead")
        self.npm(dead, "install", "@s/a", "--no-audit")
        self.assertInstalled(dead)

    def test_lock_alone(self) -> None:
        """``npm ci`` from a lock file fetches tarballs that no document was asked for before."""
        folder = self.project("lock")
        self.npm(folder, "install", "@s/a", "--package-lock-only", "--no-audit")
        self.npm(folder, "ci", "--no-audit")
        self.assertInstalled(folder)

    def test_pnpm(self) -> None:
        """pnpm installs through the mirror alone, and again with no upstream."""
        self.installed_twice([find_client("pnpm", "js"), "add", "@s/a", "--ignore-scripts"], "pnpm")

    def test_yarn(self) -> None:
        """yarn 1 installs through the mirror alone, and again with no upstream."""
        self.installed_twice(
            [find_client("yarn", "js"), "add", "@s/a", "--non-interactive"], "yarn"
        )

    def own(self, folder: Path) -> dict[str, str]:
        """The environment of a client that shares nothing with others."""
        return {
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "xdg"),
            "npm_config_store_dir": str(folder / "store"),
            "YARN_CACHE_FOLDER": str(folder / "yarn"),
            "npm_config_registry": f"{self.registry}/",
            "YARN_REGISTRY": f"{self.registry}",
            "YARN_NPM_REGISTRY_SERVER": self.registry,
            "YARN_UNSAFE_HTTP_WHITELIST": "127.0.0.1",
            "YARN_NODE_LINKER": "node-modules",
            "YARN_ENABLE_TELEMETRY": "0",
            "YARN_NPM_MINIMAL_AGE_GATE": "0",
            "YARN_GLOBAL_FOLDER": str(folder / "berry"),
            "BUN_INSTALL": str(folder / "bun"),
            "BUN_INSTALL_CACHE_DIR": str(folder / "bun-cache"),
        }

    def test_berry(self) -> None:
        """yarn 4 installs through the mirror alone, and again with no upstream."""
        self.installed_twice([find_client("yarn", "berry"), "add", "@s/a"], "berry")

    def test_bun(self) -> None:
        """bun installs through the mirror alone, and again with no upstream."""
        self.installed_twice([find_client("bun", "bun"), "add", "@s/a"], "bun")

    def installed_twice(self, command: list[str], name: str) -> None:
        for turn in ("first", "second", "dead"):
            folder = self.project(f"{name}-{turn}")
            own = self.own(folder)
            if turn == "dead":
                self.upstream.stop()
            before = self.upstream.total(".tgz")
            self.assertRuns(command, folder, **own)
            self.assertHas(folder, "@s/a", 1)
            if turn != "first":
                self.assertEqual(self.upstream.total(".tgz"), before)
            self.settle()

    def test_rebuilt(self) -> None:
        """A package that was published anew under its version is followed, by each client."""
        commands = {
            "npm": [find_client("npm"), "install", "b", "--no-audit"],
            "pnpm": [find_client("pnpm", "js"), "add", "b", "--ignore-scripts"],
            "yarn": [find_client("yarn", "js"), "add", "b", "--non-interactive"],
            "berry": [find_client("yarn", "berry"), "add", "b"],
            "bun": [find_client("bun", "bun"), "add", "b"],
        }
        for seed, (name, command) in enumerate(commands.items(), 20):
            for turn, kind in ((f"{name}-old", seed), (f"{name}-new", seed + 100)):
                self.publish("b", kind)
                folder = self.project(turn)
                self.assertRuns(command, folder, **self.own(folder))
                self.assertHas(folder, "b", kind)
                self.purge("/registry/npm/b")

    def test_corrupt(self) -> None:
        """A tarball that is not what its document says is neither installed nor kept."""
        path = self.publish("bad", 3)
        self.upstream.spoil(path)
        folder = self.project("bad")
        self.npm(folder, "install", "bad", "--no-audit", fails=True)
        self.assertNotKept(self.upstream.files[path].content)

    def test_private(self) -> None:
        """What the registry shows to a token alone is given to that token alone."""
        path = self.publish("@s/secret", 4)
        for each in ("/@s%2fsecret", "/@s%2Fsecret", path):
            file = self.upstream.files[each]
            self.upstream.put(each, file.content, file.media_type, authorization="Bearer right")
        folder = self.project("private", "right")
        self.npm(folder, "install", "@s/secret", "--no-audit")
        self.npm(self.project("wrong", "wrong"), "install", "@s/secret", fails=True)
        self.npm(self.project("none"), "install", "@s/secret", fails=True)

    def test_publish(self) -> None:
        """npm publish reaches the upstream with its body."""
        folder = self.project("publish", "token")
        (folder / "package.json").write_text('{"name": "@s/new", "version": "1.0.0"}')
        self.npm(folder, "publish")
        put = next(a for a in self.upstream.requests if a.method == "PUT")
        self.assertEqual((put.target, put.headers["authorization"]), ("/@s%2fnew", "Bearer token"))
        self.assertIn("@s/new-1.0.0.tgz", json.loads(put.body)["_attachments"])
