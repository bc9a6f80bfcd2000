"""nix, composer, cpanm, luarocks, conan and deno through the presets of their worlds."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from aimirror.testing.behaviour import pattern
from tests.clients.worlds import WorldTests, find_client

DATA = pattern(1_200_000, 21)
OTHER = pattern(1_200_000, 22)


def zipped(**files: bytes) -> bytes:
    """A zip file, the same for the same content."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in files.items():
            file.writestr(zipfile.ZipInfo(name.replace("__", ".")), content)
    return out.getvalue()


def tarred(**files: bytes) -> bytes:
    """A tar.gz file, the same for the same content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)


class TurnsCase(WorldTests):
    """A client that fetches ``file``, a path at the upstream, anew for each turn."""

    preset = ""
    file = ""

    def publish(self, data: bytes) -> None:
        """Put the file, and what names it, on the upstream."""
        raise NotImplementedError

    def client(self, turn: str) -> tuple[list[str], Path, dict[str, str]]:
        """A command, its folder and its environment."""
        raise NotImplementedError

    def got(self, folder: Path) -> bytes:
        """What a client's command has brought."""
        raise NotImplementedError

    def begin(self) -> None:
        self.start({"preset": self.preset, "upstream": self.upstream.url, "chunk_size": 300_000})
        self.publish(DATA)

    def turn(self, name: str, data: bytes) -> None:
        command, folder, own = self.client(name)
        self.assertRuns(command, folder, **own)
        self.assertTrue(self.got(folder) == data, name)
        self.settle()

    def turns(self) -> None:
        """Cold; again without a byte of the file; and with no upstream."""
        self.turn("first", DATA)
        before = self.upstream.total(self.file)
        self.assertGreater(before, 0)
        self.turn("second", DATA)
        self.upstream.stop()
        self.turn("dead", DATA)
        self.assertEqual(self.upstream.total(self.file), before)

    def refused(self) -> None:
        """A file that is not what the upstream says of it is neither used nor kept."""
        self.upstream.spoil(self.file)
        command, folder, own = self.client("bad")
        self.assertFails(command, folder, **own)
        self.assertNotKept(self.upstream.files[self.file].content)

    def followed(self) -> None:
        """A file that was made anew under its name is what clients get once an index says so."""
        self.turn("before", DATA)
        self.publish(OTHER)
        self.purge("--prefix", self.upstream.url + self.index)
        self.turn("after", OTHER)

    index = ""


class NixTests(TurnsCase):
    preset = "nix"

    def setUp(self) -> None:
        super().setUp()
        find_client("nix")
        lines = ("build-users-group =", "experimental-features = nix-command", "sandbox = false")
        self.own = {"NIX_CONFIG": "\n".join((*lines, "narinfo-cache-negative-ttl = 0"))}
        self.begin()

    def publish(self, data: bytes) -> None:
        (self.folder / "data.bin").write_bytes(data)
        store, cache = self.folder / "store", self.folder / "cache"
        add = [find_client("nix-store"), "--store", str(store), "--add", "data.bin"]
        self.path = self.assertRuns(add, **self.own).split()[-1]
        copy = ["nix", "copy", "--store", str(store), "--to", f"file://{cache}?compression=xz"]
        self.assertRuns([*copy, self.path], **self.own)
        for file in cache.rglob("*"):
            if file.is_file():
                self.upstream.put(f"/{file.relative_to(cache)}", file.read_bytes())
        self.file = next(path for path in self.upstream.files if path.startswith("/nar/"))

    def client(self, turn: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(turn)
        copy = ["nix", "copy", "--no-check-sigs", "--from", f"{self.mirror}/nix"]
        command = [*copy, "--to", str(folder / "store"), self.path]
        return command, folder, {**self.own, "XDG_CACHE_HOME": str(folder / "cache")}

    def got(self, folder: Path) -> bytes:
        return Path(f"{folder}/store{self.path}").read_bytes()

    def test_nix(self) -> None:
        """nix copies a path; again without a byte of it, and with no upstream."""
        self.turns()

    def test_corrupt(self) -> None:
        """An archive that is not what its name says is neither used nor kept."""
        self.refused()


class ComposerTests(TurnsCase):
    preset, file, index = "composer", "/dist/v/tool/v-tool-1.zip", "/p2/"

    def setUp(self) -> None:
        super().setUp()
        find_client("composer")
        self.begin()

    def publish(self, data: bytes) -> None:
        content = zipped(composer__json=b'{"name": "v/tool"}', data__bin=data)
        self.upstream.put(self.file, content)
        sha1 = hashlib.sha1(content).hexdigest()
        dist = {"type": "zip", "url": self.upstream.url + self.file, "shasum": sha1}
        version = {"name": "v/tool", "version": "1.0.0", "dist": dist, "type": "library"}
        packages = {"packages": {"v/tool": [version]}}
        root = {"packages": [], "metadata-url": "/p2/%package%.json"}
        for path, value in (("/packages.json", root), ("/p2/v/tool.json", packages)):
            self.upstream.put(path, json.dumps(value).encode(), "application/json")

    def client(self, turn: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(turn)
        repository = {"type": "composer", "url": f"{self.mirror}/composer"}
        project = {
            "repositories": [repository, {"packagist.org": False}],
            "require": {"v/tool": "1.0.0"},
            "config": {"secure-http": False},
        }
        (folder / "composer.json").write_text(json.dumps(project))
        own = {"COMPOSER_HOME": str(folder / "home"), "COMPOSER_ALLOW_SUPERUSER": "1"}
        return [find_client("composer"), "install", "-n", "--no-progress"], folder, own

    def got(self, folder: Path) -> bytes:
        return (folder / "vendor/v/tool/data.bin").read_bytes()

    def test_composer(self) -> None:
        """composer installs; again without a byte of the archive, and with no upstream."""
        self.turns()

    def test_corrupt(self) -> None:
        """An archive that is not what the metadata says is neither used nor kept."""
        self.refused()

    def test_rebuilt(self) -> None:
        """An archive that was made anew under its name is followed."""
        self.followed()


class CpanTests(TurnsCase):
    preset, file = "cpan", "/authors/id/A/AU/AUTHOR/Tool-1.0.tar.gz"
    index = "/authors/id/A/AU/AUTHOR/CHECKSUMS"

    def setUp(self) -> None:
        super().setUp()
        find_client("cpanm")
        find_client("make")
        self.begin()

    def publish(self, data: bytes) -> None:
        make = b"use ExtUtils::MakeMaker; WriteMakefile(NAME => 'Tool', VERSION => '1.0');"
        module = b"package Tool; our $VERSION = '1.0'; 1;"
        files = {"Makefile.PL": make, "lib/Tool.pm": module, "lib/data.bin": data, "MANIFEST": b""}
        content = tarred(**{f"Tool-1.0/{name}": each for name, each in files.items()})
        self.upstream.put(self.file, content)
        sha256 = hashlib.sha256(content).hexdigest()
        text = f"$cksum = {{\n  'Tool-1.0.tar.gz' => {{\n    'sha256' => '{sha256}'\n  }}\n}};\n"
        self.upstream.put(self.index, text.encode(), "text/plain")
        listed = "File: 02packages.details.txt\n\nTool 1.0 A/AU/AUTHOR/Tool-1.0.tar.gz\n"
        self.upstream.put("/modules/02packages.details.txt.gz", gzip.compress(listed.encode()))

    def client(self, turn: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(turn)
        options = ["--mirror", f"{self.mirror}/cpan", "--mirror-only", "--notest", "-L", "local"]
        command = [find_client("cpanm"), *options, "--save-dists", "dists", "Tool"]
        return command, folder, {"PERL_CPANM_HOME": str(folder / "home")}

    def got(self, folder: Path) -> bytes:
        (kept,) = (folder / "dists").rglob("Tool-1.0.tar.gz")
        with tarfile.open(kept) as tar:
            member = tar.extractfile("Tool-1.0/lib/data.bin")
            assert member is not None
            return member.read()

    def test_cpanm(self) -> None:
        """cpanm installs; again without a byte of a distribution, and with no upstream."""
        self.turns()

    def test_corrupt(self) -> None:
        """A distribution that is not what CHECKSUMS says is cut off and not kept.

        cpanm goes on with what it could unpack of it.
        """
        self.upstream.spoil(self.file)
        command, folder, own = self.client("bad")
        said = self.run_client(command, folder, **own).stdout
        self.assertIn("Unexpected EOF", said)
        self.assertNotKept(self.upstream.files[self.file].content)


class LuaRocksTests(TurnsCase):
    preset, file = "luarocks", "/tool-1.0-1.src.rock"

    def setUp(self) -> None:
        super().setUp()
        find_client("luarocks")
        self.begin()

    def publish(self, data: bytes) -> None:
        self.upstream.put(self.file, zipped(data__bin=data))
        manifest = (
            'commands = {}\nmodules = {}\nrepository = {\n  tool = {\n    ["1.0-1"] = {\n'
            '      { arch = "src" }\n    }\n  }\n}\n'
        )
        for version in ("", "-5.1", "-5.3", "-5.4"):
            self.upstream.put(f"/manifest{version}", manifest.encode(), "text/plain")

    def client(self, turn: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(turn)
        server = f"{self.mirror}/luarocks"
        return (
            [find_client("luarocks"), "download", "--only-server", server, "tool"],
            folder,
            {"HOME": str(folder)},
        )

    def got(self, folder: Path) -> bytes:
        with zipfile.ZipFile(folder / "tool-1.0-1.src.rock") as file:
            return file.read("data.bin")

    def test_luarocks(self) -> None:
        """luarocks downloads; again without a byte of a rock, and with no upstream."""
        self.turns()


class ConanTests(TurnsCase):
    preset = "conan"
    revision = "0123456789abcdef0123456789abcdef"
    base = "/v2/conans/tool/1.0/_/_"

    def setUp(self) -> None:
        super().setUp()
        self.conan = find_client("conan", "conan")
        self.file = f"{self.base}/revisions/{self.revision}/files/conan_export.tgz"
        self.begin()

    def publish(self, data: bytes) -> None:
        recipe = b'from conan import ConanFile\nclass Tool(ConanFile):\n    name = "tool"\n'
        recipe += b'    version = "1.0"\n'
        export = tarred(conandata__yml=b"# " + data.hex().encode())
        manifest = b"1700000000\nconandata.yml: x\nconanfile.py: x\n"
        files = {"conanfile.py": recipe, "conanmanifest.txt": manifest, "conan_export.tgz": export}
        when = {"revision": self.revision, "time": "2024-01-01T00:00:00.000+0000"}
        listed = {"files": {name: {} for name in files}}
        revisions = {"reference": "tool/1.0", "revisions": [when]}
        for path, value in (
            ("/latest", when),
            ("/revisions", revisions),
            (f"/revisions/{self.revision}/files", listed),
        ):
            content = json.dumps(value).encode()
            self.upstream.put(self.base + path, content, "application/json")
        for name, content in files.items():
            self.upstream.put(f"{self.base}/revisions/{self.revision}/files/{name}", content)
        capable = (("X-Conan-Server-Capabilities", "revisions"),)
        self.upstream.put("/v1/ping", b"", "text/plain", headers=capable)

    def client(self, turn: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(turn)
        home = folder / "home"
        home.mkdir()
        remote = {"name": "mirror", "url": f"{self.mirror}/conan", "verify_ssl": True}
        (home / "remotes.json").write_text(json.dumps({"remotes": [remote]}))
        command = [self.conan, "download", "tool/1.0", "-r", "mirror", "--only-recipe"]
        return command, folder, {"CONAN_HOME": str(home)}

    def got(self, folder: Path) -> bytes:
        (kept,) = (folder / "home").rglob("conandata.yml")
        return bytes.fromhex(kept.read_text().removeprefix("# "))

    def test_conan(self) -> None:
        """conan downloads; again without a byte of the recipe, and with no upstream."""
        self.turns()


class DenoTests(TurnsCase):
    preset, file, index = "jsr", "/@s/tool/1.0.0/mod.ts", "/@s/tool/1.0.0_meta.json"

    def setUp(self) -> None:
        super().setUp()
        self.deno = find_client("deno", "js")
        self.begin()

    def publish(self, data: bytes) -> None:
        module = b"export const data = '%b';\n" % data.hex().encode()
        self.upstream.put(self.file, module, "application/typescript")
        told = {"size": len(module), "checksum": f"sha256-{hashlib.sha256(module).hexdigest()}"}
        version: dict[str, Any] = {"manifest": {"/mod.ts": told}, "exports": {".": "./mod.ts"}}
        version["moduleGraph2"] = {"/mod.ts": {}}
        package = {"scope": "s", "name": "tool", "latest": "1.0.0", "versions": {"1.0.0": {}}}
        for path, value in (("/@s/tool/meta.json", package), (self.index, version)):
            self.upstream.put(path, json.dumps(value).encode(), "application/json")

    def client(self, turn: str) -> tuple[list[str], Path, dict[str, str]]:
        folder = self.fresh(turn)
        text = 'import { data } from "jsr:@s/tool@1.0.0";\nDeno.writeTextFileSync("got", data);\n'
        (folder / "main.ts").write_text(text)
        own = {"JSR_URL": f"{self.mirror}/jsr/", "DENO_DIR": str(folder / "deno")}
        command = [self.deno, "run", "--no-lock", "--allow-write", "main.ts"]
        return command, folder, {**own, "PATH": os.environ["PATH"]}

    def got(self, folder: Path) -> bytes:
        return bytes.fromhex((folder / "got").read_text())

    def test_deno(self) -> None:
        """deno runs a module; again without a byte of it, and with no upstream."""
        self.turns()

    def test_corrupt(self) -> None:
        """A module that is not what the manifest says is neither used nor kept."""
        self.refused()
