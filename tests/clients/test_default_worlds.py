"""Every package world at its path of the built-in configuration: refused, kept, and gone."""

from __future__ import annotations

import re
import sys
from typing import Any

import yaml

from aimirror.testing.behaviour import pattern
from aimirror.testing.client import Broken
from aimirror.testing.site import Asked, File
from tests.clients.worlds import ROOT, WorldTests

DATA = pattern(900_000, 41)
#: A file and an index of each; ``{n}`` makes names that nobody has asked for before.
FILES = (
    "/registry/npm/p{n}/-/p{n}-1.0.0.tgz",
    "/conda-forge/noarch/p{n}-1-0.conda",
    "/bioconda/noarch/p{n}-1-0.tar.bz2",
    "/pkgs/main/noarch/p{n}-1-0.conda",
    "/src/contrib/p{n}_1.0.tar.gz",
    "/bin/windows/contrib/4.2/p{n}_1.0.zip",
    "/bin/macosx/big-sur-arm64/contrib/4.2/p{n}_1.0.tgz",
    "/maven2/g/p{n}/1/p{n}-1.jar",
    "/debian/pool/p/p{n}_1_all.deb",
    "/debian-security/pool/p/p{n}_1_all.deb",
    "/ubuntu/pool/p/p{n}_1_all.deb",
    "/goproxy/e.org/p{n}/@v/v1.0.0.zip",
    "/crates-files/p{n}/1.0.0/download",
    "/rubygems/gems/p{n}-1.0.gem",
    "/alpine/v3.20/main/x86_64/p{n}-1-r0.apk",
    "/fedora/os/Packages/p{n}-1-1.noarch.rpm",
    "/homebrew-api/p{n}.json",
    "/github/o/r/releases/download/v{n}/a.zip",
    "/o/r/releases/download/w{n}/a.zip",
    "/github-raw/o/r/main/p{n}",
    "/github-api/repos/o/p{n}",
    "/github-objects/a/p{n}",
    "/conda/rapidsai/noarch/p{n}-1-0.conda",
    "/cuda/ubuntu2404/x86_64/p{n}_1_amd64.deb",
    "/pytorch/models/p{n}-f37072fd.pth",
    "/nodejs/v22.1.{n}/node-v22.1.{n}.tar.gz",
    "/rust/dist/2026-01-01/p{n}.tar.xz",
    "/playwright/builds/chromium/{n}/chromium-linux.zip",
    "/openaipublic/encodings/p{n}.tiktoken",
    "/civitai/api/download/models/{n}",
    "/kaggle/api/v1/models/p{n}",
    "/google-storage/bucket/p{n}.whl",
    "/nltk/packages/corpora/p{n}.zip",
    "/astral/github/uv/releases/download/{n}/uv.tar.gz",
    "/astral-sh/uv/{n}/install.sh",
    "/pyg/whl/p{n}-1-py3-none-any.whl",
    "/vllm/p{n}/p{n}-1-py3-none-any.whl",
    "/rocm/p{n}/p{n}-1-py3-none-any.whl",
    "/api/v1/models/o/p{n}/repo",
    "/models/o/p{n}/resolve/master/a.bin",
    "/bioconductor/packages/3.19/bioc/src/contrib/p{n}_1.0.tar.gz",
    "/gradle-plugins/g/p{n}/1/p{n}-1.jar",
    "/helm/charts/p{n}-1.0.tgz",
    "/nuget/v3-flatcontainer/p{n}/1.0.0/p{n}.1.0.0.nupkg",
    "/composer/dist/v/p{n}/p{n}-1.zip",
    "/pub/api/archives/p{n}-1.0.0.tar.gz",
    "/hex/tarballs/p{n}-1.0.0.tar",
    "/jsr/@s/p{n}/1.0.0/mod.ts",
    "/cpan/authors/id/A/AU/AUTHOR/P-{n}1.tar.gz",
    "/luarocks/p{n}-1.0-1.src.rock",
    "/hackage/package/p-1.{n}0/p-1.{n}0.tar.gz",
    "/r-universe/src/contrib/p{n}_1.0.tar.gz",
    "/ppm/cran/latest/src/contrib/p{n}_1.0.tar.gz",
    "/ppm/cran/__linux__/jammy/latest/src/contrib/p{n}_1.0.tar.gz",
    "/conan/v2/conans/p{n}/1.0/_/_/revisions/0123456789abcdef0123456789abcdef/files/conanfile.py",
    "/hashicorp/p{n}/1.0.0/p_1.0.0_linux_amd64.zip",
    "/github-api/repos/o/p{n}/zipball/0123456789abcdef0123456789abcdef01234567",
    "/swift/s/p{n}/1.0.0.zip",
)
#: Those whose paths say what they hold: what is told for all is not that.
PROVEN = (
    "/julia/artifact/{n:040x}",
    "/nix/nar/{n:052d}.nar.xz",
    "/vcpkg/{n:0128x}",
)
INDEXES = (
    "/registry/npm/p{n}",
    "/registry/npm/@s%2fp{n}",
    "/conda-forge/p{n}/repodata.json",
    "/src/contrib/p{n}/PACKAGES",
    "/maven2/g/p{n}/maven-metadata.xml",
    "/debian/dists/p{n}/InRelease",
    "/goproxy/e.org/p{n}/@v/list",
    "/crates/2/p{n}",
    "/rubygems/info/p{n}",
    "/alpine/v{n}/main/x86_64/APKINDEX.tar.gz",
    "/fedora/p{n}/repodata/repomd.xml",
    "/helm/p{n}/index.yaml",
    "/nuget/v3/registration5-semver1/p{n}/index.json",
    "/composer/p2/v/p{n}.json",
    "/nix/p{n}.narinfo",
    "/pub/api/packages/p{n}",
    "/hex/packages/p{n}",
    "/jsr/@s/p{n}/meta.json",
    "/cpan/modules/p{n}.gz",
    "/hackage/p{n}.json",
    "/bioconductor/p{n}/config.yaml",
    "/r-universe/src/contrib/p{n}/PACKAGES",
    "/ppm/cran/p{n}/src/contrib/PACKAGES",
    "/luarocks/p{n}/manifest-5.4",
    "/conan/v2/conans/p{n}/1.0/_/_/latest",
    "/julia/p{n}/registries",
    "/terraform/v1/providers/o/p{n}/versions",
    "/opentofu/v1/providers/o/p{n}/versions",
    "/hashicorp/p{n}/index.json",
    "/swift/s/p{n}",
    "/cocoapods/Specs/p{n}.podspec.json",
)


class DefaultTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        command = [sys.executable, "-m", "aimirror", "check", "--show", str(ROOT / "config.yaml")]
        shown = self.assertRuns(command, PYTHONPATH=str(ROOT))
        text = re.sub(r"\bhttps?://(?=[a-z])", f"{self.upstream.url}/", shown)
        self.rules: list[dict[str, Any]] = yaml.safe_load(text)["rules"]
        self.start(*self.rules)

    def check(self, status: int, *fields: tuple[str, str]) -> None:
        """Each world passes this refusal on, to GET and to HEAD."""
        told = b'{"error": "told by the upstream"}'
        answer = File(told, "application/json", status, fields)
        self.upstream.fallback = lambda asked: answer
        for path in (*FILES, *INDEXES, *PROVEN):
            path = path.format(n=status)
            reply = self.service.get(path)
            self.assertEqual((path, reply.status, reply.body), (path, status, told))
            self.assertEqual(reply.headers.get("content-type"), "application/json", path)
            for name, value in fields:
                self.assertEqual(reply.headers.get(name), value, path)
            self.assertEqual(self.service.get(path, method="HEAD").status, status, path)

    def test_refused(self) -> None:
        """What the upstream refuses is refused so, and by its words."""
        for status in (401, 403, 404, 410, 451, 500):
            self.check(status)

    def check_told_when(self, status: int) -> None:
        """The first answer is the upstream's; then it is left alone, and all hear for how long."""
        answer = File(b"{}", "application/json", status, (("Retry-After", "30"),))
        self.upstream.fallback = lambda asked: answer
        first, *others = (path.format(n=status) for path in (*FILES, *INDEXES))
        reply = self.service.get(first)
        self.assertEqual((reply.status, reply.headers.get("Retry-After")), (status, "30"))
        asked = len(self.upstream.requests)
        for path in others:
            reply = self.service.get(path)
            self.assertEqual((path, reply.status), (path, status))
            self.assertIn(int(reply.headers.get("Retry-After") or 0), range(1, 31), path)
        self.assertEqual(len(self.upstream.requests), asked)

    def test_too_many(self) -> None:
        """An upstream that is asked too often is left alone as long as it says."""
        self.check_told_when(429)

    def test_unavailable(self) -> None:
        """So is one that is down for a while."""
        self.check_told_when(503)

    def test_kept(self) -> None:
        """Each file is fetched once, and is there, like each index, when the upstream is gone."""
        self.upstream.fallback = self.everything
        paths = [path.format(n="") for path in (*FILES, *INDEXES)]
        for path in paths:
            self.assertTrue(self.service.get(path).body == DATA, path)
        self.settle()
        sent = self.upstream.total()
        for path in (path.format(n="") for path in FILES):
            self.assertTrue(self.service.get(path).body == DATA, path)
        self.assertEqual(self.upstream.total(), sent)
        for path in (path.format(n=1) for path in PROVEN):
            with self.assertRaises(Broken):
                self.service.get(path)
        self.upstream.stop()
        for path in paths:
            reply = self.service.get(path)
            self.assertEqual((path, reply.status, reply.body == DATA), (path, 200, True))
            head = self.service.get(path, method="HEAD")
            self.assertEqual((path, head.status), (path, 200))
            part = self.service.get(path, ("Range", "bytes=100000-199999"))
            self.assertTrue(part.status == 206 and part.body == DATA[100_000:200_000], path)

    def everything(self, asked: Asked) -> File | None:
        """The same file everywhere, without a checksum beside it."""
        if asked.target.endswith(".sha1"):
            return None
        return File(DATA, "application/octet-stream", etag='"1"')
