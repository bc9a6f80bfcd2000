"""Lock files of package managers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.prefetch_lists import BadList, Interpreter, Items, Project
from aimirror.admin.prefetch_locks import is_list, items

ALL = Interpreter()


class LockTests(SynchronousTestCase):
    def read(self, name: str, text: str, interpreter: Interpreter = ALL) -> Items:
        self.assertTrue(is_list(name))
        return items(name, text, interpreter)

    def test_poetry(self) -> None:
        """Names, versions and hashes; what comes from elsewhere is told, in both forms."""
        found = self.read(
            "poetry.lock",
            '[[package]]\nname = "Re_quests"\nversion = "2.1"\n'
            'files = [{file = "a", hash = "sha256:aa"}, {file = "b", hash = "sha256:bb"}]\n'
            '[[package]]\nname = "own"\nversion = "1"\n[package.source]\ntype = "git"\nurl = "u"\n',
        )
        self.assertEqual(
            found.projects, (Project("re-quests", "==2.1", frozenset({"sha256:aa", "sha256:bb"})),)
        )
        self.assertEqual(found.skipped, ("own",))
        old = self.read(
            "poetry.lock",
            '[[package]]\nname = "a"\nversion = "1"\n[metadata.files]\n'
            'a = [{file = "f", hash = "md5:c"}]\n',
        )
        self.assertEqual(old.projects[0].hashes, frozenset({"md5:c"}))

    def test_pdm(self) -> None:
        """URLs are taken where they are told, those of the interpreter alone."""
        found = self.read(
            "pdm.lock",
            '[[package]]\nname = "a"\nversion = "1"\nfiles = [\n'
            '{url = "https://f/a-1-cp311-cp311-win_amd64.whl", hash = "sha256:a"},\n'
            '{url = "https://f/a-1-py3-none-any.whl", hash = "sha256:b"}]\n'
            '[[package]]\nname = "me"\nversion = "0"\npath = "."\n',
            Interpreter("3.11", "linux_x86_64"),
        )
        self.assertEqual(found, Items(urls=("https://f/a-1-py3-none-any.whl",)))

    def test_pnpm(self) -> None:
        """The keys of all forms of the file, scoped ones and those with peers, and own tarballs."""
        found = self.read(
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      x: {version: 1}\n"
            "packages:\n\n  '@babel/core@7.2.0':\n    resolution: {integrity: sha512-a==}\n\n"
            "  left-pad@1.3.0:\n    resolution: {integrity: sha512-b==}\n\n"
            "  /old/2.0.0:\n    resolution: {integrity: sha512-c==}\n\n"
            "  /with-peer@3.0.0(react@18.0.0):\n    resolution: {integrity: sha512-d==}\n\n"
            "  own@https://codeload.github.com/o/r/tar.gz/abc:\n"
            "    resolution: {tarball: https://codeload.github.com/o/r/tar.gz/abc}\n"
            "snapshots:\n\n  other@9.9.9: {}\n",
        )
        npm = "https://registry.npmjs.org"
        self.assertEqual(
            found.urls[:4],
            (
                f"{npm}/@babel/core/-/core-7.2.0.tgz",
                f"{npm}/left-pad/-/left-pad-1.3.0.tgz",
                f"{npm}/old/-/old-2.0.0.tgz",
                f"{npm}/with-peer/-/with-peer-3.0.0.tgz",
            ),
        )
        self.assertNotIn("9.9.9", str(found.urls))

    def test_yarn(self) -> None:
        """Both generations; the registry's other name is npm's."""
        one = self.read(
            "yarn.lock",
            '# yarn lockfile v1\n\na@^1.0.0:\n  version "1.0.1"\n'
            '  resolved "https://registry.yarnpkg.com/a/-/a-1.0.1.tgz#abc"\n'
            '  resolved "https://npm.company/b/-/b-2.tgz"\n',
        )
        self.assertEqual(
            one.urls,
            ("https://registry.npmjs.org/a/-/a-1.0.1.tgz", "https://npm.company/b/-/b-2.tgz"),
        )
        two = self.read(
            "yarn.lock",
            '__metadata:\n  version: 8\n\n"@a/b@npm:^1.0.0":\n  version: 1.2.3\n'
            '  resolution: "@a/b@npm:1.2.3"\n\n"me@workspace:.":\n  resolution: "me@workspace:."\n',
        )
        self.assertEqual(two.urls, ("https://registry.npmjs.org/@a/b/-/b-1.2.3.tgz",))

    def test_conda_lock(self) -> None:
        """The URLs of a platform and those for all, or of all platforms."""
        text = "package:\n" + "".join(
            f"- name: p\n  url: https://conda.anaconda.org/conda-forge/{where}/p-1-0.conda\n"
            for where in ("linux-64", "osx-arm64", "noarch")
        )
        self.assertEqual(len(self.read("conda-lock.yml", text).urls), 3)
        found = self.read("dev.conda-lock.yml", text, Interpreter("", "linux_x86_64")).urls
        self.assertEqual([url.split("/")[4] for url in found], ["linux-64", "noarch"])

    def test_cargo(self) -> None:
        """Crates of crates.io; others are told, the project's own are not."""
        found = self.read(
            "Cargo.lock",
            '[[package]]\nname = "serde"\nversion = "1.0.1"\n'
            'source = "registry+https://github.com/rust-lang/crates.io-index"\n'
            '[[package]]\nname = "fork"\nversion = "1"\nsource = "git+https://g/x#a"\n'
            '[[package]]\nname = "me"\nversion = "0.1.0"\n',
        )
        self.assertEqual(found.urls, ("https://static.crates.io/crates/serde/1.0.1/download",))
        self.assertEqual(found.skipped, ("fork",))

    def test_go_sum(self) -> None:
        """Capital letters are escaped; a line for go.mod is of the .mod alone."""
        found = self.read(
            "go.sum",
            "github.com/BurntSushi/toml v1.2.0 h1:aa=\n"
            "github.com/BurntSushi/toml v1.2.0/go.mod h1:bb=\nnonsense\n",
        )
        base = "https://proxy.golang.org/github.com/!burnt!sushi/toml/@v/v1.2.0"
        self.assertEqual(found.urls, (f"{base}.info", f"{base}.zip", f"{base}.mod"))

    def test_pom(self) -> None:
        """Properties are filled in; what has no version of its own is told."""
        found = self.read(
            "pom.xml",
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><version>5</version>'
            "<properties><j.v>4.13</j.v></properties><dependencies>"
            "<dependency><groupId>junit</groupId><artifactId>junit</artifactId>"
            "<version>${j.v}</version></dependency>"
            "<dependency><groupId>g.h</groupId><artifactId>managed</artifactId></dependency>"
            "</dependencies></project>",
        )
        base = "https://repo.maven.apache.org/maven2/junit/junit/4.13/junit-4.13"
        self.assertEqual(found.urls, (f"{base}.pom", f"{base}.jar"))
        self.assertEqual(found.skipped, ("g.h:managed",))

    def test_refused(self) -> None:
        """Other files, broken ones and bombs are refused in words."""
        for name, text in (
            ("photo.png", ""),
            ("poetry.lock", "[[["),
            ("Cargo.lock", "= 1"),
            ("pom.xml", "<a>"),
            ("pom.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        ):
            self.assertRaises(BadList, items, name, text, ALL)
        self.assertEqual(
            [is_list(n) for n in ("a/b/go.sum", "requirements-dev.txt", "x")], [True, True, False]
        )
