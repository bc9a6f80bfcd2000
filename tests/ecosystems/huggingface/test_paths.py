"""The hub's paths, and what its answers say together."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.huggingface import paths as hf
from aimirror.ecosystems.huggingface.paths import Call, Seen, Target
from aimirror.http.headers import Headers

HUB = "https://hf.test"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA = "c" * 64


class PathTests(SynchronousTestCase):
    def test_files(self) -> None:
        """Models, datasets, spaces, names of one segment; revisions and paths stay encoded."""
        for path, repo, revision, file in (
            ("/ns/name/resolve/main/a/b.bin", "/ns/name", "main", "a/b.bin"),
            ("/gpt2/resolve/main/x?download=true", "/gpt2", "main", "x"),
            ("/datasets/ns/d/resolve/refs%2Fpr%2F1/x", "/datasets/ns/d", "refs%2Fpr%2F1", "x"),
            (f"/spaces/ns/s/resolve/{COMMIT}/resolve/x/y", "/spaces/ns/s", COMMIT, "resolve/x/y"),
        ):
            found = hf.target(HUB + path)
            self.assertEqual(found, Target(HUB + repo, revision, file))
            assert found is not None
            self.assertEqual(found.pinned, revision == COMMIT)
            self.assertEqual(found.url, HUB + path.partition("?")[0])
        for path in ("/ns/name", "/api/models/ns/name", "/resolve/main/x", "/a/resolve/main"):
            self.assertIsNone(hf.target(HUB + path), path)

    def test_calls(self) -> None:
        """What is one client's is never kept; what is a commit's never changes."""
        for path, wanted in (
            ("/api/models", Call()),
            ("/api/models?search=x", Call()),
            ("/api/models/ns/name/revision/main", Call(of_repo=True)),
            ("/api/models/ns/name/tree/main?recursive=true", Call(of_repo=True, is_tree=True)),
            (f"/api/spaces/a/b/tree/{COMMIT}", Call(of_repo=True, is_tree=True, pinned=True)),
            ("/api/datasets/a/b", Call(of_repo=True)),
            ("/api/whoami-v2", Call(personal=True)),
            (f"/api/models/a/b/xet-read-token/{COMMIT}", Call(personal=True)),
            (
                f"/api/resolve-cache/models/a/b/{COMMIT}/x?%2Fa=&etag=%22y%22",
                Call(of_repo=True, is_file=True, pinned=True),
            ),
        ):
            self.assertEqual(hf.call(HUB + path), wanted, path)
        self.assertIsNone(hf.call(HUB + "/ns/name"))


class SeenTests(SynchronousTestCase):
    def test_large(self) -> None:
        """A redirect off the hub tells all of a large file; its own length and type are not it."""
        redirect = Headers(
            [
                ("X-Repo-Commit", COMMIT),
                ("ETag", '"pointer"'),
                ("X-Linked-Etag", f'"{SHA}"'),
                ("X-Linked-Size", "12"),
                ("Content-Length", "99"),
                ("Content-Type", "text/plain"),
                ("Location", "https://cdn.test/x?sig"),
                ("X-Xet-Hash", "e" * 64),
            ]
        )
        found = hf.seen(302, [redirect])
        self.assertEqual((found.status, found.commit, found.size), (200, COMMIT, 12))
        assert found.sha256 is not None
        self.assertEqual((found.etag, found.sha256.hex), (SHA, SHA))
        told = hf.told(found)
        self.assertEqual((told.get("etag"), told.get("content-length")), (f'"{SHA}"', "12"))
        self.assertNotIn("location", told)
        self.assertNotIn("content-type", told)

    def test_small(self) -> None:
        """A small file's length is that of the last answer, its commit that of the first."""
        first = Headers([("X-Repo-Commit", COMMIT), ("ETag", '"git"'), ("Content-Length", "70")])
        last = Headers([("Content-Length", "5"), ("Content-Type", "text/x"), ("ETag", 'W/"git"')])
        found = hf.seen(200, [first, last])
        self.assertEqual((found.commit, found.size, found.etag), (COMMIT, 5, "git"))
        self.assertIsNone(found.sha256)
        self.assertEqual(hf.told(found).get("content-type"), "text/x")

    def test_hidden(self) -> None:
        """A credential might show more of what is hidden, not of what there is not."""
        for status, code, wanted in (
            (401, "RepoNotFound", True),
            (401, "GatedRepo", True),
            (403, "", True),
            (404, "RepoNotFound", True),
            (404, "", True),
            (404, "EntryNotFound", False),
            (404, "RevisionNotFound", False),
            (200, "", False),
        ):
            headers = Headers([("X-Error-Code", code)] if code else [])
            self.assertEqual(Seen(status, headers).hidden, wanted, (status, code))

    def test_refusal(self) -> None:
        """The hub's reasons and limits survive; what else it says does not."""
        fields = [("X-Error-Code", "GatedRepo"), ("X-Error-Message", "ask"), ("Set-Cookie", "x")]
        headers, body = hf.refusal(Seen(403, Headers([*fields, ("RateLimit", "r=0")])))
        self.assertEqual(json.loads(body), {"error": "ask"})
        self.assertEqual(headers.get("x-error-code"), "GatedRepo")
        self.assertIn("ratelimit", headers)
        self.assertNotIn("set-cookie", headers)


class XetTests(SynchronousTestCase):
    def test_fields(self) -> None:
        """Nothing leads to the chunks; other links stay."""
        headers = Headers(
            [
                ("X-Xet-Hash", "x"),
                ("Link", '<https://a.test/x,y>; rel="xet-auth", <https://b.test/?c>; rel="next"'),
                ("Link", "<https://c.test>; rel=xet-reconstruction-info"),
                ("ETag", '"a"'),
            ]
        )
        kept = hf.without_xet(headers)
        self.assertEqual(
            [v.strip() for v in kept.get_all("link")], ['<https://b.test/?c>; rel="next"']
        )
        self.assertEqual({n.lower() for n, _ in kept}, {"etag", "link"})

    def test_tree(self) -> None:
        """A page of a tree loses the names of chunks and nothing else; no page stays as it is."""
        items = [{"path": "ä", "xetHash": "x", "lfs": {"oid": "y"}}, {"path": "b"}]
        found = json.loads(hf.tree_without_xet(json.dumps(items).encode()))
        self.assertEqual(found, [{"path": "ä", "lfs": {"oid": "y"}}, {"path": "b"}])
        for data in (b"{}", b"<html>", b'{"error": "x"}', b"[" * 100_000):
            self.assertEqual(hf.tree_without_xet(data), data)

    def test_commit(self) -> None:
        """A commit is what the hub calls so; what can't be read names none."""
        self.assertEqual(hf.commit_of(b'{"sha": "abc"}'), "abc")
        for data in (b"{", b"[]", b'{"sha": 1}', b"[" * 100_000):
            self.assertEqual(hf.commit_of(data), "")
