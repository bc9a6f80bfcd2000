"""Upstream proxies as they are written down."""

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.targets import BadTarget
from aimirror.upstream.proxies import (
    Proxies,
    Proxy,
    ProxyKind,
    bypassed,
    from_environment,
    login_wanted,
    parse_proxy,
)


class ParseProxyTests(SynchronousTestCase):
    def test_address(self) -> None:
        """Kind, host and port, the kind's own where none is named."""
        for url, wanted in (
            ("http://p:3128", Proxy(ProxyKind.HTTP, "p", 3128)),
            ("http://[::1]:3128/", Proxy(ProxyKind.HTTP, "::1", 3128)),
            ("HTTPS://P", Proxy(ProxyKind.HTTPS, "p", 443)),
            ("socks5://p", Proxy(ProxyKind.SOCKS5, "p", 1080)),
            ("socks5h://[::1]", Proxy(ProxyKind.SOCKS5H, "::1", 1080)),
            ("http://p", Proxy(ProxyKind.HTTP, "p", 80)),
        ):
            self.assertEqual(parse_proxy(url), wanted, url)

    def test_login(self) -> None:
        """User and password are decoded; the password may be missing."""
        self.assertEqual(parse_proxy("http://us%40r:p:w@p").login, (b"us@r", b"p:w"))
        self.assertEqual(parse_proxy("socks5://u@p").login, (b"u", b""))

    def test_secrets(self) -> None:
        """Neither errors nor the repr show credentials."""
        for url in ("http://u:secret@h:99999", "ftp://u:secret@h", "http://u:secret@a b"):
            with self.assertRaises(BadTarget) as caught:
                parse_proxy(url)
            self.assertNotIn("secret", str(caught.exception))
        self.assertNotIn("secret", repr(parse_proxy("http://u:secret@h")))


class BypassedTests(SynchronousTestCase):
    def test_entries(self) -> None:
        """Names with what is below them, addresses, networks, ports."""
        for host, entries, wanted in (
            ("a.example", ("example",), True),
            ("example", (".example",), True),
            ("a.example", ("*.example",), True),
            ("badexample", ("example",), False),
            ("a.example", ("A.Example ",), True),
            ("anything", ("*",), True),
            ("anything", ("", "."), False),
            ("10.0.0.1", ("10.0.0.1",), True),
            ("10.0.0.1", ("10.0.0.0/8",), True),
            ("11.0.0.1", ("10.0.0.0/8",), False),
            ("example", ("10.0.0.0/8", "1.2.3.4/99"), False),
            ("example", ("example:443",), True),
            ("example", ("example:8443",), False),
            ("::1", ("[::1]",), True),
            ("::1", ("[::1]:80",), False),
            ("::1", ("::1",), True),
        ):
            self.assertEqual(bypassed(host, 443, entries), wanted, (host, entries))


class EnvironmentTests(SynchronousTestCase):
    def test_variables(self) -> None:
        """Lower case before upper case, the scheme's own before ALL_PROXY, blanks as none."""
        told = from_environment(
            {
                "https_proxy": "p1:1",
                "HTTPS_PROXY": "http://p2:2",
                "HTTP_PROXY": " ",
                "ALL_PROXY": "socks5://p3",
                "NO_PROXY": "a, .b  10.0.0.0/8,",
            }
        )
        self.assertEqual(
            told,
            Proxies(http="socks5://p3", https="http://p1:1", no_proxy=("a", ".b", "10.0.0.0/8")),
        )
        self.assertEqual(from_environment({}), Proxies())

    def test_mistake(self) -> None:
        """A value that is no proxy is told by the variable's name, not by its text."""
        with self.assertRaises(BadTarget) as caught:
            from_environment({"HTTPS_PROXY": "http://u:secret@h:x"})
        self.assertIn("HTTPS_PROXY", str(caught.exception))
        self.assertNotIn("secret", str(caught.exception))


class LoginWantedTests(SynchronousTestCase):
    def test_advice(self) -> None:
        """What a 407 is told as says what to do, and quotes nothing but known words."""
        bare, logged_in = parse_proxy("http://p:1"), parse_proxy("http://u:p@p:1")
        for challenges, proxy, advice in (
            (['Basic realm="x"'], bare, "write http://user:password@host:port"),
            (['Basic realm="x"'], logged_in, "it refuses user and password"),
            (["Negotiate", "NTLM"], logged_in, "it wants NTLM or Negotiate: let px"),
            (['Digest realm="x, NTLM", nonce="y"'], bare, "it wants NTLM or Digest: let px"),
            (['Digest realm="x"', 'Basic realm="x"'], bare, "write http://"),
            (["Bearer secret"], bare, "it wants a login"),
            ([], logged_in, "it refuses"),
        ):
            self.assertIn(advice, login_wanted(challenges, proxy))
            self.assertNotIn("secret", login_wanted(challenges, proxy))
