"""Presets: what they stand for, what overrides them, what is printed of them."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import Config, ConfigError, expanded, load
from aimirror.config.presets import presets
from aimirror.routing.choices import Strategy
from aimirror.routing.mounts import Mount, mounts, own_bases
from aimirror.routing.rules import Refused, Route, Rule, route_of

HEX = "0f" * 32


class PresetTests(SynchronousTestCase):
    def written(self, text: str) -> Path:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        file = folder / "f.yaml"
        file.write_text(text)
        return file

    def load(self, text: str) -> Config:
        return load(self.written(text))

    def only(self, rules: tuple[Rule, ...], path: str) -> Route:
        found = route_of(rules, path, "")
        assert isinstance(found, Route), found
        return found

    def test_headlines(self) -> None:
        """Presets under the names of the first clients are the rules of the built-in file."""
        built_in = {rule.name: rule for rule in load(None, {}).rules}
        for name, begin, count in (
            ("pypi", "pip", 3),
            ("python", "pip", 3),
            ("docker", "docker", 2),
            ("huggingface", "huggingface", 5),
            ("nvidia", "nvidia", 3),
            ("torch", "torch", 6),
        ):
            rules = self.load(f"rules: [{{preset: {name}}}]").rules
            own = [evolve(rule, name=begin + rule.name.removeprefix(name)) for rule in rules]
            self.assertEqual(own, [built_in[rule.name] for rule in own], name)
            self.assertEqual(len(own), count, name)

    def test_python_elsewhere(self) -> None:
        """``preset: python`` with an upstream is that index, without one it is PyPI."""
        text = "rules: [{preset: python, path_prefix: /own, upstream: 'https://i.example/simple'}]"
        rules = self.load(text).rules
        self.assertEqual({rule.path_prefix for rule in rules}, {"/own"})
        self.assertEqual(rules[-1].upstreams, ("https://i.example/simple",))

    def test_did_you_mean(self) -> None:
        """A preset that there is not is told with the likeliest one."""
        error = self.assertRaises(ConfigError, self.load, "rules: [{preset: hugginface}]")
        self.assertIn("did you mean huggingface?", str(error))

    def test_all_load(self) -> None:
        """All presets together are a right configuration, and every rule is theirs by name."""
        text = "rules:\n" + "".join(f"  - preset: {name}\n" for name in presets())
        rules = self.load(text).rules
        for name in presets():
            own = [r for r in rules if r.name == name or r.name.startswith(f"{name}-")]
            self.assertNotEqual(own, [], name)

    def test_routes(self) -> None:
        """The paths of each client go to the right URL; released files alone are immutable."""
        rules = self.load("rules:\n" + "".join(f"  - preset: {n}\n" for n in presets())).rules
        for path, url, immutable in (
            ("/registry/npm/@a%2fb", "registry.npmjs.org/@a%2fb", False),
            ("/registry/npm/@a/b/-/b-1.0.0.tgz", "registry.npmjs.org/@a/b/-/b-1.0.0.tgz", True),
            ("/registry/npm/-/npm/v1/security/advisories/bulk", "registry.npmjs.org/-/npm", False),
            ("/conda-forge/noarch/a-1-0.conda", "conda.anaconda.org/conda-forge/noarch/a", True),
            ("/conda-forge/noarch/repodata.json.zst", "conda.anaconda.org/conda-forge/", False),
            ("/bin/windows/contrib/4.2/a_1.0.zip", "cran.r-project.org/bin/windows", True),
            ("/bin/windows/contrib/4.2/PACKAGES.rds", "cran.r-project.org/bin/windows", False),
            ("/src/contrib/Archive/a/a_1.0.tar.gz", "cran.r-project.org/src/contrib/Arch", True),
            ("/maven2/g/a/1.0/a-1.0.pom.sha1", "repo.maven.apache.org/maven2/g/a/1.0/a-1", True),
            ("/maven2/g/a/1-SNAPSHOT/a-1-2-3.jar", "repo.maven.apache.org/maven2/g/a/", False),
            ("/maven2/g/a/maven-metadata.xml", "repo.maven.apache.org/maven2/g/a/maven", False),
            ("/maven2/.meta/prefixes.txt", "repo.maven.apache.org/maven2/.meta/prefix", False),
            ("/maven2/archetype-catalog.xml", "repo.maven.apache.org/maven2/archetype", False),
            ("/maven2/.index/a.properties", "repo.maven.apache.org/maven2/.index/a.prop", False),
            ("/debian/flat/a_1_all.deb", "deb.debian.org/debian/flat/", True),
            ("/debian/flat/Packages.gz", "deb.debian.org/debian/flat/", False),
            (f"/debian/dists/x/by-hash/SHA256/{HEX}", "deb.debian.org/debian/dists/x/", True),
            ("/debian/dists/x/InRelease", "deb.debian.org/debian/dists/x/InRelease", False),
            ("/debian/pool/main/a/a_1_all.deb", "deb.debian.org/debian/pool/main/", True),
            ("/goproxy/a.b/!c/@v/v1.0.0.zip", "proxy.golang.org/a.b/!c/@v/v1.0.0.zip", True),
            ("/goproxy/a.b/c/@v/list", "proxy.golang.org/a.b/c/@v/list", False),
            ("/goproxy/a.b/c/@v/master.info", "proxy.golang.org/a.b/c/@v/master.info", False),
            ("/crates/se/rd/serde", "index.crates.io/se/rd/serde", False),
            ("/crates-files/serde/1.0.0/download", "static.crates.io/crates/serde/1.0.0", True),
            ("/rubygems/gems/a-1.gem", "rubygems.org/gems/a-1.gem", True),
            ("/rubygems/info/a", "rubygems.org/info/a", False),
            ("/alpine/v3/main/x86_64/a-1-r0.apk", "dl-cdn.alpinelinux.org/alpine/v3/", True),
            ("/alpine/v3/main/x86_64/APKINDEX.tar.gz", "dl-cdn.alpinelinux.org/alpine/", False),
            (f"/fedora/os/repodata/{HEX}-primary.xml.gz", "dl.fedoraproject.org/pub/", True),
            ("/fedora/os/repodata/repomd.xml", "dl.fedoraproject.org/pub/", False),
            ("/homebrew/v2/homebrew/core/a/manifests/1", "ghcr.io/v2/homebrew/core/a/", False),
            ("/github/o/r/releases/download/v1/a.bin", "github.com/o/r/releases/", False),
            ("/github/o/r.git/info/refs", "github.com/o/r.git/info/refs", False),
            ("/github-raw/o/r/main/f", "raw.githubusercontent.com/o/r/main/f", False),
        ):
            found = self.only(rules, path)
            self.assertTrue(found.urls[0].startswith(f"https://{url}"), found.urls)
            self.assertEqual(found.immutable, immutable, path)

    def test_cran_elsewhere(self) -> None:
        """CRAN's rules go below a prefix, and its kin have mounts of their own."""
        rules = self.load(
            "rules: [{preset: cran, name: ours, path_prefix: /ours, upstream: 'https://r.example/x'},"
            " {preset: bioconductor}, {preset: ppm}, {preset: r-universe}, {preset: cran}]"
        ).rules
        bioc = "/packages/3.19/bioc/src/contrib"
        linux = "/cran/__linux__/jammy/latest/src/contrib"
        for path, url, immutable in (
            ("/ours/src/contrib/PACKAGES", "r.example/x/src/contrib/PACKAGES", False),
            ("/ours/bin/macosx/c/a_1.0.tgz", "r.example/x/bin/macosx/c/a_1.0.tgz", True),
            ("/src/contrib/PACKAGES", "cran.r-project.org/src/contrib/PACKAGES", False),
            (f"/bioconductor{bioc}/PACKAGES.gz", f"bioconductor.org{bioc}/PACKAGES.gz", False),
            (f"/bioconductor{bioc}/a_1.0.tar.gz", f"bioconductor.org{bioc}/a_1.0.tar.gz", True),
            ("/bioconductor/config.yaml", "bioconductor.org/config.yaml", False),
            (f"/ppm{linux}/a_1.0.tar.gz", f"packagemanager.posit.co{linux}/a_1.0.tar.gz", True),
            ("/r-universe/src/contrib/PACKAGES", "ropensci.r-universe.dev/src/contrib/", False),
        ):
            found = self.only(rules, path)
            self.assertTrue(found.urls[0].startswith(f"https://{url}"), found.urls)
            self.assertEqual((found.immutable, found.rule.ecosystem), (immutable, "cran"), path)

    def test_second_cargo(self) -> None:
        """A second registry of crates has mounts, and an index, of its own."""
        rules = self.load(
            "rules: [{preset: cargo}, {preset: cargo-files, name: ours-files, path_prefix: /of, "
            "upstream: 'https://dl.example'}, {preset: cargo-index, name: ours, path_prefix: /oi, "
            "upstream: 'https://i.example', content_rewrite: {content_types: [json], "
            "targets: ['https://dl.example']}}]"
        ).rules
        url = self.only(rules, "/of/a/1.0.0/download").urls[0]
        self.assertEqual(url, "https://dl.example/a/1.0.0/download")
        bases = own_bases(rules, "cargo", url)
        self.assertIn("https://i.example/", bases)
        self.assertNotIn("https://index.crates.io/", bases)
        self.assertIn(Mount("https://dl.example", "/of"), mounts(rules))

    def test_override(self) -> None:
        """Fields beside ``preset`` replace those of each of its rules; the name becomes theirs."""
        rules = self.load(
            "rules:\n  - {preset: conda, name: b, path_prefix: /b, upstream: 'http://h/b', "
            "concurrency: 3}"
        ).rules
        self.assertEqual([r.name for r in rules], ["b-files", "b-shards", "b-index", "b"])
        self.assertEqual({(r.concurrency, r.upstreams) for r in rules}, {(3, ("http://h/b",))})
        self.assertIs(self.only(rules, "/b/noarch/x-1-0.conda").rule.strategy, Strategy.PARALLEL)

    def test_mistakes(self) -> None:
        """An unknown preset, or a prefix for one that has several, is a mistake with its place."""
        for text, said in (
            ("{preset: nmp}", "rules[0].preset: 'nmp' is not allowed"),
            ("{preset: cargo, path_prefix: /c}", "rules[0].path_prefix: the preset cargo has"),
            ("{preset: npm, strategy: fast}", "rules[0].strategy: 'fast' is not allowed"),
        ):
            error = self.assertRaises(ConfigError, self.load, f"rules: [{text}]")
            self.assertIn(said, str(error))

    def test_shown(self) -> None:
        """What is printed is a configuration that means the same, without passwords."""
        text = "server: {upstream_proxy: 'http://u:p@h:1'}\nrules: [{preset: npm}]"
        file = self.written(text)
        shown = expanded(file)
        self.assertNotIn("preset", shown)
        self.assertNotIn("u:p", shown)
        self.assertEqual(self.load(shown).rules, load(file).rules)


class OpenTests(SynchronousTestCase):
    def rules(self, allow: str) -> tuple[Rule, ...]:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        file = folder / "f.yaml"
        file.write_text(f"rules: [{{name: any, upstream: '*', allow: {allow}}}]")
        return load(file).rules

    def test_route(self) -> None:
        """With ``upstream: "*"`` the path names the upstream, one of those allowed."""
        rules = self.rules("[a.example, 'b.example:8080', '*.c.example']")
        for path, url in (
            ("/https://a.example/x%2Fy", "https://a.example/x%2Fy"),
            ("/https:/a.example/x", "https://a.example/x"),
            ("/http://b.example:8080/", "http://b.example:8080/"),
            ("/https://d.c.example", "https://d.c.example/"),
        ):
            found = route_of(rules, path, "")
            assert isinstance(found, Route), path
            self.assertEqual(found.urls, (url,))

    def test_refused(self) -> None:
        """Any other host, port, scheme or user is refused."""
        rules = self.rules("[a.example, '*.c.example']")
        for path in (
            "/https://b.example/",
            "/https://a.example:81/",
            "/https://c.example/",
            "/https://evilc.example/",
            "/https://a.example@b.example/",
            "/ftp://a.example/",
            "/x",
        ):
            self.assertIsInstance(route_of(rules, path, ""), Refused, path)

    def test_links(self) -> None:
        """Links to the listed hosts map back to the path that serves them."""
        found = {m.base: m.prefix for m in mounts(self.rules("[a.example]"))}
        self.assertEqual(found["https://a.example"], "/https://a.example")
