"""apt-get with a private root through the apt preset."""

from __future__ import annotations

import hashlib
import lzma
import tempfile
from email.utils import formatdate
from pathlib import Path

from aimirror.testing.behaviour import pattern
from aimirror.testing.site import MODIFIED
from tests.clients.worlds import WorldTests, find_client


class AptCase(WorldTests):
    #: What follows "deb", and further options.
    source = "[trusted=yes] {mirror}/debian"
    suite = "stable main"

    def setUp(self) -> None:
        super().setUp()
        find_client("apt-get")
        self.start({"preset": "apt", "upstream": f"{self.upstream.url}/d", "chunk_size": 300_000})
        self.packages: dict[str, bytes] = {}
        self.proxy = ""
        self.add("tool", 6)
        self.release()

    def add(self, name: str, seed: int) -> str:
        """Build a package; its path."""
        folder = self.fresh(f"build-{name}-{seed}")
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
        source = self.source.format(mirror=self.mirror, upstream=self.upstream.url)
        (root / "sources.list").write_text(f"deb {source} {self.suite}\n")
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
            "Acquire::http::Proxy": self.proxy or "false",
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


class AptTests(AptCase):
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

    def test_rebuilt(self) -> None:
        """A package that was rebuilt under its name is followed; the old one is not given out."""
        self.download("first")
        for seed, name in ((60, "rebuilt"), (61, "again")):
            path = "/d/" + self.add("tool", seed)
            self.release()
            self.download(name)
        self.add("tool", 62)
        self.release()
        self.upstream.files.pop(path)
        root = self.fresh("gone")
        self.apt(root, "update")
        self.apt(root, "download", "tool", fails=True)

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


class FlatTests(AptCase):
    """A repository without dists: its indexes lie above the packages."""

    source = "[trusted=yes] {mirror}/debian/flat"
    suite = "./"

    def release(self, by_hash: bool = False) -> None:
        """See AptCase."""
        text = "".join(
            f"Package: {Path(path).name.partition('_')[0]}\nVersion: 1.0\nArchitecture: all\n"
            f"Maintainer: a <a@example.org>\nDescription: a tool\nFilename: ./{path}\n"
            f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n\n"
            for path, content in self.packages.items()
        ).encode()
        lines = [f"Date: {formatdate(MODIFIED, usegmt=True)}", "SHA256:"]
        for name, data in (("Packages", text), ("Packages.xz", lzma.compress(text))):
            lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}")
            self.upstream.put(f"/d/flat/{name}", data)
        for path, content in self.packages.items():
            self.upstream.put(f"/d/flat/{path}", content)
        self.upstream.put("/d/flat/Release", ("\n".join(lines) + "\n").encode())

    def add(self, name: str, seed: int) -> str:
        """See AptCase."""
        self.packages[f"{name}_1.0_all.deb"] = self.packages.pop(super().add(name, seed))
        return f"{name}_1.0_all.deb"

    def download(self, name: str, package: str = "tool", seed: int = 6) -> None:
        """See AptCase."""
        root = self.fresh(name)
        self.apt(root, "update")
        self.apt(root, "download", package)
        content = self.packages[f"{package}_1.0_all.deb"]
        self.assertEqual((root / f"{package}_1.0_all.deb").read_bytes(), content)

    def test_flat(self) -> None:
        """apt-get downloads; again without a byte of it, without upstream; a rebuilt one anew."""
        self.download("first")
        before = self.upstream.total(".deb")
        self.download("second")
        self.assertEqual(self.upstream.total(".deb"), before)
        self.add("tool", 60)
        self.release()
        self.download("rebuilt")
        self.upstream.stop()
        self.download("dead")

    def test_corrupt(self) -> None:
        """A package that is not what Packages says is neither installed nor kept."""
        self.upstream.spoil("/d/flat/tool_1.0_all.deb")
        root = self.fresh("bad")
        self.apt(root, "update")
        self.apt(root, "download", "tool", fails=True)
        self.assertNotKept(self.upstream.files["/d/flat/tool_1.0_all.deb"].content)


class SignedCase(AptCase):
    """The release is signed by a key of the test's own."""

    def setUp(self) -> None:
        gpg = find_client("gpg")
        self.generation = 0
        super().setUp()
        self.home = self.fresh("g")
        self.home.chmod(0o700)
        # gpg's agent wants a short path for its socket.
        self.gpg = [gpg, "--homedir", self.short(self.home), "--batch", "--yes", "--passphrase", ""]
        self.assertRuns([*self.gpg, "--quick-gen-key", "a <a@example.org>", "ed25519", "sign"])
        self.addCleanup(self.end_agent)
        self.key = self.folder / "key.gpg"
        self.assertRuns([*self.gpg, "--output", str(self.key), "--export"])
        self.source = f"[signed-by={self.key}] {{mirror}}/debian"
        self.release()

    def short(self, folder: Path) -> str:
        link = Path(tempfile.mkdtemp(prefix="gpg")) / "g"
        link.symlink_to(folder)
        self.addCleanup(lambda: (link.unlink(), link.parent.rmdir()))
        return str(link)

    def end_agent(self) -> None:
        self.run_client(["gpgconf", "--homedir", self.gpg[2], "--kill", "gpg-agent"])

    #: Which of the two forms of a signed release there are.
    inline = True

    def release(self, by_hash: bool = True) -> None:
        """See AptCase."""
        super().release(by_hash)
        if not hasattr(self, "gpg"):
            return
        text = self.folder / "Release"
        text.write_bytes(self.upstream.files["/d/dists/stable/Release"].content)
        how, name = (
            ("--clearsign", "InRelease") if self.inline else ("--detach-sign", "Release.gpg")
        )
        signed = self.folder / name
        self.assertRuns([*self.gpg, "--armor", "--output", str(signed), how, str(text)])
        self.generation += 1
        modified = MODIFIED + self.generation
        self.upstream.put(f"/d/dists/stable/{name}", signed.read_bytes(), modified=modified)


class SignedTests(SignedCase):
    def test_signed(self) -> None:
        """A signed release is trusted; again without a byte of a file, and with no upstream."""
        self.download("first")
        self.assertKept(next(iter(self.packages.values())))
        before = self.upstream.total(".deb")
        self.download("second")
        self.assertEqual(self.upstream.total(".deb"), before)
        hashed = [a for a in self.upstream.requests if "/by-hash/" in a.target]
        self.assertEqual(len({a.target for a in hashed}), len(hashed))
        self.upstream.stop()
        self.download("dead")

    def test_new_release(self) -> None:
        """A new generation is seen at the next update, and its signature is right."""
        root = self.fresh("root")
        self.apt(root, "update")
        self.add("more", 7)
        self.release()
        said = self.apt(root, "update")
        self.assertNotIn("W:", said)
        self.apt(root, "download", "more")

    def test_untrusted(self) -> None:
        """A release that was altered on the way is refused by apt, and heals with its upstream."""
        path = "/d/dists/stable/InRelease"
        right = self.upstream.files[path]
        self.upstream.put(path, right.content.replace(b"Suite: stable", b"Suite: stadle"))
        self.apt(self.fresh("bad"), "update", fails=True)
        self.upstream.files[path] = right
        self.download("right")

    def test_proxy(self) -> None:
        """The same by Acquire::http::Proxy, where apt names the archive itself."""
        self.proxy = self.mirror
        self.source = f"[signed-by={self.key}] {{upstream}}/d"
        self.test_signed()


class DetachedTests(SignedCase):
    """Release and Release.gpg, as archives without InRelease have them."""

    inline = False

    def test_signed(self) -> None:
        """Each generation has its own signature, though both files would be fresh by themselves."""
        self.download("first")
        for number in range(3):
            self.add(f"more{number}", 7 + number)
            self.release()
            self.download(f"new{number}", f"more{number}")
        self.upstream.stop()
        self.download("dead")
