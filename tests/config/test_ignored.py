"""Keys of a configuration that change nothing."""

from __future__ import annotations

from pathlib import Path

from attrs import fields
from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import load, plain
from aimirror.config.ignored import ignored
from aimirror.ecosystems.registry import NAMES, WORLDS
from aimirror.registries.auth import Credential
from aimirror.registries.registry import Registry
from aimirror.registries.sources import IGNORED, Sources
from aimirror.routing.policies import CachePolicy
from aimirror.routing.rules import Rule

UP = "upstream: 'https://h.example'"
UPS = "'https://h.example', 'https://i.example'"
#: Keys of rules, each with what is not its default.
KEYS = {
    "path_prefix": "path_prefix: /v2",
    "strip_prefix": "path_prefix: /v2, strip_prefix: true",
    "min_size": "strategy: parallel, min_size: 5",
    "max_size": "max_size: 9GB",
    "concurrency": "strategy: parallel, concurrency: 5",
    "chunk_size": "strategy: parallel, chunk_size: 5MB",
    "cache_key_source": "cache_key_source: final",
    "path_rewrite": "path_rewrite: [{search: a, replace: b}]",
    "content_rewrite": "content_rewrite: {targets: ['https://a.example']}",
    "head_meta_headers": "head_meta_headers: [x-a]",
    "immutable": "immutable: '/a$'",
    "digest": "digest: {algorithm: sha256, from: header, name: X-A}",
    "public": "public: true",
    "credentials": "credentials: all",
    "on_missing": "on_missing: next",
    "names": "on_missing: next, names: [a-*]",
    "request_headers": "request_headers: [x-a]",
    "credential_headers": "credential_headers: [x-a]",
    "reject_types": "reject_types: [text/html]",
    "rate_limit": "rate_limit: 1MB",
    "cache.ttl": "cache: {ttl: 1h}",
    "cache.stale_if_error": "cache: {stale_if_error: 1h}",
    "cache.stale_while_revalidate": "cache: {stale_while_revalidate: 1h}",
    "cache.negative_ttl": "cache: {negative_ttl: 1h}",
    "cache.ignore_upstream": "cache: {ttl: 1h, ignore_upstream: true}",
    "cache.ignore_no_store": "cache: {ignore_no_store: true}",
    "cache.obey_clients": "cache: {obey_clients: true}",
    "cache.private_grace": "cache: {private_grace: 1h}",
    "upstream_proxy": "upstream_proxy: ''",
    "tier": "tier: false",
    "cors": "cors: true",
}
#: Which paths a rule takes, where they are and who is believed there, and who knows them.
OTHERS = {
    *("name", "upstreams", "allow", "strategy", "pattern", "handler", "ecosystem", "cache"),
    *("ca_file", "client_cert", "client_key"),
}
#: What one world alone heeds.
OF_WORLDS = {"cooldown": ("cooldown: 7d", "pypi"), "xet": ("xet: pass", "huggingface")}


class IgnoredCase(SynchronousTestCase):
    def said(self, rules: str = "", more: str = "") -> list[str]:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        file = folder / "f.yaml"
        file.write_text(f"rules:\n{rules or f'- {{name: a, {UP}}}'}\n{more}\n")
        config = load(file, {})
        return list(ignored(config, plain(config)))


class RuleTests(IgnoredCase):
    def test_all_keys(self) -> None:
        """The keys below are all that a rule has."""
        named = {key.partition(".")[0] for key in KEYS} - {"digest"} | {"digests"}
        self.assertEqual({f.name for f in fields(Rule)}, named | OTHERS | OF_WORLDS.keys())
        policies = {key[6:] for key in KEYS if key.startswith("cache.")}
        self.assertEqual({f.name for f in fields(CachePolicy)}, policies)

    def test_worlds(self) -> None:
        """Of each world those keys are told, and no others, that it does not heed."""
        ignores = {world.name: world.ignores for world in WORLDS}
        for world in ("none", *NAMES):
            for key, text in KEYS.items():
                rule = f"- {{name: a, ecosystem: {world}, {text}, upstream: [{UPS}]}}"
                told = self.said(rule)
                wanted = ignores.get(world, {}).get(key)
                keys = [each.partition(":")[0] for each in told]
                if wanted is None:
                    self.assertNotIn(f"rules[0].{key}", keys, (world, key))
                else:
                    self.assertIn(
                        f"rules[0].{key}: of no use with ecosystem: {world}, {wanted}", told
                    )

    def test_one_world(self) -> None:
        """What one world alone heeds is told with it."""
        for world in NAMES:
            for key, (text, own) in OF_WORLDS.items():
                told = self.said(f"- {{name: a, ecosystem: {world}, {text}, {UP}}}")
                need = f"rules[0].{key}: of no use without ecosystem: {own}"
                self.assertEqual(told, [] if world == own else [need])

    def test_registries(self) -> None:
        """A key that registries' rules are made without is among those that are told."""
        made = Sources().rules(self.rule(""), Registry(name="r"), Credential())[0]
        for key, text in KEYS.items():
            same = Sources().rules(self.rule(text), Registry(name="r"), Credential())[0] == made
            if same and key != "path_prefix":
                self.assertIn(key, IGNORED)

    def rule(self, text: str) -> Rule:
        file = Path(self.mktemp())
        file.parent.mkdir(parents=True, exist_ok=True)
        keys = ", ".join(filter(None, ("name: a, ecosystem: oci", UP, text)))
        file.write_text(f"rules: [{{{keys}}}]")
        return load(file, {}).rules[0]

    def test_conditions(self) -> None:
        """Keys that change nothing as their rule stands are told with what they need."""
        for keys, key, need in (
            ("concurrency: 9", "concurrency", "without strategy: parallel"),
            ("min_size: 1", "min_size", "without strategy: parallel"),
            ("on_missing: next", "on_missing", "with one upstream"),
            ("cache: {ignore_upstream: true}", "cache.ignore_upstream", "without cache.ttl"),
        ):
            told = self.said(f"- {{name: a, {keys}, {UP}}}")
            self.assertEqual(told, [f"rules[0].{key}: of no use {need}"])
        several = f"- {{name: a, names: [a], upstream: [{UPS}]}}"
        told = self.said(several)
        self.assertEqual(told, ["rules[0].names: of no use without on_missing: next"])

    def test_defaults(self) -> None:
        """What a key says that would hold without it is no error."""
        keys = "cache_key_source: original, public: false, immutable: false"
        self.assertEqual(self.said(f"- {{name: a, ecosystem: oci, {keys}, {UP}}}"), [])

    def test_presets(self) -> None:
        """Of a preset those keys are told that none of its rules heeds."""
        for text, told in (
            ("{preset: pypi, cooldown: 7d}", []),
            ("{preset: docker, concurrency: 9}", []),
            ("{preset: docker, cache: {ttl: 1h}}", []),
            ("{preset: docker, cooldown: 7d}", ["cooldown"]),
            ("{preset: docker, public: true}", ["public"]),
        ):
            keys = [each.partition(":")[0] for each in self.said(f"- {text}")]
            self.assertEqual(keys, [f"rules[0].{key}" for key in told], text)

    def test_nothing(self) -> None:
        """The built-in configuration and the first version's document have none."""
        for file in (None, Path(__file__).with_name("document.yaml")):
            config = load(file, {"HOME": "/h"})
            self.assertEqual(list(ignored(config, plain(config))), [])


class SectionTests(IgnoredCase):
    def test_sections(self) -> None:
        """So are those of the other sections."""
        for more, key in (
            ("admin: {hosts: [10.0.0.0/8]}", "admin.hosts"),
            ("forward: {enabled: false, allow: [a.example]}", "forward.allow"),
            ("forward: {pinned: [a.example]}", "forward.pinned"),
            ("logging: {max_size: 1MB}", "logging.max_size"),
            ("logging: {keep: 2}", "logging.keep"),
            ("logging: {access: 'off', access_file: a.log}", "logging.access_file"),
            ("cache: {lru_enabled: false, max_size_gb: 1}", "cache.max_size_gb"),
            ("registries: {r.example: {}}", "registries"),
        ):
            self.assertEqual([each.partition(":")[0] for each in self.said(more=more)], [key])
        token = f"admin: {{hosts: [10.0.0.0/8], token: {'t' * 16}}}"
        self.assertEqual(self.said(more=token), [])
        table = "registries: {r.example: {share: true}}"
        told = self.said("- {preset: docker}", table)
        self.assertEqual([each.partition(":")[0] for each in told], ["registries.r.example.share"])
