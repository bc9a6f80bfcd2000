"""dnf and zypper, each with a private root, through the rpm preset."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SkipTest

from aimirror.testing.behaviour import pattern
from tests.clients.worlds import WorldTests, find_client

SPEC = """Name: {name}
Version: {version}
Release: 1
Summary: t
License: MIT
BuildArch: noarch
%description
d
%install
mkdir -p %{{buildroot}}/opt
cp {data} %{{buildroot}}/opt/{name}.bin
%files
/opt/{name}.bin
"""
REPOSITORY = "[t]\nname=t\nbaseurl={url}\nenabled=1\ngpgcheck=0\nautorefresh=1\n"


class RpmCase(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.createrepo = find_client("createrepo_c")
        find_client("rpmbuild")
        self.start({"preset": "rpm", "upstream": f"{self.upstream.url}/pub", "chunk_size": 300_000})
        self.repository = self.fresh("repository")
        self.publish("tool++", "1.0", 31)

    def publish(self, name: str, version: str, seed: int, *how: str) -> str:
        """Build a package and the repository's metadata anew; the package's path."""
        folder = self.fresh(f"build-{name}-{version}-{seed}")
        (folder / "data.bin").write_bytes(pattern(1_200_000, seed))
        fields = {"name": name, "version": version, "data": folder / "data.bin"}
        (folder / "it.spec").write_text(SPEC.format(**fields))
        macros = {
            "_topdir": str(folder / "top"),
            "_rpmdir": str(self.repository / "Packages"),
            "_binary_payload": "w0.gzdio",
            "__spec_install_post": "%{nil}",
        }
        given = [x for k, v in macros.items() for x in ("--define", f"{k} {v}")]
        self.assertRuns([find_client("rpmbuild"), "-bb", *given, str(folder / "it.spec")])
        self.index(*how)
        return f"/pub/os/Packages/noarch/{name}-{version}-1.noarch.rpm"

    def index(self, *how: str) -> None:
        """New metadata, in the upstream's place of the old."""
        self.assertRuns([self.createrepo, "-q", *how, str(self.repository)])
        for path in [p for p in self.upstream.files if "/repodata/" in p]:
            del self.upstream.files[path]
        for file in self.repository.rglob("*"):
            if file.is_file():
                path = f"/pub/os/{file.relative_to(self.repository)}"
                self.upstream.put(path.replace("+", "%2b"), file.read_bytes())
                self.upstream.put(path, file.read_bytes())

    def client(self, folder: Path, package: str) -> list[str]:
        """The command that downloads a package with nothing known before, to below a folder."""
        raise NotImplementedError

    def repo_file(self, folder: Path) -> None:
        url = f"{self.mirror}/fedora/os/"
        (folder / "t.repo").write_text(REPOSITORY.format(url=url))

    def fetched(self, folder: Path, name: str) -> bytes:
        (found,) = folder.rglob(f"{name}*.rpm")
        return found.read_bytes()

    def check(self) -> None:
        path = "/pub/os/Packages/noarch/tool++-1.0-1.noarch.rpm"
        content = self.upstream.files[path].content
        for turn in ("first", "second", "dead"):
            before = self.upstream.total(".rpm")
            if turn == "dead":
                self.upstream.stop()
            folder = self.fresh(turn)
            self.assertRuns(self.client(folder, "tool++"), folder)
            self.assertEqual(self.fetched(folder, "tool"), content)
            self.assertKept(content)
            if turn != "first":
                self.assertEqual(self.upstream.total(".rpm"), before)

    def check_corrupt(self) -> None:
        path = self.publish("bad", "1.0", 32)
        self.upstream.spoil(path)
        folder = self.fresh("bad")
        self.run_client(self.client(folder, "bad"), folder)  # zypper says that it went well
        self.assertEqual(list(folder.rglob("bad-1.0*.rpm")), [])
        self.assertNotKept(self.upstream.files[path].content)

    def check_rebuilt(self) -> None:
        """A package that was built anew under its name is followed."""
        for seed in (35, 36):
            path = self.publish("tool++", "1.0", seed)
            folder = self.fresh(f"built-{seed}")
            self.assertRuns(self.client(folder, "tool++"), folder)
            self.assertEqual(self.fetched(folder, "tool"), self.upstream.files[path].content)
            self.purge("/fedora/os/repodata/repomd.xml")

    def check_new_release(self) -> None:
        self.assertRuns(self.client(self.fresh("old"), "tool++"))
        path = self.publish("later", "1.0", 33)
        self.purge("/fedora/os/repodata/repomd.xml")
        folder = self.fresh("new")
        self.assertRuns(self.client(folder, "later"), folder)
        self.assertEqual(self.fetched(folder, "later"), self.upstream.files[path].content)


class DnfTests(RpmCase):
    def client(self, folder: Path, package: str) -> list[str]:
        """See RpmCase."""
        if os.geteuid() != 0:
            raise SkipTest("dnf installs for root alone")
        self.repo_file(folder)
        (folder / "dnf.conf").write_text("[main]\nplugins=0\nretries=1\n")
        options = {name: str(folder / name) for name in ("cachedir", "persistdir", "logdir")}
        (folder / "logdir").mkdir()
        options["reposdir"] = str(folder)
        given = [f"--setopt={name}={value}" for name, value in options.items()]
        root = ["-c", str(folder / "dnf.conf"), f"--installroot={folder}/root", "--releasever=1"]
        return [find_client("dnf"), "-y", *root, *given, "install", "--downloadonly", package]

    def test_dnf(self) -> None:
        """dnf downloads; again without a byte of a package, and with no upstream."""
        self.check()

    def test_corrupt(self) -> None:
        """A package that is not what the metadata says is neither given out whole nor kept."""
        self.check_corrupt()

    def test_rebuilt(self) -> None:
        """dnf gets what was built anew."""
        self.check_rebuilt()

    def test_new_release(self) -> None:
        """New metadata is seen after a purge of repomd.xml alone."""
        self.check_new_release()

    def test_plain_names(self) -> None:
        """Metadata without digests in its names is of the generation of repomd.xml."""
        self.assertEqual(self.service.get("/fedora/os/repodata/repomd.xml").status, 200)
        for version in ("1.0", "2.0"):
            self.publish("plain", version, 34, "--simple-md-filenames")
            self.purge("/fedora/os/repodata/repomd.xml")
            folder = self.fresh(f"plain-{version}")
            self.assertRuns(self.client(folder, "plain"), folder)
            self.assertIn(f"plain-{version}", next(folder.rglob("plain*.rpm")).name)


class ZypperTests(RpmCase):
    def client(self, folder: Path, package: str) -> list[str]:
        """See RpmCase."""
        self.repo_file(folder)
        places = ["--root", str(folder / "root"), "--reposd-dir", str(folder)]
        places += ["--cache-dir", str(folder / "cache")]
        return [
            find_client("zypper"),
            *places,
            "--non-interactive",
            "--no-gpg-checks",
            "download",
            package,
        ]

    def test_zypper(self) -> None:
        """zypper downloads; again without a byte of a package, and with no upstream."""
        self.check()

    def test_corrupt(self) -> None:
        """A package that is not what the metadata says is neither given out whole nor kept."""
        self.check_corrupt()

    def test_rebuilt(self) -> None:
        """zypper gets what was built anew."""
        self.check_rebuilt()
