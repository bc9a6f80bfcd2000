"""apt-get with a private root through the apt preset."""

from __future__ import annotations

import hashlib
import lzma
from email.utils import formatdate
from pathlib import Path

from aimirror.testing.behaviour import pattern
from aimirror.testing.site import MODIFIED
from tests.clients.worlds import WorldTests, find_client


class AptTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        find_client("apt-get")
        self.start({"preset": "apt", "upstream": f"{self.upstream.url}/d", "chunk_size": 300_000})
        self.packages: dict[str, bytes] = {}
        self.add("tool", 6)
        self.release()

    def add(self, name: str, seed: int) -> str:
        """Build a package; its path."""
        folder = self.fresh(f"build-{name}")
        (folder / "DEBIAN").mkdir()
        (folder / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@example.org>\n"
            "Description: a tool\n"
        )
        (folder / "data.bin").write_bytes(pattern(1_500_000, seed))
        deb = self.folder / f"{name}_1.0_all.deb"
        build = [find_client("dpkg-deb"), "-Znone", "--root-owner-group", "--build"]
        self.assertRuns([*build, str(folder), str(deb)])
        path = f"pool/main/{name[0]}/{name}/{name}_1.0_all.deb"
        self.packages[path] = deb.read_bytes()
        self.upstream.put(f"/d/{path}", self.packages[path])
        return path

    def release(self, by_hash: bool = True) -> None:
        """Publish the indexes of a new generation."""
        text = "".join(
            f"Package: {Path(path).name.partition('_')[0]}\nVersion: 1.0\nArchitecture: all\n"
            f"Maintainer: a <a@example.org>\nDescription: a tool\nFilename: {path}\n"
            f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n\n"
            for path, content in self.packages.items()
        ).encode()
        lines = ["Origin: t", "Suite: stable", "Codename: stable", "Components: main"]
        lines += ["Architectures: amd64 arm64 all", f"Date: {formatdate(MODIFIED, usegmt=True)}"]
        lines += ["Acquire-By-Hash: yes"] * by_hash + ["SHA256:"]
        for arch in ("amd64", "arm64", "all"):
            folder = f"main/binary-{arch}"
            listed = text if arch == "all" else b""
            for suffix, data in (("", listed), (".xz", lzma.compress(listed))):
                sha256 = hashlib.sha256(data).hexdigest()
                lines.append(f" {sha256} {len(data)} {folder}/Packages{suffix}")
                self.upstream.put(f"/d/dists/stable/{folder}/Packages{suffix}", data)
                if by_hash:
                    self.upstream.put(f"/d/dists/stable/{folder}/by-hash/SHA256/{sha256}", data)
        self.upstream.put("/d/dists/stable/Release", ("\n".join(lines) + "\n").encode())

    def apt(self, root: Path, *words: str, fails: bool = False) -> str:
        """apt-get with ``root`` for all that it reads and writes."""
        for folder in ("etc/apt/preferences.d", "lists/partial", "cache/archives/partial"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        source = f"deb [trusted=yes] {self.mirror}/debian stable main\n"
        (root / "sources.list").write_text(source)
        (root / "status").touch()
        options = {
            "Dir::Etc": str(root / "etc/apt"),
            "Dir::Etc::sourcelist": str(root / "sources.list"),
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": str(root / "lists"),
            "Dir::State::status": str(root / "status"),
            "Dir::Cache": str(root / "cache"),
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "0",
            "Acquire::http::Proxy": "false",
        }
        given = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        command = [find_client("apt-get"), *given, *words]
        return (self.assertFails if fails else self.assertRuns)(command, root)

    def download(self, name: str, package: str = "tool", seed: int = 6) -> None:
        root = self.fresh(name)
        self.apt(root, "update")
        self.apt(root, "download", package)
        content = next(c for p, c in self.packages.items() if f"/{package}_" in p)
        self.assertEqual((root / f"{package}_1.0_all.deb").read_bytes(), content)

    def test_apt(self) -> None:
        """apt-get updates and downloads; again without a byte of a file, and with no upstream."""
        self.download("first")
        self.assertKept(next(iter(self.packages.values())))
        before = self.upstream.total(".deb"), self.upstream.total("/Release")
        self.download("second")
        self.assertEqual((self.upstream.total(".deb"), self.upstream.total("/Release")), before)
        self.upstream.stop()
        self.download("dead")

    def test_new_release(self) -> None:
        """A new generation is seen at the next update, with and without by-hash."""
        for number, by_hash in enumerate((True, False)):
            name = f"more{number}"
            self.add(name, 7 + number)
            self.release(by_hash)
            self.download(f"new-{name}", name)

    def test_unchanged(self) -> None:
        """A second update of the same root is all hits: the date of Release goes with it."""
        root = self.fresh("hit")
        self.apt(root, "update")
        said = self.apt(root, "update")
        self.assertNotIn("Get:", "\n".join(x for x in said.splitlines() if "InRelease" not in x))

    def test_corrupt(self) -> None:
        """A package that is not what Packages says is neither installed nor kept."""
        path = "/d/" + next(iter(self.packages))
        self.upstream.spoil(path)
        root = self.fresh("bad")
        self.apt(root, "update")
        self.apt(root, "download", "tool", fails=True)
        self.assertNotKept(self.upstream.files[path].content)

    def test_mixed_generations(self) -> None:
        """An index that is not of the Release at hand is neither given out nor kept."""
        self.release(by_hash=False)
        self.service.get("/debian/dists/stable/Release")
        path = "/dists/stable/main/binary-all/Packages"
        self.upstream.put(f"/d{path}", b"Package: other\n")
        self.assertGreaterEqual(self.service.get(f"/debian{path}").status, 500)
        self.assertNotKept(b"Package: other\n")
