"""What goes upstream of a request, and whose it is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.forwarding import SHARED, asked_for_storing, fresher, passed_on, scope_of
from aimirror.http.headers import CREDENTIALS, Headers
from aimirror.http.negotiated import NOBODY

#: Fields by which servers were seen to choose another answer, or that they repeat in it.
STEERING = (
    *("X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "X-HTTP-Host-Override", "X-Host"),
    *("X-Forwarded-Host", "X_Forwarded_Host", "X-Forwarded-Prefix", "X-Forwarded-Scheme"),
    *("Forwarded", "X-JFrog-Override-Base-Url", "X-Artifactory-Override-Base-Url", "Origin"),
    *("X-HTTP-Method-Override", "X-Method-Override", "X-Real-IP", "True-Client-IP", "Referer"),
    *("Accept-Language", "Accept-Charset", "Prefer", "Want-Digest", "Want-Repr-Digest"),
    *("X-Requested-With", "X-Wap-Profile", "Via", "From", "Max-Forwards", "Save-Data"),
    *("pacote-integrity", "X-Expected-SHA256", "Range", "If-Match", "Content-Type", "Host"),
)


def sent(*fields: tuple[str, str], more: tuple[str, ...] = ()) -> Headers:
    """What goes upstream, without what goes of every client."""
    made = asked_for_storing(Headers(fields), compressed=False, more=more)
    own = (("User-Agent", NOBODY), ("Accept-Encoding", "identity"))
    return Headers(item for item in made if item not in own)


class SharedTests(SynchronousTestCase):
    def test_steering(self) -> None:
        """No field that could choose the answer, other than the listed ones, goes upstream."""
        for name in STEERING:
            self.assertEqual(sent((name, "evil")), Headers(), name)

    @settings(max_examples=200, deadline=None)
    @given(st.text(st.sampled_from("abcdefgh-_XO"), min_size=1, max_size=20))
    def test_any_other(self, name: str) -> None:
        """A field of any name goes upstream only where it is listed."""
        listed = name.lower() in SHARED or name.lower() in CREDENTIALS
        self.assertEqual(name in sent((name, "a")), listed)

    def test_named_by_a_rule(self) -> None:
        """A rule's further fields go, to the letter."""
        fields = (("X-Api-Version", "<2>"), ("X-Other", "1"))
        self.assertEqual(sent(*fields, more=("x-api-version",)), Headers(fields[:1]))

    def test_named_by_connection(self) -> None:
        """What Connection names is about the connection."""
        self.assertEqual(sent(("Connection", "Accept"), ("Accept", "a/b")), Headers())

    def test_user_agent(self) -> None:
        """Where it is in the key, the products go alone: a server may repeat anything else."""
        table = {
            "pip": "pip",
            'pip/26.0 {"ci":null,"cpu":"x86_64"}': "pip/26.0",
            "conda/26.1 requests/2.3 Python/3 Linux/6": "conda/26.1 requests/2.3 Python/3",
            "Mozilla/5.0 (X11; Linux)": "Mozilla/5.0",
            "<script>x</script>": "",
            "a/1 <script>": "a/1",
            "a" * 5000: "",
        }
        for value, products in table.items():
            keyed = sent(("User-Agent", value), more=("user-agent",))
            self.assertEqual(keyed.get("user-agent") or "", products, value)
        self.assertEqual(sent(("User-Agent", "pip/26.0 x/1")).get("user-agent"), "pip/26.0")
        for other in ("Mozilla/5.0 (X11)", "evil/1", ""):
            self.assertEqual(sent(("User-Agent", other)), Headers())

    def test_accept(self) -> None:
        """Where it is in the key, media types go as they are, whatever is none does not."""
        for value in ("*/*", "text/html;q=0.9, application/vnd.x+json; version=1", 'a/b;c="d"'):
            self.assertEqual(sent(("Accept", value), more=("accept",)).get("accept"), value)
        self.assertEqual(sent(("Accept", "x/y, text/html")).get("accept"), "text/html")
        for value in ("<script>", "a/b\x80", "a/b," * 1000):
            self.assertNotIn("accept", sent(("Accept", value), more=("accept",)))
            self.assertEqual(sent(("Accept", value)).get("accept"), "*/*")

    def test_wishes(self) -> None:
        """Of Cache-Control the directives that are known go; malformed seconds are none."""
        table = {
            "no-cache": "no-cache",
            "No-Cache, x-evil=1, max-age=0": "no-cache, max-age=0",
            'max-age="5"': "max-age=5",
            "max-age=x": "max-age=0",
            "max-stale": "max-stale",
            "only-if-cached, <b>": "only-if-cached",
            'a="no-cache"': "",
        }
        for value, kept in table.items():
            self.assertEqual(sent(("Cache-Control", value)).get("cache-control") or "", kept)

    def test_fresher(self) -> None:
        """Of what a client says to caches, upstreams hear that it wants something fresh."""
        table = {
            ("Cache-Control", "no-cache, no-store"): "no-cache",
            ("Cache-Control", "max-age=0, only-if-cached"): "max-age=0",
            ("Pragma", "no-cache"): "no-cache",
            ("Cache-Control", "only-if-cached"): "",
            ("Cache-Control", "max-age=99, max-stale"): "",
        }
        for field, wish in table.items():
            made = fresher(Headers([field, ("Accept", "a/b")]))
            self.assertEqual((made.get("cache-control") or "", "pragma" in made), (wish, False))
            self.assertEqual(made.get("accept"), "a/b")

    def test_encoding(self) -> None:
        """Encodings are between mirror and upstream, however the client writes them."""
        for coding, compressed, asked in (
            ("br, gzip", True, "gzip"),
            ("gzip;q=0", True, "identity"),
            ("gzip", False, "identity"),
        ):
            headers = Headers([("Accept-Encoding", coding)])
            found = asked_for_storing(headers, compressed=compressed)
            self.assertEqual(found.get_all("accept-encoding"), (asked,))


class CredentialTests(SynchronousTestCase):
    def test_usual_names(self) -> None:
        """Each usual field goes upstream and makes a scope of its own."""
        scopes = set()
        for name in CREDENTIALS:
            headers = Headers([(name.title(), "s")])
            self.assertIn(name, sent(*headers))
            scopes.add(scope_of(headers))
        self.assertEqual(len(scopes), len(CREDENTIALS))
        self.assertNotIn("", scopes)

    def test_known(self) -> None:
        """Fields that were seen to be stored for all are among them."""
        for name in ("CF-Access-Client-Secret", "X-ApiKey", "apikey", "X-Goog-Api-Key"):
            self.assertTrue(scope_of(Headers([(name, "s")])), name)

    def test_named_by_a_rule(self) -> None:
        """A rule's own field is a credential, alone and beside others."""
        odd = Headers([("X-Odd", "s")])
        both = Headers([("X-Odd", "s"), ("Authorization", "s")])
        self.assertEqual(scope_of(odd), "")
        found = {scope_of(odd, ("x-odd",)), scope_of(both, ("x-odd",)), scope_of(both)}
        self.assertEqual(len(found), 3)
        self.assertNotIn("", found)


class PassedTests(SynchronousTestCase):
    def test_as_it_is(self) -> None:
        """Other methods carry all but what is about the connection."""
        fields = [("X-Anything", "<1>"), ("Host", "a"), ("X-Forwarded-For", "b"), ("TE", "c")]
        self.assertEqual(passed_on(Headers(fields)), Headers(fields[:1]))
