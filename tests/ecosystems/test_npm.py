"""npm: documents of tarballs, and what they say."""

from __future__ import annotations

import base64
import hashlib
import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems import npm
from aimirror.http.egress import Outgoing
from aimirror.routing.digests import Digest
from tests.ecosystems.support import WorldCase

SHA512 = hashlib.sha512(b"x")
SRI = "sha512-" + base64.b64encode(SHA512.digest()).decode()


class NpmTests(SynchronousTestCase):
    def test_indexes(self) -> None:
        """A tarball's document is found under both spellings of a scoped name."""
        url = "https://r.example/base/@s/a/-/a-1.0.0.tgz"
        self.assertEqual(
            npm.indexes(url), ("https://r.example/base/@s%2Fa", "https://r.example/base/@s/a")
        )
        self.assertEqual(npm.tarball(url), "a-1.0.0.tgz")
        self.assertEqual(npm.indexes("https://r.example/@s%2fa"), ())

    def test_integrity(self) -> None:
        """The strongest known digest counts; options and unknown algorithms do not."""
        weak = "sha1-" + base64.b64encode(hashlib.sha1(b"x").digest()).decode()
        wanted = Digest("sha512", SHA512.hexdigest())
        self.assertEqual(npm.integrity(f"{weak} md5-xx {SRI}?opt"), wanted)
        for nothing in ("", "sha512-", "sha512-!!", "sha999-AAAA", "sha512"):
            self.assertIsNone(npm.integrity(nothing))

    def test_digests(self) -> None:
        """integrity goes before shasum; what is malformed is left out."""
        sha1 = hashlib.sha1(b"x").hexdigest()
        versions = {
            "1": {"dist": {"tarball": "http://h/a/-/a-1.tgz", "integrity": SRI, "shasum": sha1}},
            "2": {"dist": {"tarball": "http://h/a/-/a-2.tgz?x", "shasum": sha1}},
            "3": {"dist": {"tarball": "http://h/a/-/a-3.tgz"}},
            "4": {"dist": []},
            "5": None,
        }
        found = npm.digests(json.dumps({"versions": versions}).encode())
        self.assertEqual(
            found,
            {"a-1.tgz": Digest("sha512", SHA512.hexdigest()), "a-2.tgz": Digest("sha1", sha1)},
        )
        for bad in (b"", b"[]", b"{", b'{"versions": 1}', b"[" * 100_000):
            self.assertEqual(npm.digests(bad), {})

    def test_doubled(self) -> None:
        """What npm asks for below the registry's path twice is what lies below it once."""
        prefix, path = "/registry/npm", "/registry/npm/-/npm/v1/attestations/a@1.0.0"
        self.assertEqual(npm.usual_path(prefix + path, prefix), path)
        for other, mount in ((path, prefix), (path, ""), ("/registry/npm/registry/npm", prefix)):
            self.assertEqual(npm.usual_path(other, mount), "")

    def test_document_path(self) -> None:
        """A scoped package has one document, however its slash is written."""
        for written in ("@s/a", "@s%2fa", "@s%2Fa"):
            found = npm.document_path(f"/registry/npm/{written}", "/registry/npm")
            self.assertEqual(found, "/registry/npm/@s%2Fa")
        for other in ("a", "@s/a/-/a-1.0.0.tgz", "-/v1/search"):
            self.assertEqual(npm.document_path(f"/registry/npm/{other}", "/registry/npm"), "")


class AttestationTests(WorldCase):
    name = "npm"

    def test_both_paths(self) -> None:
        """Attestations are had by the path that their link has, and by npm's own."""
        self.use(path_prefix="/npm", strip_prefix=True)
        self.answers["/-/npm/v1/attestations/a@1"] = (200, [], b"attested")
        for path in ("/npm/-/npm/v1/attestations/a@1", "/npm/npm/-/npm/v1/attestations/a@1"):
            self.assertEqual(self.get(path)[2], b"attested")


class FormTests(WorldCase):
    name = "npm"

    def test_kept_apart(self) -> None:
        """A registry that does not say that it chooses by Accept never mixes up its documents."""

        def chosen(outgoing: Outgoing) -> tuple[int, list[str], bytes]:
            short = "install-v1" in (outgoing.headers.get("accept") or "")
            return 200, ["Cache-Control: max-age=300"], b"short" if short else b"full"

        self.use()
        self.answers["/a"] = chosen
        for _ in range(2):
            self.assertEqual(self.get("/a", f"Accept: {npm.SHORT}")[2], b"short")
            self.assertEqual(self.get("/a", "Accept: application/json")[2], b"full")
        self.assertEqual(self.asked, 2)

    def test_two_forms(self) -> None:
        """Whatever clients say of what they accept, there are two forms at the most."""
        self.use()
        self.answers["/a"] = (200, ["Cache-Control: max-age=300", "Vary: Accept"], b"{}")
        installs = (npm.SHORT, "application/vnd.npm.install-v1+json", f"text/x;a=1, {npm.SHORT}")
        for accept in (*installs, "*/*", "text/html, */*;q=0.1", "application/json"):
            self.assertEqual(self.get("/a", f"Accept: {accept}")[0], 200)
        self.assertEqual(self.asked, 2)

    def test_elsewhere(self) -> None:
        """Tarballs and calls of the API have one form, and are asked for as ever."""
        self.use()
        self.answers["/-/ping"] = (200, [], b"{}")
        self.get("/-/ping", "Accept: */*")
        self.assertEqual(self.last().headers.get("accept"), "*/*")
