"""Questions of one node to another."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.cluster.questions import LONGEST, SKEW, asked, packed, unpacked
from aimirror.http.headers import Headers
from aimirror.routing.digests import Digest
from aimirror.routing.rules import Route, Rule
from aimirror.tier.keys import Keys

KEYS = Keys(("k" * 32,))
RULE = Rule(name="r", upstreams=("http://h",))
ROUTE = Route(
    rule=RULE,
    path="/x%20y",
    urls=("http://h/x%20y?a=b",),
    key="http://h/x%20y?a=b",
    immutable=True,
    digest=Digest("sha512", "ab" * 64),
    size=7,
    exact=True,
    vary=("accept",),
)


class QuestionTests(SynchronousTestCase):
    def text(self, **more: str) -> str:
        headers = Headers([("Accept", "ü"), *more.items()])
        return packed(asked(ROUTE, headers, 5.0, "ab"), KEYS, 1000.0)

    def test_round_trip(self) -> None:
        """The other node has the same route, fields and times."""
        question = unpacked(self.text(), KEYS, 1000.0)
        assert question is not None
        self.assertEqual(question.route(RULE), ROUTE)
        self.assertEqual(question.headers.get("accept"), "ü")
        self.assertEqual((question.not_before, question.have), (5.0, "ab"))
        self.assertTrue(self.text().isascii())

    def test_strangers(self) -> None:
        """What is unsigned, signed by others, altered, or old is no question."""
        text = self.text()
        said, _, mac = text.partition(".")
        for bad in ("", ".", said, f"{said}.", f"{said}x.{mac}", f"A{text[1:]}", f"{said}.ü"):
            self.assertIsNone(unpacked(bad, KEYS, 1000.0), bad)
        self.assertIsNone(unpacked(text, Keys(("x" * 32,)), 1000.0))
        self.assertIsNone(unpacked(text, KEYS, 1000.0 + SKEW + 1))
        self.assertIsNotNone(unpacked(text, Keys(("x" * 32, "k" * 32)), 1000.0))

    def test_long(self) -> None:
        """A question that would not fit into a head is not asked."""
        self.assertEqual(self.text(cookie="x" * LONGEST), "")

    def test_hidden(self) -> None:
        """Fields are in no text of it."""
        self.assertNotIn("secret", repr(asked(ROUTE, Headers([("Token", "secret")]), 0.0, "")))
