"""Paths of registries: names, references, links."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.registries.paths import (
    Kind,
    Problem,
    Target,
    default_of,
    parse,
    parse_digest,
    rewritten_link,
)
from aimirror.registries.registry import DEFAULTS, Registries, Registry, merged
from aimirror.routing.digests import Digest

HEX = "a" * 64
TABLE = Registries(merged([Registry(name="own.test:5000", aliases=("alias.test",))]))


def target(path: str, query: str = "") -> Target:
    found = parse(path, query, TABLE)
    assert isinstance(found, Target), found
    return found


def problem(path: str, query: str = "") -> Problem:
    found = parse(path, query, TABLE)
    assert isinstance(found, Problem), found
    return found


class PlaceTests(SynchronousTestCase):
    def test_whose_registry(self) -> None:
        """``ns`` goes before a host in the path, and Docker Hub is what is left."""
        for path, query, registry, name in (
            ("app", "", "docker.io", "library/app"),
            ("owner/app", "", "docker.io", "owner/app"),
            ("docker.io/app", "", "docker.io", "library/app"),
            ("registry-1.docker.io/owner/app", "", "docker.io", "owner/app"),
            ("ghcr.io/owner/app", "", "ghcr.io", "owner/app"),
            ("owner/app", "ns=ghcr.io", "ghcr.io", "owner/app"),
            ("app", "ns=quay.io", "quay.io", "app"),
            ("a.b/app", "ns=quay.io", "quay.io", "a.b/app"),
            ("ghcr.io/owner/app", "ns=ghcr.io", "ghcr.io", "owner/app"),
            ("own.test:5000/app", "", "own.test:5000", "app"),
            ("alias.test/app", "", "own.test:5000", "app"),
            ("app", "ns=OWN.test%3A5000", "own.test:5000", "app"),
        ):
            found = target(f"/v2/{path}/manifests/latest", query)
            self.assertEqual((found.registry.name, found.name), (registry, name), path)
            self.assertEqual(found.asked, path)

    def test_unlisted(self) -> None:
        """Registries that are not in the table are refused, however they are named."""
        for path, query in (
            ("evil.test/app", ""),
            ("localhost/app", ""),
            ("localhost:22/app", ""),
            ("169.254.169.254/app", ""),
            ("app", "ns=evil.test"),
            ("ghcr.io/app", "ns=evil.test"),
        ):
            found = problem(f"/v2/{path}/manifests/latest", query)
            self.assertEqual((found.status, found.code), (404, "NAME_UNKNOWN"), path)

    @settings(max_examples=50, deadline=None)
    @given(st.text("abAB.:/@%-_0", max_size=30), st.text("ab.:/&=%0ns", max_size=20))
    def test_never_elsewhere(self, name: str, query: str) -> None:
        """Whatever is asked for, the registry is one of the table and the path is its API."""
        found = parse(f"/v2/{name}/blobs/sha256:{HEX}", query, TABLE)
        if isinstance(found, Target):
            self.assertIn(found.registry.name, {*(r.name for r in DEFAULTS), "own.test:5000"})
            self.assertRegex(found.path, r"\A/v2/[a-z0-9._/-]+/blobs/sha256:[a-f0-9]{64}\Z")

    def test_own_place(self) -> None:
        """A registry of the configuration is at https unless it says where; defaults stay."""
        own = target("/v2/alias.test/a/tags/list").registry
        self.assertEqual(own.upstreams, ("https://own.test:5000",))
        table = {r.name: r for r in merged([Registry(name="quay.io", aliases=("q.test",))])}
        self.assertEqual(table["quay.io"].upstreams, ("https://quay.io",))
        self.assertEqual(table["quay.io"].aliases, ("q.test",))
        self.assertEqual(len(table), len(DEFAULTS))


class TableTests(SynchronousTestCase):
    def test_prefix(self) -> None:
        """An upstream may put a project before the names of repositories."""
        table = Registries(
            merged([Registry(name="docker.io", upstreams=("https://harbor.lab/v2/hub/",))])
        )
        found = parse("/v2/nginx/manifests/latest", "", table)
        assert isinstance(found, Target)
        self.assertEqual(found.registry.upstreams, ("https://harbor.lab",))
        self.assertEqual(found.path, "/v2/hub/library/nginx/manifests/latest")

    def test_wildcard(self) -> None:
        """One entry may stand for all hosts below a domain, each of which is its own upstream."""
        table = Registries(merged([Registry(name="*.pkg.dev", anonymous=False)]))
        found = parse("/v2/eu-docker.pkg.dev/p/r/i/manifests/1", "", table)
        assert isinstance(found, Target)
        self.assertEqual(found.registry.name, "eu-docker.pkg.dev")
        self.assertEqual(found.registry.upstreams, ("https://eu-docker.pkg.dev",))
        self.assertFalse(found.registry.anonymous)
        for other in ("pkg.dev", "evilpkg.dev", "pkg.dev.evil.test"):
            self.assertIsInstance(parse(f"/v2/{other}/r/i/manifests/1", "", table), Problem)

    def test_ollama(self) -> None:
        """Ollama's client means its own registry where others mean Docker Hub."""
        table = Registries(DEFAULTS)
        for agent, wanted in (
            ("ollama/0.12 (arm64 darwin)", "registry.ollama.ai"),
            ("x", "docker.io"),
        ):
            found = parse("/v2/library/llama3/manifests/8b", "", table, default_of(agent))
            assert isinstance(found, Target)
            self.assertEqual(found.registry.name, wanted)
            named = parse("/v2/quay.io/a/b/manifests/1", "", table, default_of(agent))
            assert isinstance(named, Target)
            self.assertEqual(named.registry.name, "quay.io")


class ReferenceTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """Tags, digests of two algorithms, encoded colons, lists."""
        self.assertEqual(target("/v2/a/manifests/v1.2_x").digest, None)
        blob = target(f"/v2/a/b/blobs/sha256%3A{HEX}")
        self.assertEqual((blob.kind, blob.digest), (Kind.BLOB, Digest("sha256", HEX)))
        self.assertEqual(blob.path, f"/v2/a/b/blobs/sha256:{HEX}")
        self.assertEqual(parse_digest(f"sha512:{HEX}{HEX}"), Digest("sha512", HEX + HEX))
        self.assertEqual(target("/v2/a/tags/list").kind, Kind.TAGS)
        self.assertEqual(target(f"/v2/a/referrers/sha256:{HEX}").kind, Kind.REFERRERS)
        self.assertEqual(target("/v2/blobs/manifests/manifests/x").name, "blobs/manifests")

    def test_unfit(self) -> None:
        """What is no reference or no name is refused."""
        for path, code in (
            ("/v2/a/blobs/latest", "DIGEST_INVALID"),
            (f"/v2/a/blobs/sha256:{HEX.upper()}", "DIGEST_INVALID"),
            ("/v2/a/manifests/-x", "MANIFEST_INVALID"),
            (f"/v2/a/manifests/sha256:{HEX}0", "MANIFEST_INVALID"),
            ("/v2/a/tags/other", "UNSUPPORTED"),
            ("/v2/_catalog", "UNSUPPORTED"),
            ("/v2/A/tags/list", "NAME_INVALID"),
            ("/v2/a//b/tags/list", "NAME_INVALID"),
            (f"/v2/{'a' * 256}/tags/list", "NAME_INVALID"),
        ):
            self.assertEqual(problem(path).code, code, path)

    def test_query(self) -> None:
        """``ns`` is left out of what goes upstream, all else stays to the letter."""
        found = target("/v2/a/tags/list", "n=2&ns=quay.io&last=a%2Fb")
        self.assertEqual((found.query, found.ns), ("n=2&last=a%2Fb", "quay.io"))


class LinkTests(SynchronousTestCase):
    def rewritten(self, value: str, ns: str = "") -> str:
        url = "https://r.test/v2/o/a/tags/list?n=1"
        return rewritten_link(value, url, "/v2/r.test/o/a/tags/list", ns)

    def test_next_page(self) -> None:
        """Absolute, rooted and relative links become the client's own path."""
        wanted = '</v2/r.test/o/a/tags/list?last=b&n=1>; rel="next"'
        for link in ("https://r.test/v2/o/a/tags/list", "/v2/o/a/tags/list", "list", ""):
            self.assertEqual(self.rewritten(f'<{link}?last=b&n=1>; rel="next"'), wanted)
        self.assertEqual(
            self.rewritten('<?last=b>; rel="next"', "r.test"),
            '</v2/r.test/o/a/tags/list?last=b&ns=r.test>; rel="next"',
        )

    def test_long(self) -> None:
        """A Link as long as a head may be costs little time, whatever it leaves open."""
        started = time.process_time()
        for torn in (" ", "<", "<a", ", ", ",<", "<a>,"):
            self.rewritten(torn * (60_000 // len(torn)))
        self.assertLess(time.process_time() - started, 2.0)

    def test_elsewhere(self) -> None:
        """What leads to another place is left out."""
        mixed = '<https://evil.test/v2/o/a/tags/list?n=2>; rel="next", <?last=b>; rel="next"'
        self.assertEqual(self.rewritten(mixed), '</v2/r.test/o/a/tags/list?last=b>; rel="next"')
        self.assertEqual(self.rewritten('<ftp://r.test/>; rel="x"'), "")
