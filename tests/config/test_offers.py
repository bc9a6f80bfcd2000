"""Which clients a configuration serves."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import Config, load, offers
from aimirror.config.offers import moved, offered
from aimirror.ecosystems.registry import CLIENTS
from aimirror.routing.rules import Rule


class OffersTests(SynchronousTestCase):
    def rules(self, text: str) -> tuple[Rule, ...]:
        file = Path(self.mktemp())
        file.write_text(f"rules:\n{text}")
        return load(file, {}).rules

    def test_built_in(self) -> None:
        """The built-in configuration serves every client, at the usual places."""
        rules = load(None, {}).rules
        self.assertEqual(offered(rules), tuple(CLIENTS))
        self.assertEqual(moved(rules), {})

    def test_read_once(self) -> None:
        """However many clients are looked at, the built-in configuration is read once."""
        rules = self.rules("- {name: rest, upstream: 'http://h'}")
        calls: list[object] = []

        def counted(*words: object) -> Config:
            calls.append(words)
            return load(None, {})

        for kept in (offers._built_in, offers._usual, offers._home):
            kept.cache_clear()
        self.patch(offers, "load", counted)
        self.assertEqual((offered(rules), len(calls)), ((), 1))

    def test_last_rule(self) -> None:
        """What only the rule for the rest takes is offered when it is its world's own source."""
        rules = self.rules(
            "- {name: hub, pattern: '^/v2/.*', upstream: 'https://registry-1.docker.io'}\n"
            "- {name: r, pattern: '/src/contrib/.*', upstream: 'https://cran.r-project.org'}\n"
            "- {name: rest, pattern: '.*', upstream: 'https://pypi.org', ecosystem: none}\n"
        )
        python = ("pip", "uv", "poetry", "pdm")
        images = ("docker", "containerd", "podman", "k3s", "buildkit")
        self.assertEqual(offered(rules), (*python, *images, "r"))

    def test_moved(self) -> None:
        """A source is found under its own path, also where a rule serves more than it."""
        rules = self.rules(
            "- {preset: conda, name: cf, path_prefix: /conda/conda-forge}\n"
            "- {preset: go, path_prefix: /go}\n"
            "- {name: py, path_prefix: /py, strip_prefix: true, upstream: 'https://pypi.org'}\n"
        )
        self.assertEqual(
            moved(rules),
            {"/conda-forge": "/conda/conda-forge", "/goproxy": "/go", "/simple": "/py/simple"},
        )
        self.assertEqual(offered(rules), ("pip", "uv", "poetry", "pdm", "conda", "pixi", "go"))
