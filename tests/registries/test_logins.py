"""Whose a login is, and who gets to see it."""

from __future__ import annotations

import base64

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from aimirror.registries.auth import Credential
from aimirror.registries.logins import Logins
from aimirror.registries.registry import DEFAULTS, Registries, Registry

LAB = Registry(name="lab:5000", upstreams=("http://lab:5000",))
TABLE = Registries(DEFAULTS)


def login(user: str, password: str = "secret") -> Credential:
    told = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Credential(basic=f"Basic {told}")


def registry(name: str) -> Registry:
    found = Registries((*DEFAULTS, LAB)).find(name)
    assert found is not None
    return found


class LoginsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.logins = Logins(TABLE)

    def seen_by(self, who: Credential, ns: str = "", agent: str = "docker/27") -> set[str]:
        """The registries that get to see a login."""
        names = ("docker.io", "ghcr.io", "quay.io", "nvcr.io", "lab:5000", "registry.gitlab.com")
        return {n for n in names if self.logins.shown(who, registry(n), ns, agent).basic}

    def test_one_registry(self) -> None:
        """A login is seen by one registry: that of its name or shape, else Docker Hub."""
        for who, wanted in (
            (login("alice"), "docker.io"),
            (login("alice", "dckr_pat_abc"), "docker.io"),
            (login("alice", "ghp_abc"), "ghcr.io"),
            (login("ghcr.io/alice"), "ghcr.io"),
            (login("quay.io/alice"), "quay.io"),
            (login("$oauthtoken", "key"), "nvcr.io"),
            (login("org+robot", "A1" * 32), "quay.io"),
            (login("alice", "glpat-abc"), "registry.gitlab.com"),
        ):
            self.assertEqual(self.seen_by(who), {wanted}, who.basic)

    def test_not_listed(self) -> None:
        """A login for a registry that is not served is seen by none."""
        self.assertEqual(self.seen_by(login("evil.example/alice")), set())
        self.assertRaises(LookupError, self.logins.home, login("evil.example/alice"), "")

    def test_added(self) -> None:
        """Where registries of one's own are served, a login may be for them: it is tried there."""
        self.logins = Logins(Registries((*DEFAULTS, LAB)))
        self.assertEqual(self.seen_by(login("alice")), {"docker.io", "lab:5000"})
        self.assertIsNone(self.logins.home(login("alice"), "docker.io")[1])
        self.assertEqual(self.seen_by(login("alice", "ghp_abc")), {"ghcr.io"})
        self.logins.taken(login("alice"), LAB)
        self.assertEqual(self.seen_by(login("alice")), {"lab:5000"})

    def test_client_tells(self) -> None:
        """containerd names the registry of its login, and podman keeps logins by prefix."""
        for ns, agent in (("quay.io", "containerd/2"), ("", "containers/5.36")):
            who = self.logins.shown(login("bob"), registry("quay.io"), ns, agent)
            self.assertTrue(who.basic)

    def test_taken(self) -> None:
        """Once a registry has taken a login, no other is shown it, whoever the client is."""
        self.logins = Logins(Registries((*DEFAULTS, LAB)))
        self.logins.taken(login("bob"), LAB)
        self.assertEqual(self.seen_by(login("bob")), {"lab:5000"})
        self.assertEqual(self.seen_by(login("bob"), agent="containers/5.36"), {"lab:5000"})
        self.assertEqual(self.seen_by(login("bob"), ns="ghcr.io"), {"lab:5000"})
        self.assertEqual(self.seen_by(login("bob", "other")), {"docker.io", "lab:5000"})

    def test_name_is_cut_off(self) -> None:
        """The registry sees the user's name without the host before it."""
        who = self.logins.shown(login("ghcr.io/alice"), registry("ghcr.io"), "", "")
        self.assertEqual(who, login("alice"))

    def test_bearer(self) -> None:
        """A registry's own token, which a client has from elsewhere, is passed on as it is."""
        who = Credential(bearer="Bearer abc")
        self.assertEqual(self.logins.shown(who, registry("quay.io"), "", ""), who)

    def test_odd(self) -> None:
        """What is no user and password is shown to Docker Hub alone, as it is."""
        for basic in ("Basic !!", "Basic ", "Basic YQ=="):
            who = evolve(Credential(), basic=basic)
            self.assertEqual(self.seen_by(who), {"docker.io"})
