"""Redirects bound the life and the audience of what is stored under the URL asked for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.freshness import lifetime
from aimirror.caching.redirected import restrained
from aimirror.caching.storing import Audience, storable
from aimirror.http.headers import Headers
from aimirror.routing.policies import CachePolicy

NOW = 1_700_000_000.0
YEAR = 365 * 24 * 3600


def made(final: str, *hops: tuple[int, str], age: str = "", **policy: float) -> Headers:
    told = [("Cache-Control", final)] if final else []
    told += [("Age", age)] if age else []
    ways = [(status, Headers([("Cache-Control", c)] if c else [])) for status, c in hops]
    return restrained(Headers(told), ways, CachePolicy(**policy), NOW)


def life(headers: Headers) -> float:
    return lifetime(200, headers, CachePolicy())


class LifeTests(SynchronousTestCase):
    def test_not_redirected(self) -> None:
        """Without redirects nothing is changed."""
        self.assertEqual(made("max-age=5").items, (("Cache-Control", "max-age=5"),))

    def test_temporary(self) -> None:
        """A file for a year behind a temporary redirect is asked about each time."""
        self.assertEqual(life(made(f"public, max-age={YEAR}, immutable", (302, ""))), 0)

    def test_temporary_with_a_life(self) -> None:
        """The redirect's own life counts when it is the shorter one."""
        self.assertEqual(life(made(f"max-age={YEAR}", (302, "max-age=60"))), 60)
        self.assertEqual(life(made("max-age=30", (302, "max-age=60"))), 30)

    def test_aged_file(self) -> None:
        """The age of the file does not eat up the life of the redirect."""
        headers = made(f"max-age={YEAR}", (302, "max-age=60"), age="1000")
        self.assertEqual(life(headers), 1060)

    def test_permanent(self) -> None:
        """A permanent redirect bounds nothing, unless it says for how long."""
        self.assertEqual(life(made("max-age=500", (301, ""))), 500)
        self.assertEqual(life(made("max-age=500", (308, "max-age=9"))), 9)
        self.assertEqual(life(made("max-age=500", (301, "no-cache"))), 0)

    def test_rule(self) -> None:
        """A rule's ttl is for redirects that state none."""
        self.assertEqual(life(made("max-age=500", (302, ""), ttl=100.0)), 100)


class AudienceTests(SynchronousTestCase):
    ASKED = Headers([("Authorization", "Bearer x")])

    def audience(self, headers: Headers) -> Audience:
        return storable("GET", self.ASKED, 200, headers, CachePolicy()).audience

    def test_signed_address(self) -> None:
        """What a credential led to is that credential's, though its address is anybody's."""
        for status in (302, 301):
            headers = made("public, max-age=500", (status, ""))
            self.assertIs(self.audience(headers), Audience.SCOPED)

    def test_private_way(self) -> None:
        """A private redirect is asked for each time, and makes the end its credential's own."""
        headers = made("public, max-age=500", (302, "private, max-age=60"))
        self.assertIs(self.audience(headers), Audience.SCOPED)
        self.assertEqual(life(headers), 0)

    def test_public_way(self) -> None:
        """Where each step is public, so is the end."""
        headers = made("public, max-age=500", (302, "public, max-age=60"))
        self.assertIs(self.audience(headers), Audience.ANYONE)
        self.assertEqual(life(headers), 60)
