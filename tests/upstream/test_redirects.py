"""Redirects: where they lead, what they carry, what they may reach."""

from ipaddress import ip_network

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.egress import ANYWHERE, Egress, Outgoing, Trust, Zone
from aimirror.http.headers import Headers
from aimirror.upstream.redirects import BadRedirect, Trail, redirected_reach, resolve

SENT = Headers(
    [("Authorization", "Bearer s"), ("Cookie", "c=1"), ("X-Key", "k"), ("Accept", "*/*")]
)
START = Outgoing("GET", "https://one.example/a/b?x=1", SENT, Egress(reach=ANYWHERE))


def follow(location: str | None, start: Outgoing = START, status: int = 302, budget: int = 5):
    fields = [] if location is None else [("Location", location)]
    return Trail(start, budget).next_hop(status, Headers(fields), Zone.PUBLIC)


class ResolveTests(SynchronousTestCase):
    def test_references(self) -> None:
        """Each kind of reference resolves as RFC 3986 says, with nothing else rewritten."""
        base = "http://h:81/b/c/d;p?q=1#f"
        table = {
            "https://o/x": "https://o/x",
            "//o/x?": "http://o/x?",
            "/x/%2F/../y": "http://h:81/x/%2F/../y",
            "g": "http://h:81/b/c/g",
            "./g": "http://h:81/b/c/g",
            "g/": "http://h:81/b/c/g/",
            "../g": "http://h:81/b/g",
            "../../../g": "http://h:81/g",
            "..": "http://h:81/b/",
            ".": "http://h:81/b/c/",
            "?y": "http://h:81/b/c/d;p?y",
            "?": "http://h:81/b/c/d;p?",
            "g?y/../x": "http://h:81/b/c/g?y/../x",
            "g#s": "http://h:81/b/c/g",
            "": "http://h:81/b/c/d;p?q=1",
            "#s": "http://h:81/b/c/d;p?q=1",
            "/caf\xc3\xa9 x": "http://h:81/caf%C3%A9%20x",
        }
        for reference, url in table.items():
            self.assertEqual(resolve(base, reference), url, reference)

    def test_base_without_path(self) -> None:
        """A bare host and a query right behind it are bases, too."""
        self.assertEqual(resolve("http://h", "x"), "http://h/x")
        self.assertEqual(resolve("http://h?q", "/x"), "http://h/x")

    def test_control_characters(self) -> None:
        """A Location that could inject a field is refused."""
        for stray in ("/a\r\nX: y", "/a\x00", "/a\x7f"):
            self.assertRaises(BadRedirect, resolve, "http://h/", stray)

    @settings(max_examples=100, deadline=None)
    @given(st.text(st.sampled_from("abc./?%2F;=&~+"), max_size=30))
    def test_absolute_path_to_the_letter(self, rest: str) -> None:
        """An absolute path and its query are never changed."""
        self.assertEqual(resolve("http://h/x/y", "/a" + rest), "http://h/a" + rest)


class TrailTests(SynchronousTestCase):
    def test_which_answers(self) -> None:
        """The five redirect statuses are followed, others and those without Location are not."""
        for status in (301, 302, 303, 307, 308):
            self.assertIsNotNone(follow("/x", status=status))
        for status in (200, 300, 304, 305, 404):
            self.assertIsNone(follow("/x", status=status))
        self.assertIsNone(follow(None))

    def test_methods(self) -> None:
        """Only GET and HEAD are followed, and keep their method."""
        for method in ("GET", "HEAD"):
            onward = follow("/x", evolve(START, method=method), 303)
            assert onward is not None
            self.assertEqual(onward.outgoing.method, method)
        self.assertIsNone(follow("/x", evolve(START, method="POST")))

    def test_same_origin_keeps_credentials(self) -> None:
        """A redirect within scheme, host and port carries all fields."""
        for location in ("/x", "https://ONE.example:443/x"):
            onward = follow(location)
            assert onward is not None
            self.assertEqual(onward.outgoing.headers, SENT)

    def test_other_origin_drops_credentials(self) -> None:
        """Another scheme, host or port gets the usual fields alone, and no credential."""
        for location in (
            "http://one.example/x",
            "https://two.example/x",
            "//one.example.evil/x",
            "https://one.example:444/x",
            "https://1.one.example/x",
        ):
            onward = follow(location)
            assert onward is not None
            self.assertEqual(onward.outgoing.headers, SENT.only("Accept"))

    def test_tokens_of_their_own(self) -> None:
        """Tokens in fields of their own stay behind as well, however they are written."""
        there = Headers([("Location", "https://two.example/")])
        fields = [("Private-Token", "s"), ("X-JFrog-Art-Api", "s"), ("JOB-TOKEN", "s")]
        start = evolve(START, headers=Headers([*fields, ("Accept", "*/*")]))
        onward = Trail(start, 1).next_hop(302, there, Zone.PUBLIC)
        assert onward is not None
        self.assertEqual(onward.outgoing.headers, Headers([("Accept", "*/*")]))

    def test_never_regained(self) -> None:
        """Back at the first host the credentials are still gone."""
        away = follow("https://two.example/x")
        assert away is not None
        back = away.next_hop(302, Headers([("location", "https://one.example/y")]), Zone.PUBLIC)
        assert back is not None
        self.assertNotIn("authorization", back.outgoing.headers)
        self.assertNotIn("cookie", back.outgoing.headers)

    def test_cookies(self) -> None:
        """What an answer sets goes along to the same host alone; so it may lead to itself once."""
        cookies = [("Set-Cookie", "s=1; HttpOnly"), ("Location", "https://one.example/a/b?x=1")]
        onward = Trail(START, 5).next_hop(302, Headers(cookies), Zone.PUBLIC)
        assert onward is not None
        self.assertEqual(onward.outgoing.headers.get("cookie"), "c=1; s=1")
        self.assertRaises(BadRedirect, onward.next_hop, 302, Headers(cookies), Zone.PUBLIC)
        away = onward.next_hop(302, Headers([("Location", "https://two.example/")]), Zone.PUBLIC)
        assert away is not None
        self.assertNotIn("cookie", away.outgoing.headers)

    def test_certificates(self) -> None:
        """Another origin is believed by the same authorities, and shown no certificate."""
        shown = Trust(("ca",), "cert", "key")
        start = evolve(START, egress=Egress(reach=ANYWHERE, trust=shown))
        for location, trust in (("/x", shown), ("https://two.example/", Trust(("ca",)))):
            onward = follow(location, start)
            assert onward is not None
            self.assertEqual(onward.outgoing.egress.trust, trust)

    def test_bad_targets(self) -> None:
        """Other schemes and userinfo are refused, and the message quotes nothing of them."""
        for location in ("ftp://h/x", "file:///etc/passwd", "https://u:secret@h/", "http://"):
            with self.assertRaises(BadRedirect) as caught:
                follow(location)
            self.assertNotIn("secret", str(caught.exception))
            self.assertNotIn("passwd", str(caught.exception))

    def test_loop(self) -> None:
        """A URL that was asked already is not asked again, a fragment notwithstanding."""
        self.assertRaises(BadRedirect, follow, "?x=1#again")
        onward = follow("/x")
        assert onward is not None
        home = Headers([("Location", START.url)])
        self.assertRaises(BadRedirect, onward.next_hop, 302, home, Zone.PUBLIC)

    def test_budget(self) -> None:
        """The redirect after the last allowed one is an error."""
        trail = Trail(START, 2)
        for step in ("/1", "/2"):
            onward = trail.next_hop(302, Headers([("Location", step)]), Zone.PUBLIC)
            assert onward is not None
            trail = onward
        there = Headers([("Location", "/3")])
        self.assertRaises(BadRedirect, trail.next_hop, 302, there, Zone.PUBLIC)

    def test_reach(self) -> None:
        """Later hops reach the public, the first answer's zone and what is listed, no more."""
        listed = evolve(ANYWHERE, networks=(ip_network("10.1.0.0/16"),), hosts=frozenset({"files"}))
        for zone in (Zone.PUBLIC, Zone.PRIVATE, Zone.LOOPBACK):
            reach = redirected_reach(listed, zone)
            self.assertEqual(reach.zones, {Zone.PUBLIC, zone})
            self.assertEqual((reach.networks, reach.hosts), (listed.networks, listed.hosts))

    def test_reach_is_set_by_the_first_answer(self) -> None:
        """A later hop's zone widens nothing."""
        onward = follow("https://two.example/")
        assert onward is not None
        there = Headers([("Location", "http://127.0.0.1/")])
        last = onward.next_hop(302, there, Zone.LOOPBACK)
        assert last is not None
        self.assertEqual(last.outgoing.egress.reach.zones, {Zone.PUBLIC})
