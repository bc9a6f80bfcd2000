"""Whose word opens what a login brought from a registry."""

from __future__ import annotations

import hashlib
from typing import Any

from aimirror.ecosystems.making import Edges
from aimirror.ecosystems.registry import BY_NAME, made
from aimirror.http.egress import Outgoing
from aimirror.mirror.ecosystem import Ecosystem
from aimirror.registries.registry import Registries, Registry
from tests.ecosystems.support import WorldCase
from tests.mirror.support import Played

DATA = b"a private layer"
SHA = hashlib.sha256(DATA).hexdigest()
ALICE = "Authorization: Basic YWxpY2U6cw=="


class RightTests(WorldCase):
    name = "oci"

    def world(self) -> Ecosystem:
        registries = Registries(
            (
                Registry(name="own.test", upstreams=("https://own.test",)),
                Registry(name="evil.test", upstreams=("https://evil.test",)),
            )
        )
        edges = Edges(library=self.library, registries=registries)
        return made(BY_NAME[self.name], edges)

    def use(self, *more: Any, **options: Any) -> None:
        super().use(*more, path_prefix="/v2", **options)
        self.upstream.handler = self.registry

    def registry(self, outgoing: Outgoing) -> Played:
        """The company's knows Alice; the other one has all that is asked for."""
        if outgoing.url.startswith("https://evil.test"):
            return Played(200, "Content-Type: a/b", body=b"")
        if outgoing.headers.get("authorization") != "Basic YWxpY2U6cw==":
            return Played(401, 'WWW-Authenticate: Basic realm="own"')
        return Played(200, body=b"" if outgoing.method == "HEAD" else DATA)

    def test_other_registry(self) -> None:
        """Another registry that says to have a digest opens what Alice's has brought to nobody."""
        self.assertEqual(self.get(f"/v2/own.test/a/blobs/sha256:{SHA}", ALICE)[2], DATA)
        for fields in ((), (ALICE,)):
            client = self.ask(f"/v2/evil.test/x/blobs/sha256:{SHA}", *fields)
            self.assertNotIn(DATA, client.received)
            self.assertEqual(self.get(f"/v2/own.test/a/blobs/sha256:{SHA}")[0], 401)

    def test_same_registry(self) -> None:
        """The same registry's word is enough for another repository there."""
        self.get(f"/v2/own.test/a/blobs/sha256:{SHA}", ALICE)
        before = self.asked
        self.assertEqual(self.get(f"/v2/own.test/b/blobs/sha256:{SHA}", ALICE)[2], DATA)
        self.assertTrue(all(u.startswith("HEAD") for u in self.urls()[before:]))
