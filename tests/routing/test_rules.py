from __future__ import annotations

import re

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.routing.digests import Digest
from aimirror.routing.rules import (
    ContentRewrite,
    Mount,
    PathRewrite,
    Refused,
    Route,
    Rule,
    hosts,
    mounts,
    own_bases,
    route,
)

HEX = "0123456789abcdef" * 4
ALL = Rule(name="all", upstreams=("https://all.example",))


def rule(**fields: object) -> Rule:
    return evolve(Rule(name="r", upstreams=("https://up.example",)), **fields)


class RouteTests(SynchronousTestCase):
    def routed(self, rules: tuple[Rule, ...], path: str, query: str = "") -> Route:
        found = route(rules, path, query)
        assert isinstance(found, Route), found
        return found

    def test_first_wins(self) -> None:
        """The first rule that matches takes the request; without one there is no route."""
        rules = (rule(pattern=re.compile("/a/")), ALL)
        self.assertEqual(self.routed(rules, "/x/a/y").rule.name, "r")
        self.assertEqual(self.routed(rules, "/b").rule.name, "all")
        self.assertIsNone(route(rules[:1], "/b", ""))

    def test_prefix_boundary(self) -> None:
        """A prefix takes itself and what lies below, not names that merely begin or hold it."""
        for prefix in ("/nvidia", "/nvidia/"):
            rules = (rule(path_prefix=prefix),)
            for path in ("/nvidia", "/nvidia/", "/nvidia/x"):
                self.assertIsNotNone(route(rules, path, ""), path)
            for path in ("/nvidiax", "/api/nvidia", "/", "/nvidia%2Fx"):
                self.assertIsNone(route(rules, path, ""), path)

    def test_prefix_and_pattern(self) -> None:
        """A rule with both takes only what fits both."""
        rules = (rule(path_prefix="/a", pattern=re.compile(r"\.whl$")),)
        self.assertIsNotNone(route(rules, "/a/x.whl", ""))
        self.assertIsNone(route(rules, "/a/x.zip", ""))
        self.assertIsNone(route(rules, "/b/x.whl", ""))

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
        self.assertIsInstance(route((ALL,), "/a/../b", ""), Refused)
        self.assertIsInstance(route((ALL,), "/a/%2e%2e/b", ""), Refused)
        self.assertIsInstance(route((ALL,), "/a", "x\ny"), Refused)
        made = rule(path_rewrite=(PathRewrite("x", "."),))
        self.assertIsInstance(route((made,), "/xx/b", ""), Refused)

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
        found = route((mount,), f"/n/{tail}", "")
        if isinstance(found, Route):
            self.assertTrue(found.urls[0].startswith("https://h/base/"))
            segments = found.urls[0].lower().replace("%2e", ".").replace("%2f", "/").split("/")
            self.assertFalse({".", ".."} & set(segments))


class MountTests(SynchronousTestCase):
    def test_mounts(self) -> None:
        """Links map to the stripped prefix, to the kept one, and targets to the root."""
        rules = (
            rule(path_prefix="/npm", strip_prefix=True, upstreams=("https://n/", "https://m")),
            rule(path_prefix="/simple", upstreams=("https://pypi",)),
            rule(upstreams=("https://unmounted",)),
            rule(content_rewrite=ContentRewrite(targets=("https://Files:443/", "https://n"))),
        )
        self.assertEqual(
            set(mounts(rules)),
            {
                Mount("https://n", "/npm"),
                Mount("https://m", "/npm"),
                Mount("https://pypi/simple", "/simple"),
                Mount("https://unmounted", ""),
                Mount("https://files", ""),
            },
        )

    def test_patterns(self) -> None:
        """A pattern that takes all below a path mounts it there, unless others come first."""
        for pattern, prefix in (
            ("^/files/.+", "/files"),
            ("/files/.*", "/files"),
            ("^/a/b-c/", "/a/b-c"),
            (".*", ""),
            ("^/", ""),
            (r"^/files/.+\.whl$", None),
            ("^/(a|b)/.*", None),
            ("^/taken/.*", None),
        ):
            taken = rule(pattern=re.compile("^/taken/"), upstreams=("https://t",))
            mounted = rule(pattern=re.compile(pattern), upstreams=("https://h/x/",))
            found = {m.base: m.prefix for m in mounts((taken, mounted))}
            wanted = {} if prefix is None else {f"https://h/x{prefix}": prefix}
            self.assertEqual(found, {"https://t/taken": "/taken", **wanted}, pattern)

    def test_order(self) -> None:
        """The first rule wins on equal bases, and the longest base comes first."""
        rules = (
            rule(path_prefix="/a", strip_prefix=True, upstreams=("https://h",)),
            rule(path_prefix="/b", strip_prefix=True, upstreams=("https://h/",)),
            rule(path_prefix="/c", strip_prefix=True, upstreams=("https://h/deep",)),
        )
        self.assertEqual(mounts(rules), (Mount("https://h/deep", "/c"), Mount("https://h", "/a")))

    def test_round_trip(self) -> None:
        """A URL made from a mounted path maps back to that path."""
        for stripped in (True, False):
            rules = (rule(path_prefix="/n", strip_prefix=stripped, upstreams=("https://h/b",)),)
            (mount,) = mounts(rules)
            found = route(rules, "/n/x/y", "")
            assert isinstance(found, Route)
            self.assertEqual(found.urls[0].replace(mount.base, mount.prefix), "/n/x/y")

    def test_hosts(self) -> None:
        """The hosts of all upstreams, as names."""
        rules = (ALL, rule(upstreams=("https://A.example:8443/x", "http://[::1]:1")))
        self.assertEqual(hosts(rules), {"all.example", "a.example", "::1"})


class RuleTests(SynchronousTestCase):
    def test_content_types(self) -> None:
        """Content types match by substring, without case."""
        rewriting = ContentRewrite(content_types=("application/vnd.pypi.simple",))
        self.assertTrue(rewriting.applies("Application/vnd.PyPI.simple.v1+json; charset=utf-8"))
        self.assertFalse(rewriting.applies("application/json"))

    def test_secret(self) -> None:
        """A proxy's password is not shown."""
        self.assertNotIn("secret", repr(rule(upstream_proxy="http://u:secret@p:3128")))


class OwnBaseTests(SynchronousTestCase):
    def bases(self, url: str, *upstreams: str, targets: tuple[str, ...] = ()) -> tuple[str, ...]:
        rules = [
            Rule(
                name=f"r{number}",
                upstreams=(upstream,),
                ecosystem="pypi",
                content_rewrite=ContentRewrite(targets=targets if not number else ()),
            )
            for number, upstream in enumerate(upstreams)
        ]
        other = Rule(name="other", upstreams=("https://own.test/",), ecosystem="npm")
        return own_bases([*rules, other], "pypi", url)

    def test_named(self) -> None:
        """An index whose rule names the files' place has the say, wherever it is."""
        found = self.bases(
            "https://files.test/a/x.whl",
            "https://index.test/simple",
            "https://files.test.evil/",
            targets=("https://files.test",),
        )
        self.assertEqual(found, ("https://index.test/simple",))

    def test_above(self) -> None:
        """So has one above the file, and no neighbour of it."""
        neighbours = ("https://own.test/alice", "https://own.test/bob")
        self.assertEqual(self.bases("https://own.test/bob/x.whl", *neighbours), neighbours[1:])

    def test_beside(self) -> None:
        """Without any, the nearest at the same origin has it; elsewhere there is none."""
        near = ("https://own.test/api/alice/simple", "https://own.test/api/bob/simple")
        self.assertEqual(self.bases("https://own.test/api/bob/f/x.whl", *near), near[1:])
        self.assertEqual(self.bases("https://elsewhere.test/x.whl", *near), ())

    def test_files_alone(self) -> None:
        """A rule under which nothing ever changes has no index, though it is above its files."""
        files = Rule(
            name="f", upstreams=("https://own.test/files",), ecosystem="cargo", immutable=True
        )
        index = Rule(name="i", upstreams=("https://own.test/index",), ecosystem="cargo")
        found = own_bases([files, index], "cargo", "https://own.test/files/a/1/download")
        self.assertEqual(found, ("https://own.test/index",))
