"""Challenges, scopes, tokens and credentials of registries."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.registries import auth as oci_auth
from aimirror.registries.auth import Challenge, Credential, chosen, credential, parse_challenges

HUB = (
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
    'scope="repository:a/b:pull,push",error="insufficient_scope"'
)


class ChallengeTests(SynchronousTestCase):
    def test_commas_in_quotes(self) -> None:
        """A comma in a quoted scope does not end the parameter."""
        found = chosen(parse_challenges([HUB]))
        self.assertEqual(
            found,
            Challenge(
                "bearer", "https://auth.docker.io/token", "registry.docker.io", "insufficient_scope"
            ),
        )

    def test_several(self) -> None:
        """Of several challenges, on one line or more, Bearer is met before Basic."""
        for lines in (['Basic realm="x, y", ' + HUB], ["BASIC realm=x", HUB], [HUB, "Negotiate"]):
            found = chosen(parse_challenges(lines))
            self.assertEqual(found and found.scheme, "bearer", lines)
        basic = chosen(parse_challenges(['Negotiate abc==, Basic realm="x"']))
        self.assertEqual(basic and basic.scheme, "basic")

    def test_unusable(self) -> None:
        """A realm that is no http URL, or a scheme that is unknown, is not met."""
        for value in ("", 'Bearer realm="file:///etc/passwd"', "Digest nonce=1", "Bearer", ",,="):
            self.assertIsNone(chosen(parse_challenges([value])), value)

    @settings(max_examples=50, deadline=None)
    @given(*[st.text("abc,:= /", max_size=12)] * 2)
    def test_round_trip(self, service: str, scope: str) -> None:
        """What the mirror writes says what was meant, whatever is in it."""
        written = oci_auth.format_challenge("http://m/v2/auth", service, scope)
        (found,) = parse_challenges([written])
        self.assertEqual((found.realm, found.service), ("http://m/v2/auth", service))

    @settings(max_examples=50, deadline=None)
    @given(st.text('Bearer =",\\ab', max_size=40))
    def test_any_text(self, value: str) -> None:
        """No text is too strange to be read."""
        parse_challenges([value])

    def test_token_url(self) -> None:
        """Each scope is a parameter of its own, and the realm's query stays."""
        challenge = Challenge("bearer", "https://t.test/token?x=1", "a b")
        url = oci_auth.token_url(challenge, ["repository:a/b:pull", "repository:c:pull"])
        told = "x=1&service=a%20b&scope=repository:a/b:pull&scope=repository:c:pull"
        self.assertEqual(url, f"https://t.test/token?{told}")

    def test_scopes(self) -> None:
        """The repository of a scope may have a port in its name."""
        self.assertEqual(oci_auth.repository_of("repository:h:5000/a/b:pull,push"), "h:5000/a/b")
        self.assertIsNone(oci_auth.repository_of("registry:catalog:*"))
        self.assertIsNone(oci_auth.repository_of("repository:"))


class TokenTests(SynchronousTestCase):
    def test_names_and_life(self) -> None:
        """Both names of the token are read; a life that is left out is a minute."""
        for name in ("token", "access_token"):
            body = json.dumps({name: "t", "expires_in": 300}).encode()
            token = oci_auth.parse_token(body, 1000.0)
            assert token is not None
            self.assertEqual(
                (token.value, token.use_until, token.expires_at), ("t", 1270.0, 1300.0)
            )
        short = oci_auth.parse_token(b'{"token": "t"}', 0.0)
        self.assertEqual(short and short.expires_at, 60.0)

    def test_nonsense(self) -> None:
        """What is no token is none, above all what would break out of a header field."""
        for body in (b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\r\\nb"}', b"[" * 9999):
            self.assertIsNone(oci_auth.parse_token(body, 0.0), body[:20])

    def test_own(self) -> None:
        """The mirror's answer is read by the same rules."""
        token = oci_auth.parse_token(oci_auth.format_token("x", 99.5), 0.0)
        self.assertEqual(token and (token.value, token.expires_at), ("x", 99.0))


class CredentialTests(SynchronousTestCase):
    def test_who(self) -> None:
        """Nobody, somebody by password, somebody by token, and the mirror's own tokens undone."""
        own = oci_auth.basic_token("Basic YTpi")
        for value, wanted in (
            (None, Credential()),
            ("", Credential()),
            ("Bearer anonymous", Credential()),
            ("Bearer a b", Credential()),
            ("Basic Og==", Credential()),
            ("Basic ???", Credential()),
            ("Digest x", Credential()),
            ("basic YTpi", Credential(basic="Basic YTpi")),
            ("bearer t.x", Credential(bearer="Bearer t.x")),
            (f"Bearer {own}", Credential(basic="Basic YTpi")),
        ):
            self.assertEqual(credential(value), wanted, value)

    def test_secret(self) -> None:
        """Neither a credential nor a token shows its secret; its hash tells it from others."""
        who = credential("Basic YTpi")
        self.assertNotIn("YTpi", repr(who) + who.hash)
        self.assertNotEqual(who.hash, credential("Basic YTpj").hash)
        self.assertEqual(Credential().hash, "")
        token = oci_auth.parse_token(b'{"token": "secret"}', 0.0)
        self.assertNotIn("secret", repr(token))
