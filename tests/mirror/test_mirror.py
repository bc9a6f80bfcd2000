"""From request to rule, and what goes upstream with it."""

from __future__ import annotations

from urllib.parse import urljoin

from aimirror.http.egress import Outgoing
from aimirror.http.headers import Headers
from aimirror.interfaces import Hop
from aimirror.mirror.mirror import LONGEST_KEPT, Mirror
from aimirror.routing.choices import Credentials, KeySource, Strategy
from aimirror.routing.policies import CachePolicy
from aimirror.routing.rules import Route, Rule
from aimirror.routing.served_names import ServedName, ServedNames
from aimirror.server.answers import Answer
from aimirror.server.base_url import base_url
from aimirror.server.memo import Memo
from aimirror.server.request import MirrorRequest
from aimirror.server.site import MirrorSite
from tests.mirror.support import UPSTREAM, MirrorCase, Played, refused

FRESH = ("Content-Type: text/plain", "Cache-Control: max-age=100")
TOKEN = "Authorization: Bearer t"


class RoutingTests(MirrorCase):
    def test_first_rule(self) -> None:
        """The first rule that takes the path answers; a path that none takes is 404."""
        self.use(Rule(name="a", upstreams=("https://a.test",), path_prefix="/a"), path_prefix="/b")
        self.plays(200, *FRESH)
        self.get("/a/x")
        self.assertEqual(self.last().outgoing.url, "https://a.test/a/x")
        self.get("/b/x")
        self.assertEqual(self.last().outgoing.url, f"{UPSTREAM}/b/x")
        self.assertEqual(self.get("/c")[0], 404)
        self.assertEqual(self.asked, 2)

    def test_below_a_path(self) -> None:
        """Whoever reaches the mirror below a path is led on below it."""

        def below(_: MirrorRequest) -> str:
            return "https://pub.test/a/b"

        rule = Rule(name="all", upstreams=(UPSTREAM,))
        self.site = self.make_site(Mirror((rule,), self.library, below))
        for told in ("/y?z=1", f"{UPSTREAM}/y?z=1"):
            self.plays(301, f"Location: {told}", "Cache-Control: no-store")
            moved = urljoin("https://pub.test", self.get()[1].get("location") or "")
            self.assertEqual(moved, "https://pub.test/a/b/y?z=1")

    def test_bad_paths(self) -> None:
        """Dot segments, however written, are refused."""
        for path in ("/a/../b", "/a/%2e%2e/b", "/a%5cb"):
            self.assertEqual(self.get(path)[0], 400)
        self.assertEqual(self.asked, 0)

    def test_wishes(self) -> None:
        """What one client says to caches can't choose what an upstream answers for all."""
        self.plays(200, *FRESH)
        table = {"no-cache": "no-cache", "max-age=0": "max-age=0", "max-age=99, min-fresh=7": None}
        for number, (wish, sent) in enumerate(table.items()):
            self.get(f"/{number}", f"Cache-Control: {wish}")
            self.assertEqual(self.last().outgoing.headers.get("cache-control"), sent)

    def test_cors(self) -> None:
        """A rule may open to all pages what it gives without a login, and nothing else."""
        self.plays(200, *FRESH, "Access-Control-Allow-Origin: https://a.test")
        self.assertNotIn("access-control-allow-origin", self.get("/x")[1])
        self.use(cors=True, credential_headers=("x-odd",))
        for _ in range(2):  # the second one from memory
            self.assertEqual(self.get("/x")[1].get_all("access-control-allow-origin"), ("*",))
            for field in (TOKEN, "Cookie: a=b", "X-Odd: s"):
                self.assertNotIn("access-control-allow-origin", self.get("/x", field)[1])

    def test_no_login(self) -> None:
        """A rule may pass no login on, whatever the method; its answers are shared then."""
        self.use(credentials=Credentials.NONE)
        self.plays(200, *FRESH)
        for fields in ((TOKEN,), (), ("Cookie: a=b", TOKEN)):
            self.assertEqual(self.get("/x", *fields)[0], 200)
        self.get("/x", TOKEN, method="POST")
        self.assertEqual(self.asked, 2)
        for asked in self.upstream.sent:
            self.assertFalse({"authorization", "cookie"} & {n.lower() for n, _ in asked.headers})

    def test_root_of_a_name(self) -> None:
        """A name of the mirror may stand for a mount, whose paths then need no prefix."""
        rule = Rule(name="n", upstreams=("https://n.test",), path_prefix="/n", strip_prefix=True)
        names = ServedNames([ServedName(host="n.lan", root="/n")])
        self.mirror = Mirror((rule,), self.library, base_url, names=names)
        self.site = MirrorSite(self.mirror.handle, self.clock, memo=Memo())
        self.plays(200, *FRESH)
        for path in ("/x", "/n/x"):
            self.assertEqual(self.get(path, "Host: n.lan")[0], 200)
            self.assertEqual(self.last().outgoing.url, "https://n.test/x")
        self.assertEqual(self.get("/x")[0], 404)

    def test_stray_token(self) -> None:
        """A token that is known to be one service's does not reach another well-known one."""
        self.use(upstreams=("https://pypi.nvidia.com",), credentials=Credentials.ALL)
        self.plays(200, *FRESH)
        self.get("/x", "Authorization: Bearer hf_secret")
        self.assertNotIn("authorization", self.last().headers)
        self.get("/y", "Authorization: Bearer nvapi-secret")
        self.assertIn("authorization", self.last().headers)

    def test_other_target(self) -> None:
        """What is stored for all was not asked for with a path or method of a client's wish."""
        self.plays(200, *FRESH)
        for name in ("X-Original-URL", "X-Rewrite-Url", "X-HTTP-Method-Override", "X-Host"):
            self.get(f"/{name}", f"{name}: /evil")
            self.assertNotIn(name, self.last().headers)

    def test_targets_apart(self) -> None:
        """An absent, an empty and another query, and long ones, each lead to their own URL."""
        self.plays(200, "Cache-Control: no-store")
        for target in ("/q", "/q?", "/q?a", "/q?b", f"/q?{'c' * LONGEST_KEPT}"):
            for _ in range(2):
                self.get(target)
                self.assertEqual(self.last().outgoing.url, UPSTREAM + target)

    def test_fields_upstream(self) -> None:
        """What is about the connection, or judged here, does not travel; the rest does."""
        self.plays(200, *FRESH)
        self.get(
            "/x",
            "Accept: a/b",
            "User-Agent: pip",
            "Range: bytes=0-0",
            'If-Match: "v1"',
            "X-Forwarded-For: 1.2.3.4",
            "Accept-Encoding: br, gzip",
        )
        sent = self.last().headers
        self.assertEqual(
            sorted(name.lower() for name, _ in sent), ["accept", "accept-encoding", "user-agent"]
        )
        self.assertEqual(sent.get("accept-encoding"), "gzip")

    def test_field_of_a_rule(self) -> None:
        """A field that a rule names goes upstream, and each value of it has its own copy."""
        self.use(request_headers=("X-Api-Version",))
        self.upstream.handler = lambda outgoing: Played(
            200, *FRESH, body=(outgoing.headers.get("x-api-version") or "none").encode()
        )
        for _ in range(2):
            for fields, body in (((), b"none"), (("X-Api-Version: 2",), b"2")):
                self.assertEqual(self.get("/x", *fields)[2], body)
        self.assertEqual(self.asked, 2)
        self.assertIn("x-api-version", self.get("/x")[1].get("vary") or "")

    def test_protocol_of_git(self) -> None:
        """git's protocol goes upstream where it matters, and never chooses for others."""
        self.upstream.handler = lambda outgoing: Played(
            200, *FRESH, body=(outgoing.headers.get("git-protocol") or "0").encode()
        )
        for path, bodies in (("/o/r/info/refs", (b"0", b"version=2")), ("/o/r", (b"0", b"0"))):
            self.assertEqual(self.get(path)[2], bodies[0])
            self.assertEqual(self.get(path, "Git-Protocol: version=2")[2], bodies[1])

    def test_credential_of_a_rule(self) -> None:
        """A field that a rule calls a credential opens for its owner alone, at one host."""
        others = ("https://second.test",)
        self.use(credential_headers=("X-Odd",), upstreams=(UPSTREAM, *others))
        self.upstream.handler = lambda outgoing: (
            Played(200, *FRESH, body=b"private") if "x-odd" in outgoing.headers else Played(401)
        )
        self.assertEqual(self.get("/x", "X-Odd: alice")[2], b"private")
        self.assertEqual(self.get("/x")[0], 401)
        self.upstream.handler = lambda outgoing: (
            refused() if outgoing.url.startswith(UPSTREAM) else Played(200, *FRESH)
        )
        self.get("/y", "X-Odd: alice")
        self.assertTrue(self.last().outgoing.url.startswith(others))
        self.assertNotIn("x-odd", self.last().headers)
        self.use(credential_headers=("X-Odd",), public=True)
        self.plays(200, *FRESH)
        self.get("/z", "X-Odd: alice")
        self.assertNotIn("x-odd", self.last().headers)

    def test_public_first(self) -> None:
        """A public rule asks without the credential, and with it only for what is refused."""
        self.use(public=True)
        self.plays(200, *FRESH)
        self.get("/x", TOKEN)
        self.assertNotIn("authorization", self.last().headers)
        self.assertEqual(self.get("/x")[1].get("x-cache"), "HIT")
        self.upstream.handler = lambda outgoing: (
            Played(200, *FRESH, body=b"private")
            if "authorization" in outgoing.headers
            else Played(404, body=b"none")
        )
        self.assertEqual(self.get("/y", TOKEN)[2], b"private")
        self.assertEqual(self.get("/y")[0], 404)

    def test_public_is_not_elsewhere(self) -> None:
        """A public rule's stranger who is led to another server's page says nothing to a login."""
        self.use(public=True, cache=CachePolicy(ttl=600, ignore_upstream=True))

        def answer(outgoing: Outgoing) -> Played:
            if "authorization" in outgoing.headers:
                return Played(200, *FRESH, body=b"own")
            played = Played(200, *FRESH, body=b"namesake")
            played.url = "https://public.test/simple/x/"
            played.hops = (Hop(302, outgoing.url, Headers()),)
            return played

        self.upstream.handler = answer
        for _ in range(2):
            self.assertEqual(self.get("/x", TOKEN)[2], b"own")
            self.assertEqual(self.get("/x")[2], b"namesake")
        self.upstream.handler = lambda outgoing: (
            Played(200, *FRESH, body=b"own")
            if "authorization" in outgoing.headers
            else Played(302, "Location: https://public.test/", *FRESH)
        )
        self.get("/y")
        self.assertEqual(self.get("/y", TOKEN)[2], b"own")

    def test_public_is_not_renewed(self) -> None:
        """What only a renewed credential opened is never stored for everybody."""
        self.use(public=True)
        answer = self.mirror.answer

        async def renewed(*_: object) -> Headers:
            return Headers([("Authorization", "Bearer new")])

        async def renewing(request: MirrorRequest, found: Route) -> Answer | None:
            mine = "authorization" in request.headers
            return await answer(request, found, refresh=renewed if mine else None)

        self.patch(self.mirror, "answer", renewing)
        self.upstream.handler = lambda outgoing: (
            Played(200, *FRESH, body=b"private")
            if outgoing.headers.get("authorization") == "Bearer new"
            else Played(401, body=b"none")
        )
        self.assertEqual(self.get("/y", TOKEN)[2], b"private")
        self.assertEqual(self.get("/y")[0], 401)

    def test_final_key(self) -> None:
        """With ``cache_key_source: final`` two paths to one URL are one entry."""
        self.use(cache_key_source=KeySource.FINAL, strategy=Strategy.PROXY)

        def answer(outgoing: object) -> Played:
            played = Played(200, *FRESH)
            played.url = "https://cdn.test/file"
            played.hops = (Hop(302, f"{UPSTREAM}/x", played.headers),)
            return played

        self.upstream.handler = answer
        self.get("/x")
        self.get("/y")
        self.assertEqual(len(self.store.entries(f"https://cdn.test/file#{UPSTREAM}")), 1)
        self.assertEqual(self.store.entries("https://cdn.test/file"), ())  # another rule's, perhaps

    def test_final_key_of_another(self) -> None:
        """Where the first upstream is down, the second says where a path leads."""
        upstreams = (UPSTREAM, "https://more.test")
        self.use(cache_key_source=KeySource.FINAL, strategy=Strategy.PROXY, upstreams=upstreams)

        def answer(outgoing: Outgoing) -> Played | Exception:
            if outgoing.url.startswith(UPSTREAM):
                return refused()
            played = Played(200, *FRESH, body=b"body")
            played.url = "https://cdn.test/file"
            played.hops = (Hop(302, outgoing.url, played.headers),)
            return played

        self.upstream.handler = answer
        self.assertEqual(self.get("/x")[2], b"body")
        self.assertEqual(len(self.store.entries(f"https://cdn.test/file#{UPSTREAM}")), 1)


class RedirectedTests(MirrorCase):
    def followed(self, final: str, hop: str = "") -> None:
        def answer(outgoing: object) -> Played:
            played = Played(200, 'ETag: "v1"', f"Cache-Control: {final}", body=b"file")
            told = Played(302, f"Cache-Control: {hop}").headers if hop else Played(302).headers
            played.hops = (Hop(302, f"{UPSTREAM}/latest", told),)
            played.url = "https://cdn.test/signed"
            return played

        self.upstream.handler = answer

    def test_life(self) -> None:
        """What a temporary redirect leads to is asked about again each time."""
        self.followed("public, max-age=31536000, immutable")
        for _ in range(2):
            self.assertEqual(self.get("/latest")[0], 200)
        self.assertEqual(self.asked, 2)
        self.assertNotIn("31536000", self.get("/latest")[1].get("cache-control") or "")

    def test_signed_address(self) -> None:
        """What a credential led to is not for those without it, however public its address."""
        self.followed("public, max-age=31536000", "max-age=600")
        self.get("/latest", TOKEN)
        self.falls()
        self.assertEqual(self.get("/latest")[0], 502)
        self.assertEqual(self.get("/latest", TOKEN)[1].get("x-cache"), "HIT")
