"""Whose word on a file counts: its own index's, and no client's."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from aimirror.indexes.indexed import WISH_SECONDS
from aimirror.routing.choices import ContentRewrite
from aimirror.routing.rules import Rule
from tests.ecosystems.support import WorldCase

GOOD = b"the good file"
FILE = ("Cache-Control: max-age=9", 'ETag: "v"')


def integrity(data: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


class WishTests:
    """A client says in ``wish`` that it expects something else than there is at ``path``."""

    name = ""
    path = ""
    wish = ""
    right = ""

    def setUp(self: Any) -> None:
        super().setUp()  # type: ignore[misc]
        self.use(ecosystem=self.name, immutable=True)
        self.answers[self.path] = (200, FILE, GOOD)

    def served(self: Any, *fields: str) -> None:
        self.assertEqual(self.get(self.path, *fields)[::2], (200, GOOD))

    def test_cold(self: Any) -> None:
        """A wish that is wrong keeps the file from nobody, the one with the wish included."""
        for fields in ((self.wish,), (), (self.wish,), ()):
            self.served(*fields)
        self.assertEqual(self.asked, 1)

    def test_stored(self: Any) -> None:
        """It marks nothing that is stored, and costs the upstream a question a minute at most."""
        self.served()
        self.clock.advance(WISH_SECONDS + 1)
        for _ in range(3):
            self.served(self.wish)
            self.served(self.right)
        self.assertEqual(self.get(self.path)[1].get("x-cache"), "HIT")
        self.assertEqual(self.asked, 2)
        self.assertEqual(self.last().headers.get("if-none-match"), '"v"')

    def test_another_by_now(self: Any) -> None:
        """Where the upstream has the file that is expected by now, that one is fetched."""
        self.served()
        self.clock.advance(WISH_SECONDS + 1)
        self.answers[self.path] = (200, ('ETag: "w"',), b"new")
        self.assertEqual(self.get(self.path, self.wish)[2], b"new")
        self.assertEqual(self.get(self.path)[2], b"new")

    def test_gone_for_one(self: Any) -> None:
        """A refusal that a wish brought takes the file from nobody."""
        self.served()
        self.clock.advance(WISH_SECONDS + 1)
        self.answers[self.path] = (404, ("Cache-Control: max-age=900",), b"")
        self.get(self.path, self.wish)
        self.served()


class NpmWishTests(WishTests, WorldCase):
    name = "npm"
    path = "/demo/-/demo-1.0.0.tgz"
    wish = f"pacote-integrity: {integrity(b'new')}"
    right = f"pacote-integrity: {integrity(GOOD)}"


class CondaWishTests(WishTests, WorldCase):
    name = "conda"
    path = "/noarch/demo-1.0-0.conda"
    wish = f"X-Expected-SHA256: {hashlib.sha256(b'new').hexdigest()}"
    right = f"X-Expected-SHA256: {hashlib.sha256(GOOD).hexdigest()}"


class OwnIndexTests(WorldCase):
    name = "cargo"

    def test_other_index(self) -> None:
        """Another index that has a crate of the same name and version refuses nothing."""
        public = Rule(
            name="index",
            upstreams=("https://public.test",),
            path_prefix="/public",
            strip_prefix=True,
            ecosystem="cargo",
        )
        own = Rule(
            name="own",
            upstreams=("https://company.test/index",),
            path_prefix="/own",
            strip_prefix=True,
            ecosystem="cargo",
            content_rewrite=ContentRewrite(targets=("https://files.company.test",)),
        )
        files = ("https://files.company.test",)
        self.use(public, own, ecosystem="cargo", upstreams=files, immutable=True)
        line = {"name": "demo", "vers": "1.0.0", "cksum": hashlib.sha256(b"other").hexdigest()}
        fresh = ("Cache-Control: max-age=600",)
        self.answers["https://public.test/de/mo/demo"] = (200, fresh, json.dumps(line).encode())
        crate = "/demo/demo-1.0.0.crate"
        self.answers[files[0] + crate] = (200, (), GOOD)
        self.assertEqual(self.get("/public/de/mo/demo")[0], 200)
        self.assertEqual(self.get(crate)[::2], (200, GOOD))
        line["cksum"] = hashlib.sha256(b"rebuilt").hexdigest()
        self.clock.advance(1)
        self.answers["https://company.test/index/de/mo/demo"] = (
            200,
            fresh,
            json.dumps(line).encode(),
        )
        self.answers[files[0] + crate] = (200, (), b"rebuilt")
        self.assertEqual(self.get("/own/de/mo/demo")[0], 200)
        self.assertEqual(self.get(crate)[2], b"rebuilt")

    def test_index_of_another_user(self) -> None:
        """What an index tells one login judges nothing for others."""
        self.name = "npm"
        self.use(immutable=False)
        self.answers["/demo"] = lambda outgoing: (
            200,
            ("Content-Type: application/json", "Cache-Control: max-age=600"),
            json.dumps(
                {
                    "versions": {
                        "1.0.0": {
                            "dist": {
                                "tarball": "https://up.test/demo/-/demo-1.0.0.tgz",
                                "integrity": integrity(
                                    b"alice's" if "authorization" in outgoing.headers else GOOD
                                ),
                            }
                        }
                    }
                }
            ).encode(),
        )
        self.answers["/demo/-/demo-1.0.0.tgz"] = (200, ("Cache-Control: max-age=9",), GOOD)
        self.get("/demo", "Authorization: Bearer alice")
        self.assertEqual(self.get("/demo/-/demo-1.0.0.tgz")[::2], (200, GOOD))
