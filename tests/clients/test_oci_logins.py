"""docker, podman and skopeo log in at a mirror of several registries, or at the mirror itself."""

from __future__ import annotations

import bcrypt

from tests.clients.oci_clients import Docker
from tests.clients.oci_support import DockerRegistry, OciTests, TokenServer, run
from tests.clients.worlds import find_client

HUB_USERS = {"admin": "a", "alice": "secret"}
OTHER_USERS = {"admin": "b", "bob": "other"}


class LoginCase(OciTests):
    def setUp(self) -> None:
        super().setUp()
        self.images = 0

    def guarded(self, name: str, users: dict[str, str]) -> tuple[DockerRegistry, TokenServer]:
        """A registry with a token service: ``team/app`` is for its users, others for all."""
        private = {"team/app": list(users)}
        tokens = TokenServer(self.folder / f"{name}-tokens", users, private)
        self.addCleanup(tokens.close)
        registry = self.registry(tokens.registry_auth(), name)
        for repository in ("team/app", "team/open"):
            self.images += 1
            image = self.image(f"{name}{self.images}", self.images)
            image.push(registry.port, f"{repository}:latest", f"admin:{users['admin']}")
        tokens.shown.clear()
        return registry, tokens

    def copy(self, name: str, *more: str, ok: bool = True) -> None:
        """Pull an image by skopeo."""
        self.images += 1
        run(
            find_client("skopeo"), "--insecure-policy", "copy", "--src-tls-verify=false", *more,
            f"docker://{self.mirrored}/{name}:latest", f"oci:{self.folder}/{self.images}:it", ok=ok,
        )  # fmt: skip


class ManyRegistriesTests(LoginCase):
    def setUp(self) -> None:
        super().setUp()
        self.hub, self.hub_tokens = self.guarded("hub", HUB_USERS)
        other, self.other_tokens = self.guarded("other", OTHER_USERS)
        service = self.mirror(self.hub.url, registries={"quay.io": {"upstream": other.url}})
        self.mirrored = f"127.0.0.1:{service.port}"
        self.port = service.port

    def test_docker(self) -> None:
        """With Docker Hub's login public images of others come, and its password goes nowhere."""
        own = {"DOCKER_CONFIG": str(self.folder / "docker-config")}
        docker = Docker(self, self.port).docker
        run(*docker, "login", "-u", "alice", "-p", "secret", self.mirrored, **own)
        for name, ok in (
            ("team/app", True),
            ("team/open", True),
            ("quay.io/team/open", True),
            ("quay.io/team/app", False),
        ):
            run(*docker, "pull", f"{self.mirrored}/{name}:latest", ok=ok, **own)
        self.assertEqual((self.hub_tokens.shown, self.other_tokens.shown), ({"alice"}, set()))

    def test_named(self) -> None:
        """skopeo and podman log in at another registry by its name before the user's."""
        for program in ("skopeo", "podman"):
            file = f"--authfile={self.folder / program}.json"
            login = (find_client(program), "login", "--tls-verify=false", file, "-u")
            run(*login, "quay.io/bob", "-p", "wrong", self.mirrored, ok=False)
            run(*login, "quay.io/bob", "-p", "other", self.mirrored)
            kept = f"--src-authfile={self.folder / program}.json"
            for name, ok in (("quay.io/team/app", True), ("team/open", True), ("team/app", False)):
                self.copy(name, kept, ok=ok)
        self.assertEqual((self.hub_tokens.shown, self.other_tokens.shown), (set(), {"bob"}))

    def test_by_prefix(self) -> None:
        """podman's and skopeo's logins by prefix each reach their own registry."""
        for name, login in (("team/app", "alice:secret"), ("quay.io/team/app", "bob:other")):
            self.copy(name, f"--src-creds={login}")
        self.copy("quay.io/team/app", "--src-creds=alice:secret", ok=False)
        self.assertNotIn("bob", self.hub_tokens.shown)


class UsersTests(LoginCase):
    def test_all(self) -> None:
        """Whoever is a user of the mirror logs in and pulls; that login goes no further."""
        registry, tokens = self.guarded("hub", HUB_USERS)
        users = self.folder / "users"
        users.write_text(f"carol:{bcrypt.hashpw(b'pw', bcrypt.gensalt(4)).decode()}\n")
        service = self.mirror(registry.url, server={"users": str(users)})
        self.mirrored = f"127.0.0.1:{service.port}"
        own = {"DOCKER_CONFIG": str(self.folder / "docker-config")}
        docker = Docker(self, service.port).docker
        logins = {
            "docker": (*docker, "login"),
            "podman": (find_client("podman"), "login", "--tls-verify=false"),
            "skopeo": (find_client("skopeo"), "login", "--tls-verify=false"),
        }
        kept = f"--authfile={self.folder / 'auth.json'}"
        for program, login in logins.items():
            file = () if program == "docker" else (kept,)
            run(*login, *file, "-u", "carol", "-p", "no", self.mirrored, ok=False, **own)
            run(*login, *file, "-u", "carol", "-p", "pw", self.mirrored, **own)
        run(*docker, "pull", f"{self.mirrored}/team/open:latest", **own)
        self.copy("team/open", f"--src-authfile={self.folder / 'auth.json'}")
        self.copy("team/open", ok=False)
        self.assertEqual(tokens.shown, set())
