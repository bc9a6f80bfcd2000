"""One login at the mirror, many registries behind it; and logins of the mirror's own."""

from __future__ import annotations

import base64
from urllib.parse import urlencode

import bcrypt

from aimirror.testing import client
from aimirror.testing.registry import described
from tests.e2e.test_oci import NAME, TYPE, OciTests, RegistryProgram, basic

USERS = {"alice": "secret", "mirror": "own"}


class TwoRegistriesTests(OciTests):
    def setUp(self) -> None:
        super().setUp()
        self.other = RegistryProgram(self.folder / "other.log")
        self.addCleanup(self.other.program.kill)
        self.registry.policy(auth="token", users=USERS, private={"team/app": ["alice"]})
        self.other.policy(auth="token", users={"bob": "x"}, private={"team/app": ["bob"]})

    def both(self) -> None:
        table = {
            "docker.io": {"upstream": self.registry.url},
            "ghcr.io": {"upstream": self.other.url},
        }
        self.service = self.mirror(registries=table)

    def shown(self, registry: RegistryProgram) -> list[str]:
        """The Authorization fields with a password that a registry's token service has seen."""
        return [each for each in registry.authorizations() if each.startswith("Basic")]

    def test_elsewhere(self) -> None:
        """Docker Hub's login reaches no other registry, whose public images are served."""
        self.manifest("hub", "latest", name="team/app")
        self.other.script(described("team/pub", b"pub", TYPE, "latest"))
        self.other.script(described("team/app", b"app", TYPE, "latest"))
        self.both()
        login = self.service.get("/v2/auth?service=docker.io", basic("alice:secret"))
        self.assertEqual(login.status, 200)
        bearer = ("Authorization", f"Bearer {login.json()['token']}")
        hub = self.target(self.service, "/v2/team/app/manifests/latest", bearer)
        self.assertEqual((hub.status, hub.body), (200, b"hub"))
        for path, wanted in (("/v2/ghcr.io/team/pub", 200), ("/v2/ghcr.io/team/app", 401)):
            for field in (bearer, basic("alice:secret")):
                reply = self.target(self.service, f"{path}/manifests/latest", field)
                self.assertEqual(reply.status, wanted, path)
        self.assertEqual(self.shown(self.other), [])
        self.assertTrue(self.shown(self.registry))

    def test_named(self) -> None:
        """A login with a registry before the user's name goes there alone."""
        self.other.script(described("team/app", b"app", TYPE, "latest"))
        self.both()
        good, bad = basic("ghcr.io/bob:x"), basic("ghcr.io/bob:wrong")
        self.assertEqual(self.service.get("/v2/auth", good).status, 200)
        self.assertEqual(self.service.get("/v2/auth", bad).status, 401)
        path = "/v2/ghcr.io/team/app/manifests/latest"
        self.assertEqual(self.target(self.service, path, good).body, b"app")
        self.assertEqual(self.target(self.service, path, bad).status, 401)
        self.assertEqual(self.shown(self.registry), [])

    def test_oauth(self) -> None:
        """Tokens are given to POST, too, for a password and for a token of before."""
        self.both()
        form = {"grant_type": "password", "username": "alice", "password": "secret"}
        given = self.post(form)
        self.assertEqual(given.status, 200)
        again = {"grant_type": "refresh_token", "refresh_token": given.json()["access_token"]}
        self.assertEqual(self.post(again).status, 200)
        self.assertEqual(self.post({**form, "password": "wrong"}).status, 401)
        self.assertEqual(self.post({"grant_type": "client_credentials"}).status, 400)

    def post(self, form: dict[str, str]) -> client.Reply:
        body = urlencode({**form, "service": "docker.io"}).encode()
        kind = ("Content-Type", "application/x-www-form-urlencoded")
        return client.request(self.service.port, "/v2/auth", [kind], method="POST", body=body)


class OwnLoginTests(OciTests):
    """The mirror logs in for clients that don't."""

    def mirrored(self, **entry: object) -> None:
        secret = self.folder / "secret"
        secret.write_text("own\n")
        users = {"mirror": "own"}
        self.registry.policy(auth="token", users=users, private={"team/app": ["mirror"]})
        self.manifest("closed", "latest", name="team/app")
        self.manifest("open", "latest")
        own = {"upstream": self.registry.url, "username": "mirror", "password_file": str(secret)}
        self.service = self.mirror(registries={"docker.io": {**own, **entry}})

    def test_not_shared(self) -> None:
        """What everybody may read is asked for with it; what it alone opens is not served."""
        self.mirrored()
        path = f"/v2/{NAME}/manifests/latest"
        self.assertEqual(self.target(self.service, path).body, b"open")
        told = self.registry.authorizations()
        own = base64.b64encode(b"mirror:own").decode()
        self.assertIn(f"Basic {own}", told)
        self.assertEqual(self.target(self.service, "/v2/team/app/manifests/latest").status, 401)

    def test_shared(self) -> None:
        """With ``share`` it is."""
        self.mirrored(share=True)
        reply = self.target(self.service, "/v2/team/app/manifests/latest")
        self.assertEqual((reply.status, reply.body), (200, b"closed"))


class UserTests(OciTests):
    def test_ping(self) -> None:
        """A login of the mirror's own is what ``docker login`` asks about, and goes no further."""
        users = self.folder / "users"
        self.manifest("one", "latest")
        users.write_text(_htpasswd("carol", "pw"))
        service = self.mirror(server={"users": str(users)})
        self.assertEqual(service.get("/v2/").status, 401)
        self.assertEqual(service.get("/v2/", basic("carol:pw")).status, 200)
        self.assertEqual(service.get("/v2/", basic("carol:no")).status, 401)
        reply = self.target(service, f"/v2/{NAME}/manifests/latest", basic("carol:pw"))
        self.assertEqual((reply.status, reply.body), (200, b"one"))
        self.assertEqual(set(self.registry.authorizations()), {""})


def _htpasswd(user: str, password: str) -> str:
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


class NamesTests(OciTests):
    def test_registry(self) -> None:
        """Under its own name of the mirror a registry needs no place in the image's name."""
        other = RegistryProgram(self.folder / "other.log")
        self.addCleanup(other.program.kill)
        other.script(described("team/app", b"other", TYPE, "latest"))
        self.manifest("hub", "latest", name="team/app")
        table = {"ghcr.io": {"upstream": other.url}}
        names = [{"host": "ghcr.lan", "registry": "ghcr.io"}]
        service = self.mirror(registries=table, server={"names": names})
        path = "/v2/team/app/manifests/latest"
        for host, wanted in (("ghcr.lan", b"other"), ("ghcr.lan:80", b"other"), ("x.lan", b"hub")):
            self.assertEqual(self.target(service, path, ("Host", host)).body, wanted, host)
        told = service.get("/v2/", ("Host", "ghcr.lan")).headers.get("WWW-Authenticate") or ""
        self.assertIn('service="ghcr.io"', told)
