"""The hub through the mirror: one answer to HEAD, commits, rights, what stands in for it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from aimirror.ecosystems.huggingface.world import HuggingFace
from aimirror.http.egress import Outgoing
from aimirror.http.headers import Headers
from aimirror.interfaces import Hop
from aimirror.mirror.ecosystem import Ecosystem
from aimirror.routing.choices import Xet
from aimirror.routing.policies import CachePolicy
from tests.ecosystems.support import WorldCase
from tests.mirror.support import UPSTREAM, Played, refused

C1, C2 = "1" * 40, "2" * 40
DATA, SMALL = b"large" * 20_000, b"small"
SHA = hashlib.sha256(DATA).hexdigest()
CDN = "https://cdn.test/xet/x?Signature=1"
BIN, TXT = "/ns/name/resolve/{}/model.bin", "/ns/name/resolve/{}/config.json"
TOKEN, OTHER = "Authorization: Bearer right", "Authorization: Bearer wrong"


class HubCase(WorldCase):
    name = "huggingface"

    def world(self) -> Ecosystem:
        return HuggingFace(self.library)

    def use(self, *more: Any, **options: Any) -> None:
        super().use(*more, **options)
        self.private = False
        self.commit(C1)

    def commit(self, commit: str, large: bytes = DATA, small: bytes = SMALL) -> None:
        """The branch stands for this commit now."""
        for revision in ("main", commit):
            self.answers[BIN.format(revision)] = self.redirecting(commit, large)
            self.answers[TXT.format(revision)] = self.moving(commit, small)

    def redirecting(self, commit: str, data: bytes) -> Any:
        """Large files are elsewhere, at signed addresses."""

        def answer(outgoing: Outgoing) -> Any:
            if self.private and outgoing.headers.get("authorization") != "Bearer right":
                return 401, ("X-Error-Code: RepoNotFound", "X-Error-Message: no"), b"{}"
            sha = hashlib.sha256(data).hexdigest()
            told = Played(
                302,
                f"X-Repo-Commit: {commit}",
                f'X-Linked-Etag: "{sha}"',
                f"X-Linked-Size: {len(data)}",
                "X-Xet-Hash: abc",
                'Link: <https://up.test/x>; rel="xet-auth"',
                f"Location: {CDN}",
            )
            if outgoing.method == "HEAD":
                return told
            played = Played(200, 'ETag: "cdn"', "Cache-Control: public, max-age=9999", body=data)
            played.hops = (Hop(302, outgoing.url, told.headers),)
            played.url = CDN
            return played

        return answer

    def moving(self, commit: str, data: bytes) -> Any:
        """Small files are at another address of the hub."""
        etag = hashlib.sha1(data).hexdigest()
        cached = f"/api/resolve-cache/models/ns/name/{commit}/config.json"
        told = (f"X-Repo-Commit: {commit}", f'ETag: "{etag}"', f"Location: {cached}?x=&etag=y")
        fields = (f'ETag: "{etag}"', "Content-Type: text/plain", f"Content-Length: {len(data)}")
        self.answers[f"HEAD {cached}?x=&etag=y"] = (200, fields, b"")

        def answer(outgoing: Outgoing) -> Any:
            if outgoing.method == "HEAD":
                return 307, told, b""
            played = Played(200, *fields, body=data)
            hop = Played(307, *told)
            played.hops = (Hop(307, outgoing.url, hop.headers),)
            return played

        return answer

    def head(self, path: str, *fields: str) -> tuple[int, Headers]:
        """HEAD, whose Content-Length is not followed by a body."""
        raw = self.ask(path, *fields, method="HEAD").received.decode("latin-1")
        first, *lines = raw.split("\r\n\r\n")[0].split("\r\n")
        return int(first.split(" ")[1]), Headers(tuple(line.split(": ", 1)) for line in lines)


class LedOnTests(HubCase):
    """The upstream is a mirror of the hub that leads all who ask to the hub itself."""

    hub = "https://hub.test"

    def use(self, *more: Any, **options: Any) -> None:
        super().use(*more, **options)
        for path in list(self.answers):
            if "/resolve/" in path:
                self.answers[f"HEAD {self.hub}{path}"] = self.answers[path]
                self.answers[f"HEAD {path}"] = (308, (f"Location: {self.hub}{path}",), b"")

    def test_large(self) -> None:
        """HEAD tells what the hub says of the file, not what stores its bytes."""
        self.use()
        for path in (BIN.format("main"), BIN.format(C1)):
            status, headers = self.head(path, TOKEN)
            told = [headers.get(n) for n in ("x-repo-commit", "etag", "content-length")]
            self.assertEqual((status, told), (200, [C1, f'"{SHA}"', str(len(DATA))]))
        for sent in self.upstream.sent:
            if sent.outgoing.url.startswith(self.hub):
                self.assertNotIn("authorization", sent.outgoing.headers)

    def test_nowhere(self) -> None:
        """What is no address of anything is the hub's fault, and said to be."""
        self.use()
        path = BIN.format("main")
        for location in ("junk://x", "https://[", "http://a b/"):
            self.answers[f"HEAD {path}"] = (302, (f"Location: {location}",), b"")
            self.assertEqual(self.head(path)[0], 502, location)

    def test_elsewhere(self) -> None:
        """An address that means another file is where the bytes are: it is not asked."""
        self.use()
        path = BIN.format("main")
        self.answers[f"HEAD {path}"] = (302, (f"Location: {CDN}",), b"")
        self.head(path)
        self.assertNotIn(f"HEAD {CDN}", self.urls())


class HeadTests(HubCase):
    def test_large(self) -> None:
        """HEAD is one question to the hub, and answers with all that clients need."""
        for revision in ("main", C1):
            status, headers = self.head(BIN.format(revision))
            self.assertEqual(status, 200)
            for name, wanted in (
                ("x-repo-commit", C1),
                ("etag", f'"{SHA}"'),
                ("x-linked-size", str(len(DATA))),
                ("content-length", str(len(DATA))),
                ("accept-ranges", "bytes"),
                ("location", None),
                ("link", None),
                ("x-xet-hash", None),
            ):
                self.assertEqual(headers.get(name), wanted, name)
        self.assertEqual(self.urls(), [f"HEAD {BIN.format(r)}" for r in ("main", C1)])

    def test_small(self) -> None:
        """The length of a small file is asked for at its own address."""
        status, headers = self.head(TXT.format("main"))
        told = (status, headers.get("content-length"), headers.get("x-repo-commit"))
        self.assertEqual(told, (200, str(len(SMALL)), C1))

    def test_same_as_get(self) -> None:
        """Stored or not, HEAD and GET name the same thing."""
        for path, data in ((BIN, DATA), (TXT, SMALL)):
            _, before = self.head(path.format("main"))
            status, got, body = self.get(path.format("main"))
            self.assertEqual((status, body), (200, data))
            _, after = self.head(path.format(C1))
            for name in ("etag", "x-repo-commit", "content-length", "x-linked-size"):
                found = {headers.get(name) for headers in (before, got, after)}
                self.assertEqual(len(found), 1, name)

    def test_unknown_length(self) -> None:
        """What the hub gives no length is fetched, for 0 would be believed."""
        fields = (f"X-Repo-Commit: {C1}", 'ETag: "g"')
        endless = Played(200, *fields, body=None)
        self.answers["HEAD " + TXT.format(C1)] = lambda outgoing: endless
        _, headers = self.head(TXT.format(C1))
        self.assertEqual(headers.get("content-length"), str(len(SMALL)))

    def test_pass_xet(self) -> None:
        """A rule may let clients know of Xet."""
        self.use(xet=Xet.PASS)
        _, headers = self.head(BIN.format("main"))
        self.assertEqual(headers.get("x-xet-hash"), "abc")
        self.assertIn("xet-auth", headers.get("link") or "")

    def test_refusals(self) -> None:
        """What there is not is told in the hub's words."""
        missing = (404, ("X-Error-Code: EntryNotFound", f"X-Repo-Commit: {C1}"), b"")
        self.answers[TXT.format("main")] = missing
        for method in ("HEAD", "GET"):
            raw = self.ask(TXT.format("main"), method=method).received.decode("latin-1")
            self.assertIn("404 Not Found", raw)
            self.assertIn("EntryNotFound", raw)
            self.assertIn(C1, raw)


class CommitTests(HubCase):
    def test_pinned(self) -> None:
        """A commit's file, once stored, is served without a question, though the hub is down."""
        self.get(BIN.format(C1))
        self.falls()
        before = self.asked
        self.assertEqual(self.get(BIN.format(C1))[2], DATA)
        self.assertEqual(self.head(BIN.format(C1))[0], 200)
        self.assertEqual(self.asked, before)

    def test_missing(self) -> None:
        """A file that a commit does not have is missing with no hub, too, however it was asked."""
        missing = (404, ("X-Error-Code: EntryNotFound", f"X-Repo-Commit: {C1}"), b"")
        self.answers[TXT.format(C1)] = missing
        self.assertEqual(self.get(TXT.format(C1))[0], 404)
        self.falls()
        self.clock.advance(1000)
        for method in ("HEAD", "GET"):
            raw = self.ask(TXT.format(C1), method=method).received.decode("latin-1")
            self.assertIn("404 Not Found", raw)
            self.assertIn("EntryNotFound", raw)

    def test_head_alone(self) -> None:
        """A commit's file of which only HEAD was asked is still told of when the hub is down."""
        told = {path: self.head(path.format(C1))[1] for path in (BIN, TXT)}
        self.clock.advance(30 * 86400)
        self.falls()
        for path, before in told.items():
            status, headers = self.head(path.format(C1))
            self.assertEqual(status, 200)
            for name in ("etag", "x-repo-commit", "content-length", "x-linked-size"):
                self.assertEqual(headers.get(name), before.get(name), name)

    def test_head_alone_private(self) -> None:
        """Not so, when a token was needed for it."""
        self.private = True
        self.assertEqual(self.head(BIN.format(C1), TOKEN)[0], 200)
        self.falls()
        self.clock.advance(100)
        for fields in ((), (TOKEN,)):
            self.assertEqual(self.head(BIN.format(C1), *fields)[0], 502)

    def test_branch_moves(self) -> None:
        """A branch is asked about each time; what is the same in another commit is not fetched."""
        for path, data in ((BIN, DATA), (TXT, SMALL)):
            self.assertEqual(self.get(path.format("main"))[2], data)
        self.commit(C2, small=b"other")
        self.clock.advance(61)
        before = self.asked
        self.assertEqual(self.get(BIN.format("main"))[2], DATA)
        self.assertEqual(self.urls()[before:], [f"HEAD {BIN.format('main')}"])
        _, headers, body = self.get(TXT.format("main"))
        self.assertEqual((body, headers.get("x-repo-commit")), (b"other", C2))

    def test_unchanged_small(self) -> None:
        """A small file with the same name of content in the next commit is not fetched either."""
        self.get(TXT.format("main"))
        self.commit(C2)
        self.head(TXT.format("main"))
        before = self.asked
        self.assertEqual(self.get(TXT.format("main"))[2], SMALL)
        self.assertEqual(self.get(TXT.format(C2))[2], SMALL)
        self.assertEqual(self.asked, before)

    def test_get_follows_head(self) -> None:
        """GET gives what HEAD has just named, though the branch has moved in between."""
        self.head(TXT.format("main"))
        self.commit(C2, small=b"other")
        self.assertEqual(self.get(TXT.format("main"))[2], SMALL)

    def test_hub_down(self) -> None:
        """With no hub a branch stands for what it stood for last, as long as the rule allows."""
        self.use(cache=CachePolicy(stale_if_error=1000))
        self.get(BIN.format("main"))
        self.clock.advance(500)
        self.falls()
        self.assertEqual(self.get(BIN.format("main"))[2], DATA)
        self.assertEqual(self.head(BIN.format("main"))[1].get("x-repo-commit"), C1)
        self.upstream.handler = lambda outgoing: Played(503)
        self.assertEqual(self.get(BIN.format("main"))[2], DATA)
        self.clock.advance(600)
        self.assertEqual(self.get(BIN.format("main"))[0], 502)

    def test_limited(self) -> None:
        """When the hub says "too often", what is known serves, else it is told with its limits."""
        self.get(BIN.format("main"))
        self.clock.advance(61)
        self.upstream.handler = lambda outgoing: Played(429, 'RateLimit: "resolvers";r=0;t=9')
        self.assertEqual(self.get(BIN.format("main"))[2], DATA)
        status, headers, _ = self.get(TXT.format("main"))
        self.assertEqual((status, headers.get("ratelimit")), (429, '"resolvers";r=0;t=9'))

    def test_wrong_bytes(self) -> None:
        """Bytes that are not what the hub has named are cut short and not kept."""
        self.head(BIN.format(C1))
        sent = self.answers[BIN.format(C1)]
        self.answers[BIN.format(C1)] = self.redirecting(C1, DATA[:-1] + b"x")
        self.assertNotIn(200, [status for status, _, _ in self.ask(BIN.format(C1)).answers()])
        self.assertEqual(self.entries(BIN.format(C1)), ())
        self.answers[BIN.format(C1)] = sent

    def test_query(self) -> None:
        """A download link's query is no other file."""
        self.get(BIN.format(C1))
        before = self.asked
        self.assertEqual(self.get(BIN.format(C1) + "?download=true")[2], DATA)
        self.assertEqual(self.asked, before)


class RightTests(HubCase):
    def setUp(self) -> None:
        super().setUp()
        self.private = True

    def hidden(self, *fields: str) -> None:
        status, headers, _ = self.get(BIN.format(C1), *fields)
        self.assertEqual((status, headers.get("x-error-code")), (401, "RepoNotFound"))

    def test_private(self) -> None:
        """A private file is given to the right token, stored or not, and to nobody else."""
        self.hidden()
        for _ in range(2):
            self.assertEqual(self.get(BIN.format(C1), TOKEN)[2], DATA)
            self.hidden()
            self.hidden(OTHER)
        self.assertEqual([e.scope for e in self.entries(BIN.format(C1))], ["huggingface"])

    def test_cheap(self) -> None:
        """Within a minute a right is asked for once; then with one question again."""
        self.get(BIN.format(C1), TOKEN)
        before = self.asked
        for _ in range(5):
            self.get(BIN.format(C1), TOKEN)
            self.head(BIN.format(C1), TOKEN)
        self.assertEqual(self.asked, before)
        self.clock.advance(61)
        self.get(BIN.format(C1), TOKEN)
        self.assertEqual({u.split()[0] for u in self.urls()[before:]}, {"HEAD"})

    def test_revoked(self) -> None:
        """A token that has lost its right is refused after a minute."""
        self.get(BIN.format(C1), TOKEN)
        self.answers[BIN.format(C1)] = (401, ("X-Error-Code: RepoNotFound",), b"")
        self.clock.advance(61)
        self.hidden(TOKEN)

    def test_hub_down(self) -> None:
        """With no hub nobody is given it after a minute, but within the grace by its token."""
        for grace, wanted in ((0.0, 502), (600.0, 200)):
            self.use(cache=CachePolicy(private_grace=grace))
            self.private = True
            self.assertEqual(self.get(BIN.format(C1), TOKEN)[0], 200)
            self.clock.advance(500)
            self.falls()
            self.assertEqual(self.get(BIN.format(C1), TOKEN)[0], wanted)
            self.assertEqual(self.get(BIN.format(C1), OTHER)[0], 502)
            self.clock.advance(200)
            self.assertEqual(self.get(BIN.format(C1), TOKEN)[0], 502)

    def test_public_with_token(self) -> None:
        """What is public is asked for without the token, and shared."""
        self.private = False
        self.get(BIN.format("main"), TOKEN)
        for sent in self.upstream.sent:
            self.assertNotIn("authorization", sent.headers)
        self.falls()
        self.assertEqual(self.get(BIN.format(C1))[2], DATA)

    def test_made_public(self) -> None:
        """What becomes public is not fetched again."""
        self.get(BIN.format(C1), TOKEN)
        self.private = False
        before = self.asked
        self.head(BIN.format(C1))
        self.assertEqual(self.get(BIN.format(C1))[2], DATA)
        self.assertEqual(self.urls()[before:], [f"HEAD {BIN.format(C1)}"])


class FailoverTests(HubCase):
    OTHER = "https://other.test"

    def setUp(self) -> None:
        super().setUp()
        self.use(upstreams=(UPSTREAM, self.OTHER))
        for path in (BIN, TXT):
            for revision in ("main", C1):
                name = path.format(revision)
                self.answers[self.OTHER + name] = self.answers[name]
        small = next(name for name in self.answers if name.startswith("HEAD /api/resolve"))
        self.answers[small.replace(" ", f" {self.OTHER}")] = self.answers[small]

    def first_fails(self, failure: Any) -> None:
        """The first address fails in this way, the other one does not."""

        def answer(outgoing: Outgoing) -> Any:
            return failure if outgoing.url.startswith(UPSTREAM) else self.answer(outgoing)

        self.upstream.handler = answer

    def test_public(self) -> None:
        """What the hub's first address can't say or give comes from the next one."""
        for failure in (refused(), Played(503), Played(429)):
            self.setUp()
            self.first_fails(failure)
            for path, data in ((BIN, DATA), (TXT, SMALL)):
                self.assertEqual(self.head(path.format("main"))[1].get("x-repo-commit"), C1)
                self.assertEqual(self.get(path.format("main"))[2], data)

    def test_healthy_first(self) -> None:
        """An address that has failed is not asked for some seconds."""
        self.first_fails(refused())
        self.head(BIN.format("main"))
        before = self.asked
        self.head(TXT.format("main"))
        self.assertFalse([u for u in self.urls()[before:] if u.startswith("HEAD /ns")])

    def test_other_hub(self) -> None:
        """Another hub that knows the digest of a private file opens it to nobody."""
        self.private = True
        self.assertEqual(self.get(BIN.format(C1), TOKEN)[2], DATA)
        told = (f"X-Repo-Commit: {C1}", f'X-Linked-Etag: "{SHA}"', f"X-Linked-Size: {len(DATA)}")
        for path in (BIN.format(C1), BIN.format(C2), "/evil/evil/resolve/main/model.bin"):

            def answer(outgoing: Outgoing) -> Any:
                if outgoing.url.startswith(UPSTREAM):
                    return refused() if outgoing.method == "HEAD" else Played(401)
                return Played(200, *told) if outgoing.method == "HEAD" else Played(404)

            self.upstream.handler = answer
            self.clock.advance(61)
            self.head(path)
            for fields in ((), (OTHER,)):
                status, _, body = self.get(path, *fields)
                self.assertNotEqual(status, 200, path)
                self.assertNotIn(DATA[:100], body)

    def test_token(self) -> None:
        """A token is for the first address alone."""
        self.private = True
        self.first_fails(Played(503))
        self.assertEqual(self.get(BIN.format("main"), TOKEN)[0], 502)
        self.private = False
        self.clock.advance(61)
        self.assertEqual(self.get(BIN.format("main"), TOKEN)[2], DATA)
        for sent in self.upstream.sent:
            if sent.outgoing.url.startswith(self.OTHER):
                self.assertNotIn("authorization", sent.headers)


class ApiTests(HubCase):
    TREE = f"/api/models/ns/name/tree/{C1}?recursive=true"

    def test_tree(self) -> None:
        """Pages of a tree don't name chunks, and lead to their next here."""
        page = json.dumps([{"path": "a", "xetHash": "x"}]).encode()
        onward = f'Link: <{UPSTREAM}{self.TREE}&cursor=2>; rel="next"'
        self.answers[self.TREE] = (200, ("Content-Type: application/json", onward), page)
        for _ in range(2):
            _, headers, body = self.get(self.TREE)
            self.assertEqual(json.loads(body), [{"path": "a"}])
            wanted = f'<http://mirror.test{self.TREE}&cursor=2>; rel="next"'
            self.assertEqual(headers.get("link"), wanted)
        self.assertEqual(self.asked, 1)

    def test_paths(self) -> None:
        """What a POST asks about paths does not name chunks either; its body goes up whole."""
        path = f"/api/models/ns/name/paths-info/{C1}"
        page = json.dumps([{"path": "a", "xetHash": "x"}]).encode()
        self.answers["POST " + path] = (200, ("Content-Type: application/json",), page)
        asked = b'{"paths": ["a"]}'
        answer = self.get(path, TOKEN, method="POST", body=asked)
        self.assertEqual((answer[0], json.loads(answer[2])), (200, [{"path": "a"}]))
        self.assertEqual(self.upstream.sent[-1].headers.get("authorization"), "Bearer right")
        self.use(xet=Xet.PASS)
        self.answers["POST " + path] = (200, ("Content-Type: application/json",), page)
        answer = self.get(path, method="POST", body=asked)
        self.assertEqual(answer[2], page)
        self.answers["POST " + path] = (401, ("X-Error-Code: RepoNotFound",), b"no")
        answer = self.get(path, method="POST", body=asked)
        self.assertEqual((answer[0], answer[1].get("x-error-code")), (401, "RepoNotFound"))

    def test_paths_in_an_outage(self) -> None:
        """What everybody was told of paths is told again while the hub is down; of kernels, too."""
        for kind in ("models", "kernels"):
            path = f"/api/{kind}/ns/name/paths-info/{C1}"
            page = json.dumps([{"path": "a", "xetHash": "x"}]).encode()
            self.answers["POST " + path] = (200, ("Content-Type: application/json",), page)
            asked = b'{"paths": ["a"]}'
            self.assertEqual(self.get(path, method="POST", body=asked)[0], 200)
            self.answers["POST " + path] = (503, (), b"")
            status, headers, body = self.get(path, method="POST", body=asked)
            self.assertEqual((status, json.loads(body)), (200, [{"path": "a"}]))
            self.assertEqual(headers.get("x-cache"), "STALE")
            self.assertEqual(self.get(path, method="POST", body=b"{}")[0], 503)
            self.assertEqual(self.get(path, method="POST", body=asked)[0], 200)

    def test_paths_with_a_token(self) -> None:
        """What a token was told of paths is remembered for nobody."""
        path = f"/api/models/ns/name/paths-info/{C1}"
        self.answers["POST " + path] = (200, ("Content-Type: application/json",), b"[]")
        self.assertEqual(self.get(path, TOKEN, method="POST", body=b"{}")[0], 200)
        self.answers["POST " + path] = (503, (), b"")
        self.assertEqual(self.get(path, method="POST", body=b"{}")[0], 503)

    def test_own_address(self) -> None:
        """The address of a repository that was written to is the mirror's."""
        for path in ("/api/repos/create", "/api/datasets/ns/name/commit/main"):
            told = json.dumps({"url": f"{UPSTREAM}/ns/name/commit/x"}).encode()
            self.answers["POST " + path] = (201, ("Content-Type: application/json",), told)
            status, _, body = self.get(path, method="POST", body=b"{}")
            told = {"url": "http://mirror.test/ns/name/commit/x"}
            self.assertEqual((status, json.loads(body)), (201, told))

    def test_info(self) -> None:
        """What is told of a repository is shared between tokens, and stands in for the hub."""
        path = "/api/models/ns/name/revision/main"
        self.answers[path] = (200, ("Content-Type: application/json",), b'{"sha": "x"}')
        self.get(path, TOKEN)
        self.falls()
        self.assertEqual(self.get(path)[2], b'{"sha": "x"}')

    def test_commit_by_branch(self) -> None:
        """With no hub, what it has told of a branch stands for the commit of which it told."""
        base = "/api/models/ns/name"
        for path, sha in ((f"{base}/revision/main", C1), (f"{base}x/revision/main", C2)):
            told = json.dumps({"sha": sha}).encode()
            self.answers[path] = (200, ("Content-Type: application/json",), told)
            self.get(path)
        for fail in (lambda: self.plays(503), self.falls):
            fail()
            client = self.ask(f"{base}/revision/{C1}")
            self.clock.pump([0.5] * 5)
            self.assertEqual(client.answer()[0], 200)
        self.plays(503)
        self.assertEqual(self.get(f"{base}/revision/{C2}")[0], 503)

    def test_listing(self) -> None:
        """A listing is asked for with the token, and one client's."""
        path = "/api/models?author=ns"
        self.answers[path] = (200, ("Content-Type: application/json",), b"[1]")
        self.get(path, TOKEN)
        self.assertEqual(self.upstream.sent[-1].headers.get("authorization"), "Bearer right")
        self.assertNotIn("", [e.scope for e in self.entries(path)])

    def test_personal(self) -> None:
        """Who one is, and tokens, are never kept."""
        for path in ("/api/whoami-v2", f"/api/models/ns/name/xet-read-token/{C1}"):
            self.answers[path] = (200, ("Cache-Control: public, max-age=99",), b"{}")
            self.get(path, TOKEN)
            self.assertEqual(self.entries(path), ())

    def test_resolve_cache(self) -> None:
        """The address of small files is served with its length, query and all."""
        path = f"/api/resolve-cache/models/ns/name/{C1}/a.txt?%2Fns=&etag=%22g%22"
        self.answers[path] = (200, ('ETag: "g"', "Content-Type: text/plain"), b"x" * 5000)
        for _ in range(2):
            _, headers, body = self.get(path, "Accept-Encoding: gzip")
            self.assertEqual((headers.get("content-length"), len(body)), ("5000", 5000))
        self.assertEqual(self.asked, 1)
