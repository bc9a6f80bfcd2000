from __future__ import annotations

import re

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.routing.choices import ContentRewrite, PathRewrite
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Refused, Route, Rule, route_of

HEX = "0123456789abcdef" * 4
ALL = Rule(name="all", upstreams=("https://all.example",))


def rule(**fields: object) -> Rule:
    return evolve(Rule(name="r", upstreams=("https://up.example",)), **fields)


class RouteTests(SynchronousTestCase):
    def routed(self, rules: tuple[Rule, ...], path: str, query: str = "") -> Route:
        found = route_of(rules, path, query)
        assert isinstance(found, Route), found
        return found

    def test_first_wins(self) -> None:
        """The first rule that matches takes the request; without one there is no route."""
        rules = (rule(pattern=re.compile("/a/")), ALL)
        self.assertEqual(self.routed(rules, "/x/a/y").rule.name, "r")
        self.assertEqual(self.routed(rules, "/b").rule.name, "all")
        self.assertIsNone(route_of(rules[:1], "/b", ""))

    def test_prefix_boundary(self) -> None:
        """A prefix takes itself and what lies below, not names that merely begin or hold it."""
        for prefix in ("/nvidia", "/nvidia/"):
            rules = (rule(path_prefix=prefix),)
            for path in ("/nvidia", "/nvidia/", "/nvidia/x"):
                self.assertIsNotNone(route_of(rules, path, ""), path)
            for path in ("/nvidiax", "/api/nvidia", "/", "/nvidia%2Fx"):
                self.assertIsNone(route_of(rules, path, ""), path)

    def test_prefix_and_pattern(self) -> None:
        """A rule with both takes only what fits both."""
        rules = (rule(path_prefix="/a", pattern=re.compile(r"\.whl$")),)
        self.assertIsNotNone(route_of(rules, "/a/x.whl", ""))
        self.assertIsNone(route_of(rules, "/a/x.zip", ""))
        self.assertIsNone(route_of(rules, "/b/x.whl", ""))

    def test_strip(self) -> None:
        """A stripped prefix is not sent, and the mount itself is the upstream's base."""
        stripped = rule(path_prefix="/n", strip_prefix=True, upstreams=("https://h/base/",))
        for path, wanted in (("/n/x", "/base/x"), ("/n/", "/base/"), ("/n", "/base")):
            self.assertEqual(self.routed((stripped,), path).urls, (f"https://h{wanted}",))
        root = evolve(stripped, upstreams=("https://h",))
        self.assertEqual(self.routed((root,), "/n").urls, ("https://h/",))

    def test_rewrite(self) -> None:
        """Replacements are literal, touch the path alone and never reach into the host."""
        rewriting = rule(path_rewrite=(PathRewrite("/blob/", "/resolve/"), PathRewrite(".", "_")))
        found = self.routed((rewriting,), "/m/blob/main/a.b", "x=/blob/")
        self.assertEqual(found.urls, ("https://up.example/m/resolve/main/a_b?x=/blob/",))
        eating = rule(path_rewrite=(PathRewrite("/x", ""),))
        self.assertEqual(
            self.routed((eating,), "/x.evil.example").urls, ("https://up.example/.evil.example",)
        )

    def test_key(self) -> None:
        """The key is the first upstream's URL in canonical form; URLs keep the client's letters."""
        two = rule(upstreams=("HTTPS://A.example:443/b/", "http://b.example"))
        lower, upper = (self.routed((two,), f"/@s%2{f}n~", "a=b&a=c") for f in "fF")
        self.assertEqual(
            lower.urls,
            ("https://a.example/b/@s%2fn~?a=b&a=c", "http://b.example/@s%2fn~?a=b&a=c"),
        )
        self.assertEqual(lower.key, "https://a.example/b/@s%2Fn~?a=b&a=c")
        self.assertEqual(lower.key, upper.key)
        self.assertNotEqual(lower.key, self.routed((two,), "/@s%2Fn~", "a=c&a=b").key)

    def test_refused(self) -> None:
        """A target that could leave its mount is refused, also when a rewrite made it so."""
        self.assertIsInstance(route_of((ALL,), "/a/../b", ""), Refused)
        self.assertIsInstance(route_of((ALL,), "/a/%2e%2e/b", ""), Refused)
        self.assertIsInstance(route_of((ALL,), "/a", "x\ny"), Refused)
        made = rule(path_rewrite=(PathRewrite("x", "."),))
        self.assertIsInstance(route_of((made,), "/xx/b", ""), Refused)

    def test_immutable(self) -> None:
        """Content is immutable by the rule's word, its pattern, or a digest in the path."""
        for immutable, path, wanted in (
            (True, "/a", True),
            (False, "/a", False),
            (re.compile("/[0-9a-f]{40}/"), f"/m/{HEX[:40]}/f", True),
            (re.compile("/[0-9a-f]{40}/"), "/m/main/f", False),
            (False, f"/v2/a/blobs/sha256:{HEX}", True),
        ):
            found = self.routed((rule(immutable=immutable),), path)
            self.assertEqual(found.immutable, wanted, path)
        self.assertEqual(found.digest, Digest("sha256", HEX))

    @settings(max_examples=50, deadline=None)
    @given(st.text(alphabet="abn/.%2eE;\\@:é", max_size=24))
    def test_stays_under_the_base(self, tail: str) -> None:
        """Whatever path is asked for, the URL lies under the upstream's base or is refused."""
        mount = rule(path_prefix="/n", strip_prefix=True, upstreams=("https://h/base",))
        found = route_of((mount,), f"/n/{tail}", "")
        if isinstance(found, Route):
            self.assertTrue(found.urls[0].startswith("https://h/base/"))
            segments = found.urls[0].lower().replace("%2e", ".").replace("%2f", "/").split("/")
            self.assertFalse({".", ".."} & set(segments))


class RuleTests(SynchronousTestCase):
    def test_content_types(self) -> None:
        """Content types match by substring, without case."""
        rewriting = ContentRewrite(content_types=("application/vnd.pypi.simple",))
        self.assertTrue(rewriting.applies("Application/vnd.PyPI.simple.v1+json; charset=utf-8"))
        self.assertFalse(rewriting.applies("application/json"))

    def test_pages(self) -> None:
        """A page is no archive, and no index of a package world that is named like a file."""
        page, plain = "text/HTML; charset=utf-8", "text/plain"
        world = rule(ecosystem="conda")
        for path in (
            *("/noarch/repodata.json", "/noarch/repodata.json.zst", "/a/maven-metadata.xml.sha1"),
            *("/dists/sid/InRelease", "/src/contrib/PACKAGES", "/a/1/a-1.pom"),
        ):
            self.assertTrue(world.rejects(page, path), path)
            self.assertFalse(world.rejects(plain, path), path)
            self.assertFalse(rule().rejects(page, path), path)
        for path in ("/simple/a/", "/a", "/noarch/", "/index.html", "/a.json/"):
            self.assertFalse(world.rejects(page, path), path)
        self.assertTrue(rule(reject_types=("text/html",)).rejects(page, "/a"))

    def test_secret(self) -> None:
        """A proxy's password is not shown."""
        self.assertNotIn("secret", repr(rule(upstream_proxy="http://u:secret@p:3128")))
