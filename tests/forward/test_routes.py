"""URLs that a client asks a proxy for, and the rules that serve them."""

from __future__ import annotations

import re

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from aimirror.forward.routes import place
from aimirror.http.targets import parse_target
from aimirror.routing.choices import ContentRewrite, Credentials, PathRewrite
from aimirror.routing.rules import Refused, Route, Rule, route_of

INDEX = Rule(
    name="index",
    upstreams=("https://pypi.org",),
    path_prefix="/simple",
    content_rewrite=ContentRewrite(targets=("https://links.example/files",)),
)
FILES = Rule(
    name="files",
    upstreams=("https://files.example", "http://other.example:81/f"),
    pattern=re.compile("^/packages/"),
)
NVIDIA = Rule(
    name="nvidia",
    upstreams=("https://host.example/nvidia",),
    path_prefix="/nv",
    strip_prefix=True,
)
SHORT = Rule(name="short", upstreams=("https://host.example",), path_prefix="/all")
HUB = Rule(
    name="hub",
    upstreams=("https://hub.example",),
    path_rewrite=(PathRewrite(search="/blob/", replace="/resolve/"),),
)
REST = Rule(name="rest", upstreams=("https://pypi.org",))
ANY = Rule(
    name="any", upstreams=(), allow=("listed.example",), path_prefix="/any", strip_prefix=True
)
RULES = (INDEX, FILES, ANY, NVIDIA, SHORT, HUB, REST)


class PlaceTests(SynchronousTestCase):
    def place(self, url: str) -> Route | Refused | None:
        return place(RULES, parse_target(url))

    def found(self, url: str) -> tuple[str, str]:
        made = self.place(url)
        assert isinstance(made, Route), made
        return made.rule.name, made.path

    def test_host_first(self) -> None:
        """By host, then by base, then by path; the path is the mirror's own."""
        for url, wanted in (
            ("https://pypi.org/simple/a/", ("index", "/simple/a/")),
            ("https://pypi.org/packages/x", ("rest", "/packages/x")),
            ("https://pypi.org/", ("rest", "/")),
            ("https://files.example/packages/x", ("files", "/packages/x")),
            ("http://other.example:81/f/packages/x", ("files", "/packages/x")),
            ("https://host.example/nvidia/x", ("nvidia", "/nv/x")),
            ("https://host.example/nvidia", ("nvidia", "/nv")),
            ("https://host.example/all/x", ("short", "/all/x")),
            ("http://pypi.org/simple/a/", ("index", "/simple/a/")),
            ("https://links.example/files/packages/x", ("files", "/packages/x")),
            ("https://listed.example/x/y", ("any", "/any/https://listed.example/x/y")),
        ):
            self.assertEqual(self.found(url), wanted, url)

    def test_none(self) -> None:
        """What no rule would ask for is nobody's."""
        for url in (
            "https://files.example/other",  # a rule of this host, but not of this path
            "https://host.example/nvidiax",
            "https://pypi.org:8443/simple/a/",
            "https://links.example/elsewhere",
            "https://hub.example/a/blob/main/x",  # the rule would ask for another URL
            "http://files.example:443/packages/x",
            "https://evil.example/simple/a/",
        ):
            self.assertIsNone(self.place(url), url)

    def test_same_key(self) -> None:
        """A proxied URL has the entry of the mirror's own path for it."""
        for url, path, query in (
            ("https://pypi.org/simple/a/?x=%2f", "/simple/a/", "x=%2f"),
            ("http://other.example:81/f/packages/x", "/packages/x", ""),
            ("https://hub.example/a/resolve/main/x", "/a/resolve/main/x", ""),
        ):
            made = self.place(url)
            assert isinstance(made, Route)
            rules = [made.rule]
            mirrored = route_of(rules, path, query)
            assert isinstance(mirrored, Route)
            self.assertEqual((made.key, {*made.urls}), (mirrored.key, {*mirrored.urls}))

    def test_addressed_first(self) -> None:
        """Of several upstreams, the one that the client addresses is asked first."""
        for first, second in ((0, 1), (1, 0)):
            url = f"{FILES.upstreams[first]}/packages/x"
            made = self.place(url)
            assert isinstance(made, Route)
            self.assertEqual(made.urls, (url, f"{FILES.upstreams[second]}/packages/x"))

    def test_login(self) -> None:
        """Who addresses a host may log in there, though the rule's own paths pass no login on."""
        rules = (evolve(REST, credentials=Credentials.NONE),)
        made = place(rules, parse_target("https://pypi.org/account"))
        assert isinstance(made, Route)
        self.assertIs(made.rule.credentials, Credentials.FIRST)

    def test_refused(self) -> None:
        """Dot segments and control characters never reach an upstream."""
        for url in ("https://pypi.org/simple/../x", "https://pypi.org/%2e%2e/x", "https://a/%00"):
            self.assertIsInstance(self.place(url), Refused)
