"""What is private in an outage: its own readers have it for a grace, and nobody else."""

from __future__ import annotations

import base64
from typing import Any

from aimirror.http.egress import Outgoing
from aimirror.mirror.cached import GRANTED_FOR
from aimirror.routing.policies import CachePolicy
from tests.ecosystems.oci.test_trials import ACCEPT, REPOSITORY, TrialCase, digest_of
from tests.mirror.support import Played

GRACE = 3600.0
LISTED = b'{"tags": ["latest"]}'


def login(user: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:s".encode()).decode()


ALICE, BOB = login("alice"), login("bob")


class GraceCase(TrialCase):
    grace = GRACE

    def setUp(self) -> None:
        super().setUp()
        self.use(path_prefix="/v2", cache=CachePolicy(private_grace=self.grace))
        self.readers = {ALICE}
        self.upstream.handler = self.guarded
        self.one = self.tags["latest"] = self.image(b"one")

    def guarded(self, outgoing: Outgoing) -> Played | Exception:
        """A registry that knows Basic alone."""
        if self.down:
            return self.registry(outgoing)
        if f"Authorization: {outgoing.headers.get('authorization')}" not in self.readers:
            return Played(401, 'WWW-Authenticate: Basic realm="r"')
        if outgoing.url.endswith("/tags/list"):
            return Played(200, "Content-Type: application/json", body=LISTED)
        return self.registry(outgoing)

    def statuses_of(self, *fields: str) -> list[int]:
        """Of a tag, its manifest, a layer, and the list of tags."""
        paths = (
            "manifests/latest",
            f"manifests/{self.one}",
            f"blobs/{digest_of(b'one')}",
            "tags/list",
        )
        return [self.got(f"{REPOSITORY}/{path}", *fields)[0] for path in paths]

    def got(self, path: str, *fields: str) -> tuple[int, Any, bytes]:
        return self.get(path, ACCEPT, *fields)


class GraceTests(GraceCase):
    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.statuses_of(ALICE), [200] * 4)
        self.down = True

    def test_own(self) -> None:
        """Who was let in last has all of it, also after the minute for which that is believed."""
        for _ in range(3):
            self.clock.advance(GRANTED_FOR)
            self.assertEqual(self.statuses_of(ALICE), [200] * 4)
        self.assertEqual(
            self.got(f"{REPOSITORY}/manifests/latest", ALICE)[1].get("x-cache"), "STALE"
        )
        self.assertEqual(self.got(f"{REPOSITORY}/tags/list", ALICE)[2], LISTED)

    def test_others(self) -> None:
        """Others have nothing, with another login or none."""
        for fields in ((), (BOB,)):
            for status in self.statuses_of(*fields):
                self.assertGreaterEqual(status, 400)

    def test_over(self) -> None:
        """Nor has anybody once the grace is over."""
        self.clock.advance(GRACE + 1)
        for status in self.statuses_of(ALICE):
            self.assertGreaterEqual(status, 500)

    def test_no_more(self) -> None:
        """A registry that says no is not overruled."""
        self.down = False
        self.readers.clear()
        self.clock.advance(GRANTED_FOR + 1)
        self.assertEqual(self.statuses_of(ALICE), [401] * 4)


class NoGraceTests(GraceCase):
    grace = 0.0

    def test_none(self) -> None:
        """Without a grace, which is the default, nothing private is served in an outage."""
        self.assertEqual(self.statuses_of(ALICE), [200] * 4)
        self.down = True
        self.clock.advance(GRANTED_FOR + 1)
        statuses = self.statuses_of(ALICE)
        self.assertTrue(all(status >= 500 for status in statuses), statuses)
