"""URLs taken apart for sending."""

import socket
from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.targets import MAX_URL, BadTarget, Target, parse_target

PATHS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"))


class TargetTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(PATHS)
    def test_to_the_letter(self, path: str) -> None:
        """Path and query come out byte for byte as they went in."""
        self.assertEqual(parse_target(f"http://h/{path}").path, f"/{path}")

    def test_odd_paths(self) -> None:
        """What URL libraries tidy up stays: empty queries, parameters, dots, both cases of %2f."""
        for path in ("/a?", "/a;", "/a;b=c?", "//a/../b", "/%7E%2f%2F+", "/?a=b&a=c&&", "/[x]|"):
            self.assertEqual(parse_target("https://h" + path).path, path)

    def test_missing_path(self) -> None:
        """A URL without a path asks for the root, with its query."""
        self.assertEqual(parse_target("http://h").path, "/")
        self.assertEqual(parse_target("http://h?x=1").path, "/?x=1")

    def test_fragment(self) -> None:
        """A fragment is never sent."""
        self.assertEqual(parse_target("http://h/a#b?c").path, "/a")

    def test_authority(self) -> None:
        """The Host value has the port only where it is not the scheme's own."""
        table = {
            "http://H.Example:80/": "h.example",
            "https://h:443/": "h",
            "https://h:80/": "h:80",
            "http://h:/": "h",
            "http://[::0001]:8080/": "[::1]:8080",
            "http://10.0.0.1/": "10.0.0.1",
        }
        for url, authority in table.items():
            self.assertEqual(parse_target(url).authority, authority)

    def test_literal(self) -> None:
        """An address in the URL is known as one, a name is not."""
        self.assertEqual(str(parse_target("http://[::1]/").literal), "::1")
        self.assertIsNone(parse_target("http://one.example/").literal)

    def test_refused(self) -> None:
        """What could break out of the request line, or name another host, is refused."""
        for url in (
            "ftp://h/",
            "//h/",
            "/a",
            "http:///a",
            "http://u:p@h/",
            "http://h@evil/",
            "http://h:0/",
            "http://h:65536/",
            "http://h:x/",
            "http://a..b/",
            "http://" + "a" * 64 + "/",
            "http://[::1%25eth0]/",
            "http://[:::]/",
            "http://h\\@evil/",
            "http://h/\r\nX: y",
            "http://h/a b",
            "http://h/\x00",
            "http://h/\xe9",
            "http://h/" + "a" * MAX_URL,
        ):
            with self.assertRaises(BadTarget, msg=url) as caught:
                parse_target(url)
            self.assertNotIn("u:p", str(caught.exception))


class LiteralTests(SynchronousTestCase):
    def test_classic_forms(self) -> None:
        """Whatever a resolver takes for an IPv4 address is one, and nothing else."""
        for host in (
            "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f.1", "0X7F000001", "0177.0.0.01",
            "127.0.0.1.", "127.1.", "0", "10.1", "169.254.43518", "0300.0250.1", "4294967295",
            "4294967296", "256.1", "1.2.3.256", "1.2.3.4.5", "09.1", "0x.1x", "a.1", "1.example",
            "127.0.0.1.example", "1..2",
        ):  # fmt: skip
            try:
                wanted = str(IPv4Address(socket.inet_aton(host.removesuffix("."))))
            except OSError:
                wanted = "None"
            target = Target("http", host.lower(), 80, "/")
            self.assertEqual(str(target.literal), wanted, host)
