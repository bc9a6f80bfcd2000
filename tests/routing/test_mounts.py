"""Where the paths of the mirror lead, and what of an upstream has a path here."""

from __future__ import annotations

import re

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from aimirror.routing.choices import ContentRewrite
from aimirror.routing.mounts import Mount, hosts, mounts, own_bases
from aimirror.routing.rules import Route, Rule, route_of

ALL = Rule(name="all", upstreams=("https://all.example",))


def rule(**fields: object) -> Rule:
    return evolve(Rule(name="r", upstreams=("https://up.example",)), **fields)


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
            found = route_of(rules, "/n/x/y", "")
            assert isinstance(found, Route)
            self.assertEqual(found.urls[0].replace(mount.base, mount.prefix), "/n/x/y")

    def test_hosts(self) -> None:
        """The hosts of all upstreams, as names."""
        rules = (ALL, rule(upstreams=("https://A.example:8443/x", "http://[::1]:1")))
        self.assertEqual(hosts(rules), {"all.example", "a.example", "::1"})


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
