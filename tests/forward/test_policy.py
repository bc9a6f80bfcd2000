"""Whom clients may reach through the forward proxy."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from twisted.trial.unittest import SynchronousTestCase

from aimirror.forward.policy import (
    COMPANIONS,
    Denied,
    ForwardPolicy,
    Granted,
    HostPattern,
    origins,
    parse_pattern,
)
from aimirror.routing.choices import ContentRewrite
from aimirror.routing.rules import Rule
from aimirror.upstream.addresses import permitted

RULES = (
    Rule(
        name="pypi",
        upstreams=("https://pypi.org", "http://nexus.lan:8081/pypi"),
        content_rewrite=ContentRewrite(targets=("https://files.lan",)),
    ),
    Rule(name="any", upstreams=(), allow=("a.example", "b.example:8443", "*.c.example")),
)


def policy(*, allow: tuple[str, ...] = (), deny: tuple[str, ...] = (), **more: object):
    def listed(texts: tuple[str, ...]) -> tuple[object, ...]:
        return tuple(ip_network(t) if "/" in t else parse_pattern(t) for t in texts)

    return ForwardPolicy(origins=origins(RULES), allow=listed(allow), deny=listed(deny), **more)


def reaches(found: Granted | Denied, host: str, address: str) -> bool:
    return isinstance(found, Granted) and permitted(found.reach, host, ip_address(address))


class PatternTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """Hosts, domains, all, each perhaps with a port; and nothing else."""
        for text, wanted in (
            ("A.Example.", HostPattern("a.example")),
            ("*.example:8443", HostPattern("example", True, 8443)),
            ("*", HostPattern("", True)),
            ("*:80", HostPattern("", True, 80)),
            ("[::1]:443", HostPattern("::1", False, 443)),
        ):
            self.assertEqual(parse_pattern(text), wanted, text)
        for text in ("", ":443", "*.", "*x", "a b", "a:0", "a:70000", "a/b", "a*.b", "*."):
            self.assertRaises(ValueError, parse_pattern, text)

    def test_companions(self) -> None:
        """Each companion is a pattern."""
        for texts in COMPANIONS.values():
            for text in texts:
                self.assertTrue(parse_pattern(text).name)


class OriginTests(SynchronousTestCase):
    def test_hosts(self) -> None:
        """Upstreams, link targets and listed hosts, each with its port."""
        self.assertEqual(
            origins(RULES),
            {
                ("pypi.org", 443),
                ("nexus.lan", 8081),
                ("files.lan", 443),
                ("a.example", 80),
                ("a.example", 443),
                ("b.example", 8443),
            },
        )


class JudgeTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Hosts of the rules and their companions; ports; lists; deny before all."""
        for made, host, port, granted in (
            (policy(), "pypi.org", 443, True),
            (policy(), "pypi.org.", 443, True),
            (policy(), "pypi.org", 22, False),
            (policy(), "nexus.lan", 8081, True),
            (policy(), "nexus.lan", 8082, False),
            (policy(), "files.pythonhosted.org", 443, True),
            (policy(), "evil.example", 443, False),
            (policy(), "notpypi.org", 443, False),
            (policy(), "10.0.0.1", 443, False),
            (policy(), "127.0.0.1", 443, False),
            (policy(ports=frozenset({443, 22})), "pypi.org", 22, True),
            (policy(allow=("*",)), "evil.example", 443, True),
            (policy(allow=("*",)), "evil.example", 25, False),
            (policy(allow=("*.ok",)), "a.ok", 443, True),
            (policy(allow=("*.ok",)), "ok", 443, False),
            (policy(allow=("a.ok:22",)), "a.ok", 22, True),
            (policy(allow=("a.ok:22",)), "a.ok", 443, False),
            (policy(allow=("10.0.0.0/8",)), "10.0.0.1", 443, True),
            (policy(allow=("10.0.0.0/8",)), "evil.example", 443, False),
            (policy(deny=("pypi.org",)), "pypi.org", 443, False),
            (policy(deny=("*.pythonhosted.org",)), "files.pythonhosted.org", 443, False),
            (policy(deny=("pypi.org:22",)), "pypi.org", 443, True),
            (policy(allow=("10.0.0.0/8",), deny=("10.0.0.1/32",)), "10.0.0.1", 443, False),
        ):
            found = made.judge(host, port)
            self.assertEqual(isinstance(found, Granted), granted, (host, port, found))

    def test_plain(self) -> None:
        """Requests in absolute form may go to port 80, tunnels may not."""
        made = policy(allow=("a.ok",))
        self.assertIsInstance(made.judge("a.ok", 80, plain=True), Granted)
        self.assertIsInstance(made.judge("a.ok", 80), Denied)

    def test_seen(self) -> None:
        """Where upstreams have redirected to, clients may go, too: to public addresses."""
        found = policy().judge("cdn.example", 443, seen={"cdn.example"})
        self.assertTrue(reaches(found, "cdn.example", "8.8.8.8"))
        self.assertFalse(reaches(found, "cdn.example", "10.0.0.1"))

    def test_addresses(self) -> None:
        """Private addresses only where the host itself or its network was named."""
        for made, host, port, address, wanted in (
            (policy(), "nexus.lan", 8081, "10.0.0.1", True),
            (policy(), "nexus.lan", 443, "10.0.0.1", False),
            (policy(), "nexus.lan", 8081, "169.254.169.254", False),
            (policy(), "files.pythonhosted.org", 443, "127.0.0.1", False),
            (policy(allow=("*",)), "evil.example", 443, "127.0.0.1", False),
            (policy(allow=("*.lan",)), "a.lan", 443, "10.0.0.1", False),
            (policy(allow=("*.lan", "10.0.0.0/8")), "a.lan", 443, "10.0.0.1", True),
            (policy(allow=("a.lan",)), "a.lan", 443, "10.0.0.1", True),
            (policy(allow=("a.lan",), deny=("10.0.0.0/8",)), "a.lan", 443, "10.0.0.1", False),
            (policy(deny=("8.8.8.0/24",)), "pypi.org", 443, "8.8.8.8", False),
            (policy(deny=("8.8.8.0/24",)), "pypi.org", 443, "::ffff:8.8.8.8", False),
        ):
            found = made.judge(host, port)
            self.assertEqual(reaches(found, host, address), wanted, (host, address))
