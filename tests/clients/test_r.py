"""R's install.packages through the cran preset."""

from __future__ import annotations

import zipfile
from pathlib import Path

from aimirror.testing.behaviour import pattern
from tests.clients.worlds import WorldTests, find_client

INSTALL = "install.packages('{name}', repos='{repos}', lib='{lib}', type='source', quiet=TRUE)"


class RTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.rscript = find_client("Rscript")
        self.start({"preset": "cran", "upstream": self.upstream.url, "chunk_size": 300_000})
        self.repository = self.fresh("repository")
        self.publish("tool", "1.0", 10)

    def publish(self, name: str, version: str, seed: int) -> str:
        """Build a source package and new indexes; its path."""
        source = self.fresh(f"source-{name}-{version}-{seed}") / name
        (source / "inst").mkdir(parents=True)
        (source / "DESCRIPTION").write_text(
            f"Package: {name}\nVersion: {version}\nTitle: T\nDescription: D.\nAuthor: A\n"
            "Maintainer: A <a@example.org>\nLicense: MIT\n"
        )
        (source / "NAMESPACE").touch()
        (source / "inst/data.bin").write_bytes(pattern(1_500_000, seed))
        built = self.repository / f"{name}_{version}.tar.gz"
        self.assertRuns(["tar", "-C", str(source.parent), "-czf", str(built), name])
        folder = str(self.repository)
        self.assertRuns([self.rscript, "-e", f"tools::write_PACKAGES('{folder}', type='source')"])
        for file in self.repository.iterdir():
            self.upstream.put(f"/src/contrib/{file.name}", file.read_bytes())
        return f"/src/contrib/{built.name}"

    def install(self, name: str, folder: str) -> tuple[list[str], Path]:
        lib = self.fresh(folder)
        call = INSTALL.format(name=name, repos=self.mirror, lib=lib)
        return [self.rscript, "-e", f"options(warn=2); {call}"], lib / name / "data.bin"

    def test_r(self) -> None:
        """R installs; again without a byte of a package, and with no upstream."""
        for turn in ("first", "second", "dead"):
            before = self.upstream.total("1.0.tar.gz")
            if turn == "dead":
                self.upstream.stop()
            command, data = self.install("tool", turn)
            self.assertRuns(command)
            self.assertTrue(data.read_bytes() == pattern(1_500_000, 10))
            if turn != "first":
                self.assertEqual(self.upstream.total("1.0.tar.gz"), before)
            self.settle()

    def test_binary(self) -> None:
        """Binary packages, for Windows here, come the same way."""
        place = self.assertRuns([self.rscript, "-e", "cat(contrib.url('', 'win.binary'))"])
        folder = self.fresh("binary")
        with zipfile.ZipFile(folder / "tool_1.0.zip", "w") as packed:
            packed.writestr("tool/DESCRIPTION", "Package: tool\nVersion: 1.0\n")
            packed.writestr("tool/data.bin", pattern(1_500_000, 13))
        write = f"tools::write_PACKAGES('{folder}', type='win.binary')"
        self.assertRuns([self.rscript, "-e", write])
        for file in folder.iterdir():
            self.upstream.put(f"{place}/{file.name}", file.read_bytes())
        for turn in ("first", "second", "dead"):
            before = self.upstream.total(".zip")
            if turn == "dead":
                self.upstream.stop()
            got = self.fresh(turn)
            call = f"download.packages('tool', '{got}', repos='{self.mirror}', type='win.binary')"
            self.assertRuns([self.rscript, "-e", call])
            right = (folder / "tool_1.0.zip").read_bytes()
            self.assertTrue((got / "tool_1.0.zip").read_bytes() == right)
            self.assertKept(right)
            if turn != "first":
                self.assertEqual(self.upstream.total(".zip"), before)

    def test_corrupt(self) -> None:
        """A package whose MD5 is not that of PACKAGES is neither installed nor kept."""
        path = self.publish("bad", "1.0", 11)
        self.upstream.spoil(path)
        command, _ = self.install("bad", "bad")
        self.assertFails(command)
        self.assertNotKept(self.upstream.files[path].content)

    def test_rebuilt(self) -> None:
        """A package that was built anew under its version is what R gets, and not the old one."""
        for seed in (14, 15):
            self.publish("tool", "1.0", seed)
            command, data = self.install("tool", f"build-{seed}")
            self.assertRuns(command)
            self.assertTrue(data.read_bytes() == pattern(1_500_000, seed))
            self.purge("--prefix", f"{self.upstream.url}/src/contrib/PACKAGES")

    def test_archive(self) -> None:
        """An older version that was moved to the Archive is found there."""
        path = "/src/contrib/tool_1.0.tar.gz"
        moved = self.upstream.files.pop(path)
        self.assertEqual(self.service.get("/src/contrib/none_1.0.tar.gz").status, 404)
        self.upstream.put("/src/contrib/Archive/tool/tool_1.0.tar.gz", moved.content)
        reply = self.service.get(path)
        self.assertEqual((reply.status, reply.body == moved.content), (200, True))

    def test_one_generation(self) -> None:
        """Once one form of PACKAGES is new, no older form is given out."""
        forms = ("PACKAGES.gz", "PACKAGES.rds")
        for form in forms:
            self.assertEqual(self.service.get(f"/src/contrib/{form}").status, 200)
        self.publish("more", "1.0", 12)
        for form in (*forms, *forms):
            self.service.get(f"/src/contrib/{form}", ("Cache-Control", "no-cache"))
            for other in forms:
                path = f"/src/contrib/{other}"
                self.assertEqual(self.service.get(path).body, self.upstream.files[path].content)
