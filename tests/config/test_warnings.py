"""What a configuration allows, and hardly means."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import ConfigError, load, plain
from aimirror.config.warnings import warnings
from aimirror.routing.rules import route_of

#: A file as the first versions of 0.3 came with.
FIRST = Path(__file__).with_name("first.yaml")
TOKENS = "the mirror takes the tokens of registries itself"
UP = "upstream: 'https://h.example'"


class WarningTests(SynchronousTestCase):
    def warned(self, rules: str = "", more: str = "", disk: int | None = None) -> list[str]:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        file = folder / "f.yaml"
        file.write_text(f"rules:\n{rules or f'- {{name: a, {UP}}}'}\n{more}\n")
        config = load(file, {})
        return list(warnings(config, plain(config), disk))

    def test_nothing(self) -> None:
        """The built-in configuration, all presets and an ordinary rule give no warning."""
        self.assertEqual(self.warned(), [])
        config = load(None, {})
        self.assertEqual(list(warnings(config, plain(config))), [])

    def test_document(self) -> None:
        """The user's own file gives none: rules that were added to it are not the user's fault."""
        config = load(FIRST.with_name("document.yaml"), {})
        self.assertEqual(list(warnings(config, plain(config))), [])

    def test_tokens_of_first_files(self) -> None:
        """What the first files of 0.3 have for tokens is left out, and named."""
        config = load(FIRST, {})
        self.assertEqual(
            list(warnings(config, plain(config))),
            [
                f"rules[1].header_rewrite: {TOKENS}; remove the key",
                f"rules[2]: {TOKENS}; remove the rule",
            ],
        )
        self.assertEqual(route_of(config.rules, "/simple/tokenizers/", "").rule.ecosystem, "pypi")

    def test_tokens_on_purpose(self) -> None:
        """A rule for tokens in a file of another kind stays; so does a key that is no mapping."""
        rules = "- {name: t, upstream: 'https://auth.docker.io', path_prefix: /token}"
        self.assertEqual(self.warned(rules), [])
        for keys in ("header_rewrite: 1", "header_rewrites: {realm: x}"):
            with self.assertRaisesRegex(ConfigError, r"rules\[0\].header_rewrites?: unknown key"):
                self.warned(f"- {{name: a, {keys}, {UP}}}")

    def test_shadowed(self) -> None:
        """A rule behind one that takes all of its paths can take none."""
        for first in ("", "pattern: '.*', ", "pattern: '^/', "):
            found = self.warned(f"- {{name: a, {first}{UP}}}\n- {{name: b, pattern: '^/x', {UP}}}")
            self.assertEqual(len(found), 1, first)
            self.assertIn("rule 'b' can take no path: rule 'a' before it", found[0])
        for first, second, count in (
            ("path_prefix: /a", "path_prefix: /a/b", 1),
            ("path_prefix: /a/b", "path_prefix: /a", 0),
            ("path_prefix: /a", "path_prefix: /ab", 0),
            ("pattern: 'x$'", "pattern: 'x$'", 1),
            ("pattern: 'x$'", "pattern: 'x$', path_prefix: /a", 0),
            ("pattern: '^/a/'", "path_prefix: /a", 0),
        ):
            rules = f"- {{name: a, {first}, {UP}}}\n- {{name: b, {second}, {UP}}}"
            self.assertEqual(len(self.warned(rules)), count, (first, second))

    def test_files_beside(self) -> None:
        """An index named by the folder of its pages may have its files beside that."""
        preset = "- {preset: python, name: i, path_prefix: %s, upstream: 'https://i.example%s'}"
        told = self.warned(preset % ("/i", "/pypi/simple"))
        self.assertEqual(len(told), 1)
        self.assertIn("name https://i.example/pypi as its upstream, and ask for /i/simple", told[0])
        for mount, base in (("/i", "/pypi"), ("/i/simple", "/pypi/simple"), ("/i", "/not-simple")):
            self.assertEqual(self.warned(preset % (mount, base)), [])

    def test_unmatchable(self) -> None:
        """A pattern that no path fits is told with the reason."""
        for keys, why in (
            ("pattern: '^simple/'", "paths begin with a slash"),
            ("pattern: '^https://pypi.org/'", "paths begin with a slash"),
            ("path_prefix: /nvidia, pattern: '^/simple/.*'", "its path_prefix is '/nvidia'"),
            ("path_prefix: /nvidia, pattern: '^/nvidia-x/'", "its path_prefix is '/nvidia'"),
        ):
            found = self.warned(f"- {{name: a, {keys}, {UP}}}")
            self.assertEqual(len(found), 1, keys)
            self.assertIn(why, found[0])
        for keys in (
            "pattern: '^/?simple'",
            "pattern: '^(a|/b)'",
            "pattern: '^/a|^b'",
            "path_prefix: /nvidia, pattern: '^/nvidia/x'",
            "path_prefix: /nvidia, pattern: '^/(simple|nvidia)'",
            "path_prefix: /nvidia, pattern: '^/'",
        ):
            self.assertEqual(self.warned(f"- {{name: a, {keys}, {UP}}}"), [], keys)

    def test_disk(self) -> None:
        """A limit beyond the whole disk is told with both sizes."""
        found = self.warned(more="cache: {max_size_gb: 200}", disk=100 * 1000**3)
        self.assertEqual(len(found), 1)
        self.assertIn("200 is more than the whole disk", found[0])
        self.assertIn("(100 GB)", found[0])
        self.assertEqual(self.warned(more="cache: {max_size_gb: 99}", disk=100 * 1000**3), [])

    def test_host_with_port(self) -> None:
        """A port in server.host is refused, and its own key is told; IPv6 addresses are not."""
        error = self.assertRaises(ConfigError, self.warned, "", "server: {host: 'localhost:8081'}")
        self.assertIn("server.port", str(error))
        self.assertEqual(self.warned(more="server: {host: '::1'}"), [])


class ShadowTests(SynchronousTestCase):
    def warned(self, rules: str) -> list[str]:
        file = Path(self.mktemp())
        file.write_text(f"rules: [{rules}]")
        return [each for each in warnings(load(file), {}) if " takes /" in each]

    def test_told(self) -> None:
        """A rule that takes another world's known path is told of, with that path."""
        mount = "{name: company, path_prefix: /nvidia, upstream: 'https://files.company'}"
        hub = "{name: hub, pattern: '^/.*/resolve/.+', upstream: 'https://huggingface.co'}"
        for first, path in ((mount, "/nvidia/name/resolve/main/model.safetensors"),):
            (told,) = self.warned(f"{first}, {hub}")
            self.assertIn(path, told)
            self.assertIn("'hub'", told)
        self.assertEqual(self.warned(f"{hub}, {mount}"), [])
        npm = "{preset: npm}"
        told = self.warned(f"{{name: wide, pattern: '/-/', upstream: 'https://h'}}, {npm}")[0]
        self.assertIn("/registry/npm/resolve/-/resolve-1.0.0.tgz", told)

    def test_built_in(self) -> None:
        """Neither the built-in configuration nor the first version's document has any."""
        for file in (None, Path(__file__).with_name("document.yaml")):
            config = load(file, {"HOME": "/h"})
            self.assertEqual([w for w in warnings(config, {}) if " takes /" in w], [])
