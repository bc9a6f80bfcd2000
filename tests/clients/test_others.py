"""Cargo and Go with their real clients; apk, rpm and Homebrew by what their clients ask."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from aimirror.testing.behaviour import pattern
from tests.clients.worlds import WorldTests, find_client
from tests.ecosystems.test_apk import index, package

DATA = pattern(1_200_000, 14)
HEX = hashlib.sha256(DATA).hexdigest()


def preset(name: str, url: str) -> dict[str, Any]:
    return {"preset": name, "upstream": url, "chunk_size": 300_000}


class CargoTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.cargo = find_client("cargo")
        files, index = f"{self.upstream.url}/files", f"{self.upstream.url}/index"
        common = {"ecosystem": "cargo", "strip_prefix": True}
        rewrite = {"content_types": ["json", "octet-stream"]}
        self.start(
            {
                **common,
                "name": "files",
                "path_prefix": "/crates-files",
                "upstream": files,
                "strategy": "parallel",
                "immutable": True,
            },
            {
                **common,
                "name": "index",
                "path_prefix": "/crates",
                "upstream": index,
                "content_rewrite": rewrite,
                "cache": {"stale_if_error": "7d"},
            },
        )
        config = json.dumps({"dl": files, "api": self.upstream.url})
        self.upstream.put("/index/config.json", config.encode(), "application/json")
        self.publish(DATA)

    def publish(self, content: bytes) -> None:
        """Put the crate on the upstream, and what its index says of it."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
            manifest = b'[package]\nname = "tool"\nversion = "1.0.0"\nedition = "2021"\n'
            for path, data in (("Cargo.toml", manifest), ("src/lib.rs", b""), ("d.bin", content)):
                info = tarfile.TarInfo(f"tool-1.0.0/{path}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        self.path = "/files/tool/1.0.0/download"
        self.upstream.put(self.path, out.getvalue())
        cksum = hashlib.sha256(out.getvalue()).hexdigest()
        line = {"name": "tool", "vers": "1.0.0", "deps": [], "cksum": cksum, "features": {}}
        text = json.dumps({**line, "yanked": False}) + "\n"
        self.upstream.put("/index/to/ol/tool", text.encode(), "text/plain")

    def fetch(self, name: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(name)
        (folder / "src").mkdir()
        (folder / "src/lib.rs").touch()
        (folder / "Cargo.toml").write_text(
            '[package]\nname = "p"\nversion = "1.0.0"\nedition = "2021"\n'
            '[dependencies]\ntool = "1"\n'
        )
        (folder / ".cargo").mkdir()
        (folder / ".cargo/config.toml").write_text(
            '[source.crates-io]\nreplace-with = "m"\n'
            f'[source.m]\nregistry = "sparse+{self.mirror}/crates/"\n[net]\nretry = 0\n'
        )
        own = {"CARGO_HOME": str(folder / "home")}
        home = os.environ.get("HOME", "/")
        own["RUSTUP_HOME"] = os.environ.get("RUSTUP_HOME", f"{home}/.rustup")
        return [self.cargo, "fetch"], folder, own

    def test_cargo(self) -> None:
        """cargo fetches; again without a byte of a crate, and with no upstream."""
        for turn in ("first", "second", "dead"):
            before = self.upstream.total("/download")
            if turn == "dead":
                self.upstream.stop()
            command, folder, own = self.fetch(turn)
            self.assertRuns(command, folder, **own)
            self.assertKept(self.upstream.files[self.path].content)
            if turn != "first":
                self.assertEqual(self.upstream.total("/download"), before)

    def test_corrupt(self) -> None:
        """A crate that is not what the index says is neither used nor kept."""
        self.upstream.spoil(self.path)
        command, folder, own = self.fetch("bad")
        self.assertFails(command, folder, **own)
        self.assertNotKept(self.upstream.files[self.path].content)

    def test_rebuilt(self) -> None:
        """A crate that was made anew under its version is followed."""
        for name, content in (("old", DATA), ("new", DATA[::-1])):
            self.publish(content)
            command, folder, own = self.fetch(name)
            self.assertRuns(command, folder, **own)
            (file,) = folder.rglob("d.bin")
            self.assertTrue(file.read_bytes() == content)
            self.purge("/crates/to/ol/tool")


def h1(files: dict[str, bytes]) -> str:
    """What go.sum says of files by name."""
    lines = "".join(f"{hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in sorted(files.items()))
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()


class GoTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.go = find_client("go")
        self.start(preset("go", self.upstream.url))
        module = b"module example.org/Tool\n"
        base = "example.org/Tool@v1.0.0"
        files = {f"{base}/go.mod": module, f"{base}/d.bin": DATA}
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            for name, data in files.items():
                file.writestr(name, data)
        info = b'{"Version": "v1.0.0", "Time": "2024-01-01T00:00:00Z"}'
        # Old clients write the mark of a capital letter to the letter, newer ones encode it.
        for place in ("/example.org/!tool/@v", "/example.org/%21tool/@v"):
            self.upstream.put(f"{place}/list", b"v1.0.0\n", "text/plain")
            self.upstream.put(f"{place}/v1.0.0.info", info, "application/json")
            self.upstream.put(f"{place}/v1.0.0.mod", module, "text/plain")
            self.upstream.put(f"{place}/v1.0.0.zip", out.getvalue())
        self.record = f"example.org/Tool v1.0.0 {h1(files)}\n"
        self.record += f"example.org/Tool v1.0.0/go.mod {h1({'go.mod': module})}\n"

    def sign(self) -> str:
        """Put a checksum database of this one module on the upstream; the key that proves it."""
        name = "sum.example.org"
        key = ed25519.Ed25519PrivateKey.generate()
        public = b"\x01" + key.public_key().public_bytes_raw()
        number = hashlib.sha256(f"{name}\n".encode() + public).digest()[:4]
        leaf = hashlib.sha256(b"\x00" + self.record.encode()).digest()
        tree = f"go.sum database tree\n1\n{base64.b64encode(leaf).decode()}\n"
        signature = base64.b64encode(number + key.sign(tree.encode())).decode()
        note = f"{tree}\n\u2014 {name} {signature}\n"
        base = f"/sumdb/{name}"
        self.upstream.put(f"{base}/supported", b"")
        self.upstream.put(f"{base}/latest", note.encode())
        for tool in ("!tool", "%21tool"):
            path = f"{base}/lookup/example.org/{tool}@v1.0.0"
            self.upstream.put(path, f"0\n{self.record}\n{note}".encode())
        self.upstream.put(f"{base}/tile/8/0/000.p/1", leaf)
        return f"{name}+{number.hex()}+{base64.b64encode(public).decode()}"

    def download(self, turn: str, **own: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(turn)
        command = [self.go, "mod", "download", "-modcacherw", "example.org/Tool@v1.0.0"]
        own |= {"GOPROXY": f"{self.mirror}/goproxy", "GOFLAGS": "-mod=mod"}
        return command, folder, {**own, "GOPATH": str(folder / "go")}

    def three(self, **own: str) -> None:
        for turn in ("first", "second", "dead"):
            before = self.upstream.total(".zip")
            if turn == "dead":
                self.upstream.stop()
            command, folder, environment = self.download(turn, **own)
            self.assertRuns(command, folder, **environment)
            self.settle()
            if turn != "first":
                self.assertEqual(self.upstream.total(".zip"), before)

    def test_go(self) -> None:
        """go downloads a module; again without a byte of its zip, and with no upstream."""
        self.three(GONOSUMDB="*")

    def test_checksum_database(self) -> None:
        """So it does where it asks the checksum database, which the mirror passes on."""
        self.three(GOSUMDB=self.sign())
        asked = [a.target for a in self.upstream.requests]
        self.assertIn("/sumdb/sum.example.org/supported", asked)

    def test_untrue(self) -> None:
        """A database whose word differs is heard through the mirror, too."""
        self.record = self.record.replace("h1:", "h1:AAAA", 1)
        command, folder, own = self.download("bad", GOSUMDB=self.sign())
        self.assertIn("checksum mismatch", self.assertFails(command, folder, **own))


class AskedTests(WorldTests):
    """What these clients ask, and that files stay when the upstream is gone."""

    def check(self, name: str, prefix: str, file: str, index: str) -> None:
        self.start(preset(name, f"{self.upstream.url}/u"))
        self.upstream.put(f"/u{file}", DATA)
        self.upstream.put(f"/u{index}", b"one" * 10, "text/plain")
        self.assertEqual(self.service.get(prefix + index).body, b"one" * 10)
        for _ in range(2):
            self.assertTrue(self.service.get(prefix + file).body == DATA)
            self.settle()
        self.assertKept(DATA)
        sent = self.upstream.total(file)
        self.upstream.stop()
        self.assertTrue(self.service.get(prefix + file).body == DATA)
        self.assertEqual(self.service.get(prefix + index).body, b"one" * 10)
        self.assertEqual(self.upstream.total(file), sent)

    def test_alpine(self) -> None:
        """apk: a package and its index."""
        folder = "/v3.20/main/x86_64"
        self.check("alpine", "/alpine", f"{folder}/a-1.0-r0.apk", f"{folder}/APKINDEX.tar.gz")

    def test_alpine_packages(self) -> None:
        """apk: a package that was built anew is followed, one that is damaged refused."""
        self.start(preset("alpine", self.upstream.url))
        folder = "/v3.20/main/x86_64"
        listed = f"{folder}/APKINDEX.tar.gz"
        for content in (DATA, DATA[::-1]):
            file, part = package(content)
            self.upstream.put(listed, index(part))
            self.upstream.put(f"{folder}/a-1.0-r0.apk", file)
            self.assertEqual(self.service.get(f"/alpine{listed}").body, index(part))
            for _ in range(2):
                self.assertTrue(self.service.get(f"/alpine{folder}/a-1.0-r0.apk").body == file)
            self.purge(f"/alpine{listed}")
        self.service.get(f"/alpine{listed}")
        path = f"{folder}/b-2-r1.apk"
        self.upstream.put(path, file)
        self.upstream.spoil(path)
        self.assertFails(["curl", "-fsS", "-o", "x", f"{self.mirror}/alpine{path}"])
        self.assertNotKept(self.upstream.files[path].content)

    def test_rpm(self) -> None:
        """dnf: repodata by digest, and repomd.xml."""
        file = f"/os/repodata/{HEX}-primary.xml.gz"
        self.check("rpm", "/fedora", file, "/os/repodata/repomd.xml")

    def test_rpm_corrupt(self) -> None:
        """Repodata that differs from the digest in its name is not kept."""
        self.start(preset("rpm", self.upstream.url))
        path = f"/os/repodata/{HEX}-primary.xml.gz"
        self.upstream.put(path, DATA)
        self.upstream.spoil(path)
        self.assertFails(["curl", "-fsS", "-o", "x", f"{self.mirror}/fedora{path}"])
        self.assertNotKept(self.upstream.files[path].content)

    def test_homebrew(self) -> None:
        """Homebrew: a bottle by digest, asked with the token that brew sends to everyone."""
        path = f"/v2/homebrew/core/a/blobs/sha256:{HEX}"
        self.start(
            {
                "name": "brew",
                "path_prefix": "/homebrew",
                "strip_prefix": True,
                "upstream": self.upstream.url,
                "strategy": "parallel",
            }
        )
        self.upstream.put(path, DATA, authorization="Bearer QQ==")
        for _ in range(2):
            reply = self.service.get(f"/homebrew{path}", ("Authorization", "Bearer QQ=="))
            self.assertTrue(reply.body == DATA)
            self.settle()
        self.assertEqual(reply.headers.get("X-Cache"), "HIT")
        self.assertEqual(self.service.get(f"/homebrew{path}").status, 404)
