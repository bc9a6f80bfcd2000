"""The forward proxy that a configuration describes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.config import load
from aimirror.forward.authority import AuthorityError, make, now, store
from aimirror.forward.policy import Denied, Granted
from aimirror.forward.proxy import Forward, Seen
from aimirror.http.targets import parse_target
from aimirror.server.users import BadUsers
from aimirror.service.forwarding import forward_proxy


class ForwardProxyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def made(self, forward: dict[str, Any], **server: Any) -> Forward:
        file = self.folder / "f.yaml"
        rules = [{"name": "a", "upstream": "https://pypi.example"}]
        file.write_text(json.dumps({"rules": rules, "forward": forward, "server": server}))
        agents: Any = SimpleNamespace(clock=Clock())
        anything: Any = None
        env: Any = SimpleNamespace(upstream=None, to_thread=None)
        return forward_proxy(load(file), anything, env, agents, Seen(), anything)

    def test_policy(self) -> None:
        """Rules' hosts, and what the file adds to and takes from them."""
        made = self.made(
            {"allow": ["b.example:22"], "deny": ["*.bad.example"], "ports": [443, 8443]}
        )
        for host, port, wanted in (
            ("pypi.example", 443, Granted),
            ("pypi.example", 8443, Granted),
            ("b.example", 22, Granted),
            ("quay.io", 443, Granted),
            ("registry.k8s.io", 443, Granted),
            ("a.bad.example", 443, Denied),
        ):
            self.assertIsInstance(made.policy.judge(host, port), wanted)

    def test_own_names(self) -> None:
        """The public host is a name of ours."""
        made = self.made({}, public_host="https://Mirror.example", port=1234)
        self.assertIn(("mirror.example", 443), made.own)
        self.assertIn(("m.lan", 81), self.made({}, public_host="m.lan:81").own)

    def test_users(self) -> None:
        """The proxy's own users, else the mirror's: no way leads round a login."""
        (self.folder / "users").write_text("a:$2b$04$x\n")
        self.assertIsNone(self.made({}).users)
        self.assertIsNotNone(self.made({"users": "users"}).users)
        self.assertIsNotNone(self.made({}, users="users").users)
        self.assertRaises(BadUsers, self.made, {"users": "none"})

    def test_authority(self) -> None:
        """Interception needs the authority, and is for the hosts of rules alone."""
        told = {"intercept": True, "ca_dir": "ca", "pinned": ["pinned.example"]}
        self.assertRaises(AuthorityError, self.made, told)
        store(make(["pypi.example"], now()), self.folder / "ca")
        interceptor = self.made(told).interceptor
        assert interceptor is not None
        self.assertTrue(interceptor.takes(parse_target("https://pypi.example/")))
        self.assertFalse(interceptor.takes(parse_target("https://other.example/")))
        self.assertIsNone(self.made({"ca_dir": "ca"}).interceptor)
