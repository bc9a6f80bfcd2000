"""skopeo, podman, containerd and docker pull through the mirror from a real registry."""

from __future__ import annotations

import json
import re

import yaml

from aimirror.testing.processes import ServiceProgram
from tests.clients.oci_clients import (
    CLIENTS,
    NOWHERE,
    Client,
    Cri,
    Ctr,
    Docker,
    Podman,
    Skopeo,
    fenced,
    hosts_toml,
    registries_conf,
)
from tests.clients.oci_support import (
    INDEX,
    MANIFEST,
    DockerRegistry,
    Image,
    OciTests,
    TokenServer,
    run,
)
from tests.clients.worlds import ROOT, find_client
from tests.e2e.support import InBackground

NAME = "library/app"


class PullTests(OciTests):
    """What each client does, against a registry that is open to all."""

    def setUp(self) -> None:
        super().setUp()
        self.upstream = self.registry()
        self.first = self.image("first", 1, 2)
        self.first.push(self.upstream.port, f"{NAME}:latest")
        self.service = self.mirror(self.upstream.url)

    def pulled(self, kind: type[Client]) -> None:
        """Cold, again without a byte of a blob, moved tag, and with the registry down."""
        pull = kind(self, self.service.port).pull
        self.upstream.restart_counts()
        self.assertEqual(pull("cold"), self.first.digest)
        self.settle(self.service)
        self.assertOnce(self.upstream.blob_bytes(), self.blob_bytes(self.first))
        self.upstream.restart_counts()
        self.assertEqual(pull("again"), self.first.digest)
        self.assertEqual(self.upstream.blob_bytes(), 0)
        asked = {method for method, path, _, _ in self.upstream.asked() if "/manifests/" in path}
        self.assertEqual(asked, {"HEAD"})
        second = self.image("second", 2, 3)
        second.push(self.upstream.port, f"{NAME}:latest")
        self.upstream.restart_counts()
        self.assertEqual(pull("moved"), second.digest)
        self.settle(self.service)
        shared = second.layers[0]["size"]
        self.assertOnce(self.upstream.blob_bytes(), self.blob_bytes(second) - shared)
        self.upstream.kill()
        self.assertEqual(pull("offline"), second.digest)

    def blob_bytes(self, image: Image) -> int:
        blobs = image.folder / "blobs" / "sha256"
        manifest = json.loads((blobs / image.manifests[0].partition(":")[2]).read_text())
        return image.layer_bytes + int(manifest["config"]["size"])

    def test_skopeo(self) -> None:
        """skopeo copies an image byte for byte."""
        self.pulled(Skopeo)

    def test_podman(self) -> None:
        """podman pulls docker.io/app through a mirror of registries.conf."""
        self.pulled(Podman)

    def test_containerd(self) -> None:
        """containerd's ctr pulls with hosts.toml and checks every byte itself."""
        self.pulled(Ctr)

    def test_cri(self) -> None:
        """containerd pulls for a kubelet, with the same hosts.toml by its config_path."""
        self.pulled(Cri)

    def test_docker(self) -> None:
        """Docker pulls a short name through registry-mirrors."""
        self.pulled(Docker)

    def test_another_registry(self) -> None:
        """containerd by ?ns=, skopeo by a path prefix: quay.io through the same port."""
        other = self.registry(name="other")
        image = self.image("theirs", 4)
        image.push(other.port, "owner/app:latest")
        self.service.program.stop()
        self.service = self.mirror(
            self.upstream.url, registries={"quay.io": {"upstream": other.url}}
        )
        client = Ctr(self, self.service.port)
        (client.hosts / "docker.io").rename(client.hosts / "quay.io")
        run(
            *client.ctr, "images", "pull", "--snapshotter", "native",
            f"--hosts-dir={client.hosts}", "quay.io/owner/app:latest",
        )  # fmt: skip
        other.kill()
        conf = self.folder / "quay.conf"
        conf.write_text(registries_conf(self.service.port, "quay.io", "/quay.io"))
        copy = ("--insecure-policy", f"--registries-conf={conf}", "copy")
        to = f"oci:{self.folder}/copied:it"
        run(find_client("skopeo"), *copy, "docker://quay.io/owner/app:latest", to)


class EachClientTests(OciTests):
    """What goes wrong, and what is more than one, for every client."""

    def setUp(self) -> None:
        super().setUp()
        self.upstream = self.registry()

    def damaged(self, kind: type[Client]) -> None:
        image = self.image("image", 1)
        image.push(self.upstream.port, f"{NAME}:latest")
        service = self.mirror(self.upstream.url)
        client = kind(self, service.port)
        name = image.layers[0]["digest"].partition(":")[2]
        (stored,) = self.folder.glob(f"registry/data/**/sha256/{name[:2]}/{name}/data")
        good = stored.read_bytes()
        stored.write_bytes(good[:700_000] + b"damage" + good[700_006:])
        client.pull("damaged", ok=False)
        self.settle(service)
        self.assertEqual(list((self.folder / "cache").rglob(f"*{name}*")), [])
        stored.write_bytes(good)
        service.program.stop()  # or the mirror would refuse to ask again for a while
        again = self.mirror(self.upstream.url, server={"port": service.port})
        self.assertEqual(client.pull("healed"), image.digest)
        self.settle(again)

    def test_damaged_skopeo(self) -> None:
        """A layer that the registry has damaged fails the pull, is not kept, and heals with it."""
        self.damaged(Skopeo)

    def test_damaged_podman(self) -> None:
        """So it is with podman."""
        self.damaged(Podman)

    def test_damaged_containerd(self) -> None:
        """So it is with ctr."""
        self.damaged(Ctr)

    def test_damaged_cri(self) -> None:
        """So it is with a kubelet's containerd."""
        self.damaged(Cri)

    def test_damaged_docker(self) -> None:
        """So it is with docker."""
        self.damaged(Docker)

    def test_architectures(self) -> None:
        """Of an index each client takes the part that it is told to, or its own."""
        image = self.image("image", 1, architectures=("amd64", "arm64"))
        image.push(self.upstream.port, f"{NAME}:latest")
        service = self.mirror(self.upstream.url)
        for kind in CLIENTS:
            client = kind(self, service.port)
            for number, arch in enumerate(("amd64", "arm64") if client.chooses else ("",)):
                told = client.pull(arch or "own", arch=arch)
                self.assertIn(told, (image.digest, image.manifests[number]), (told, arch))
        for manifest in image.manifests:
            self.fetched(service, f"/v2/{NAME}/manifests/{manifest}", ("Accept", MANIFEST))

    def test_all_at_once(self) -> None:
        """All clients, and two of some, that pull at once cost the registry one pull."""
        image = self.image("image", 1, 2)
        image.push(self.upstream.port, f"{NAME}:latest")
        service = self.mirror(self.upstream.url)
        clients = [kind(self, service.port) for kind in CLIENTS]
        self.upstream.restart_counts()
        pulls = [
            InBackground(client.pull, f"p{number}")
            for number, client in enumerate((*clients, *clients[:3]))
        ]
        self.assertEqual({pull.result() for pull in pulls}, {image.digest})
        layers = {layer["digest"] for layer in image.layers}
        asked = self.upstream.asked()
        fetched = [b for m, p, _, b in asked if m == "GET" and p[-71:] in layers]
        self.assertOnce(sum(fetched), image.layer_bytes)


class FallThroughTests(OciTests):
    """What the mirror does not have comes from the client's next place."""

    def setUp(self) -> None:
        super().setUp()
        self.upstream = self.registry()
        self.made = self.image("image", 1)
        self.made.push(self.upstream.port, f"{NAME}:latest")

    def from_elsewhere(self, upstream: str, **sections: object) -> None:
        """Both kinds of clients, whose mirror can't help, get it from the registry itself."""
        service = self.mirror(upstream, **sections)
        server = f"127.0.0.1:{self.upstream.port}"
        conf = registries_conf(service.port).replace(NOWHERE, server, 1)
        conf = conf.replace(f'location = "{server}"', f'location = "{server}"\ninsecure = true')
        self.assertEqual(Podman(self, service.port, conf).pull("it"), self.made.digest)
        hosts = hosts_toml(service.port, f"http://{server}")
        for kind in (Ctr, Cri):
            self.assertEqual(kind(self, service.port, hosts).pull("it"), self.made.digest)

    def test_missing(self) -> None:
        """An image that the mirror's registry has not."""
        self.from_elsewhere(self.registry(name="empty").url)

    def test_down(self) -> None:
        """A mirror whose registry is down."""
        self.from_elsewhere(f"http://{NOWHERE}")


class DocumentedTests(OciTests):
    """The settings of README and documents, word for word but for the address."""

    def setUp(self) -> None:
        super().setUp()
        self.upstream = self.registry()
        self.made = self.image("image", 1)
        self.made.push(self.upstream.port, f"{NAME}:latest")
        self.service = self.mirror(self.upstream.url)

    def tried(self, kind: type[Client], language: str, containing: str) -> None:
        for number, document in enumerate(("README.md", "docs/ecosystems/oci.md")):
            text = fenced(ROOT / document, language, containing)
            self.assertIn("mirror:8081" if number else "localhost:8081", text)
            own = f"127.0.0.1:{self.service.port}"
            settings = text.replace("localhost:8081", own).replace("mirror:8081", own)
            self.upstream.restart_counts()
            client = kind(self, self.service.port, settings)
            self.assertEqual(client.pull("it"), self.made.digest, document)
            self.assertNotEqual(self.upstream.asked(), [])
            client.folder.rename(self.folder / f"done{number}")

    def test_registries_conf(self) -> None:
        """podman and skopeo."""
        self.tried(Podman, "toml", "[[registry]]")

    def test_hosts_toml(self) -> None:
        """containerd for a kubelet."""
        self.tried(Cri, "toml", "capabilities")

    def test_daemon_json(self) -> None:
        """docker: the README has its setting in a table."""
        text = (ROOT / "README.md").read_text()
        found = re.search(r"`(\{.registry-mirrors.*?\})` in `/etc/docker/daemon.json`", text)
        assert found is not None
        written = fenced(ROOT / "docs/ecosystems/oci.md", "json", "registry-mirrors")
        self.assertEqual(json.loads(found[1].replace("localhost", "mirror")), json.loads(written))
        settings = written.replace("mirror:8081", f"127.0.0.1:{self.service.port}")
        self.assertEqual(Docker(self, self.service.port, settings).pull("it"), self.made.digest)

    def test_registries_yaml(self) -> None:
        """k3s: its endpoints as the hosts.toml that it makes of them."""
        for document in ("README.md", "docs/ecosystems/oci.md"):
            told = yaml.safe_load(fenced(ROOT / document, "yaml", "mirrors:\n  docker.io"))
            for mirror in told["mirrors"].values():
                self.assertIn(mirror["endpoint"][0][7:], ("localhost:8081", "mirror:8081"))
        settings = hosts_toml(self.service.port, "https://registry-1.docker.io/v2")
        client = Cri(self, self.service.port, settings)
        self.assertEqual(client.pull("it"), self.made.digest)


class SharingTests(OciTests):
    """Several clients, architectures and registries at once."""

    def copy(self, service: ServiceProgram, name: str, folder: str, *more: str) -> str:
        return run(
            find_client("skopeo"), "--insecure-policy", "copy", "--src-tls-verify=false", *more,
            f"docker://127.0.0.1:{service.port}/{name}", f"oci:{self.folder / folder}:it",
        )  # fmt: skip

    def test_architectures(self) -> None:
        """An index with two architectures comes whole, and each part of it by itself."""
        upstream = self.registry()
        image = self.image("image", 1, architectures=("amd64", "arm64"))
        image.push(upstream.port, f"{NAME}:latest")
        service = self.mirror(upstream.url)
        self.copy(service, f"{NAME}:latest", "all", "--all")
        index = json.loads((self.folder / "all" / "index.json").read_text())
        self.assertEqual(index["manifests"][0]["digest"], image.digest)
        tag = f"/v2/{NAME}/manifests/latest"
        both = self.fetched(service, tag, ("Accept", f"{MANIFEST}, {INDEX}"))
        self.assertEqual(both.headers.get("Content-Type"), INDEX)
        self.assertEqual(service.get(tag, ("Accept", MANIFEST)).status, 404)
        for number, name in enumerate(("amd64", "arm64")):
            run(
                find_client("skopeo"), "--insecure-policy", f"--override-arch={name}", "copy",
                "--src-tls-verify=false", f"docker://127.0.0.1:{service.port}/{NAME}:latest",
                f"oci:{self.folder / name}:it",
            )  # fmt: skip
            index = json.loads((self.folder / name / "index.json").read_text())
            self.assertEqual(index["manifests"][0]["digest"], image.manifests[number])

    def test_several_registries(self) -> None:
        """Registries are told apart by name, share equal blobs, and others are never dialled."""
        hub, other = self.registry(name="hub"), self.registry(name="other")
        mine, theirs = self.image("mine", 1, 2), self.image("theirs", 2, 3)
        mine.push(hub.port, f"{NAME}:latest")
        theirs.push(other.port, "owner/app:latest")
        table = {"quay.io": {"upstream": other.url, "aliases": ["mirror.test:5000"]}}
        service = self.mirror(hub.url, registries=table)
        self.copy(service, "app:latest", "short")
        other.restart_counts()
        self.copy(service, "quay.io/owner/app:latest", "prefix")
        self.settle(service)
        shared, own = theirs.layers
        blobs = [(p[-71:], b) for m, p, _, b in other.asked() if "/blobs/" in p and m == "GET"]
        self.assertNotIn(shared["digest"], [digest for digest, _ in blobs])
        self.assertOnce(sum(b for d, b in blobs if d == own["digest"]), own["size"])
        for target in (
            "owner/app/manifests/latest?ns=quay.io",
            "mirror.test:5000/owner/app/tags/list",
        ):
            self.fetched(service, f"/v2/{target}", ("Accept", MANIFEST))
        for target in (
            "owner/app/manifests/latest?ns=127.0.0.1:1",
            "evil.test/app/manifests/latest",
        ):
            reply = service.get(f"/v2/{target}")
            self.assertEqual(
                (reply.status, reply.json()["errors"][0]["code"]), (404, "NAME_UNKNOWN")
            )


class TokenTests(OciTests):
    """A real registry behind a token service."""

    def setUp(self) -> None:
        super().setUp()
        users = {"admin": "a", "alice": "secret", "bob": "other"}
        private = {"team/app": ["admin", "alice"], "team/other": ["admin", "bob"]}
        self.tokens = TokenServer(self.folder / "tokens", users, private)
        self.addCleanup(self.tokens.close)
        self.upstream: DockerRegistry = self.registry(self.tokens.registry_auth())
        self.open, self.closed = self.image("open", 1), self.image("closed", 2)
        self.open.push(self.upstream.port, f"{NAME}:latest", "admin:a")
        self.closed.push(self.upstream.port, "team/app:latest", "admin:a")
        self.service = self.mirror(self.upstream.url)

    def copy(self, name: str, folder: str, *more: str, ok: bool = True) -> str:
        return run(
            find_client("skopeo"), "--insecure-policy", "copy", "--src-tls-verify=false", *more,
            f"docker://127.0.0.1:{self.service.port}/{name}:latest",
            f"oci:{self.folder / folder}:it", ok=ok,
        )  # fmt: skip

    def test_public(self) -> None:
        """Whoever brings no token is served; again and offline without any question for digests."""
        self.copy(NAME, "one")
        given = self.tokens.given
        self.fetched(self.service, f"/v2/app/blobs/{self.open.layers[0]['digest']}")
        self.copy(NAME, "two")
        self.assertEqual(self.tokens.given, given)
        self.upstream.kill()
        self.copy(NAME, "three")

    def test_private(self) -> None:
        """What took a credential is not given to others, nor through another repository."""
        blob = self.closed.layers[0]["digest"]
        self.copy("team/app", "one", "--src-creds=alice:secret")
        self.settle(self.service)
        self.upstream.restart_counts()
        self.copy("team/app", "two", "--src-creds=alice:secret")
        self.assertEqual(self.upstream.blob_bytes(), 0)
        self.copy("team/app", "three", ok=False)
        self.copy("team/app", "four", "--src-creds=bob:other", ok=False)
        self.copy("team/app", "five", "--src-creds=alice:wrong", ok=False)
        for name in ("team/app", "team/other", NAME):
            for target in (f"{name}/blobs/{blob}", f"{name}/manifests/{self.closed.digest}"):
                reply = self.service.get(f"/v2/{target}")
                self.assertIn(reply.status, (401, 404), target)
        challenge = self.service.get("/v2/team/app/manifests/latest").headers.get(
            "WWW-Authenticate"
        )
        realm = f'realm="http://127.0.0.1:{self.service.port}/v2/auth"'
        told = f'Bearer {realm},service="docker.io",scope="repository:team/app:pull"'
        self.assertEqual(challenge, told)
        self.upstream.kill()
        self.copy("team/app", "six", "--src-creds=alice:secret", ok=False)

    def test_containerd_with_credentials(self) -> None:
        """Containerd's own way of asking for tokens works with the mirror's token service."""
        client = Ctr(self, self.service.port)
        pull = (
            *client.ctr, "images", "pull", "--snapshotter", "native",
            f"--hosts-dir={client.hosts}",
        )  # fmt: skip
        run(*pull, f"docker.io/{NAME}:latest")
        run(*pull, "docker.io/team/app:latest", ok=False)
        run(*pull, "--user", "bob:other", "docker.io/team/app:latest", ok=False)
        run(*pull, "--user", "alice:secret", "docker.io/team/app:latest")

    def test_cri_with_credentials(self) -> None:
        """A kubelet's pull secret opens what it may, and nothing else does."""
        client = Cri(self, self.service.port)
        self.assertEqual(client.pull("open"), self.open.digest)
        for login in ("", "bob:other", "alice:wrong"):
            client.pull(login, name="docker.io/team/app", login=login, ok=False)
        told = client.pull("right", name="docker.io/team/app", login="alice:secret")
        self.assertEqual(told, self.closed.digest)
        client.pull("again", name="docker.io/team/app", ok=False)

    def test_docker_login(self) -> None:
        """``docker login`` at the mirror, and images by their whole name below it."""
        own = {"DOCKER_CONFIG": str(self.folder / "docker-config")}
        docker = Docker(self, self.service.port).docker
        mirror = f"127.0.0.1:{self.service.port}"
        login = (*docker, "login", "-u", "alice", mirror, "-p")
        run(*docker, "pull", f"{mirror}/docker.io/library/app:latest", **own)
        run(*docker, "pull", f"{mirror}/team/app:latest", ok=False, **own)
        run(*login, "wrong", ok=False, **own)
        run(*login, "secret", **own)
        for name in ("team/app", "docker.io/team/app", "library/app"):
            run(*docker, "pull", f"{mirror}/{name}:latest", **own)
        run(*docker, "logout", mirror, **own)
        run(*docker, "rmi", f"{mirror}/team/app:latest", f"{mirror}/docker.io/team/app:latest")
        run(*docker, "pull", f"{mirror}/team/app:latest", ok=False, **own)

    def test_docker_push(self) -> None:
        """A push to the mirror ends with its reason."""
        own = {"DOCKER_CONFIG": str(self.folder / "docker-config")}
        docker = Docker(self, self.service.port).docker
        mirror = f"127.0.0.1:{self.service.port}"
        run(*docker, "pull", "app:latest", **own)
        run(*docker, "tag", "app:latest", f"{mirror}/team/new:latest", **own)
        told = run(*docker, "push", f"{mirror}/team/new:latest", ok=False, **own)
        self.assertIn("own address", told)

    def test_skopeo_login(self) -> None:
        """``skopeo login`` at the mirror, whose file podman reads, too."""
        auth = f"--authfile={self.folder / 'auth.json'}"
        mirror = f"127.0.0.1:{self.service.port}"
        login = (
            find_client("skopeo"),
            "login",
            "--tls-verify=false",
            auth,
            "-u",
            "alice",
            mirror,
            "-p",
        )
        run(*login, "wrong", ok=False)
        run(*login, "secret")
        self.copy("team/app", "with", f"--src-authfile={self.folder / 'auth.json'}")
        self.copy("team/app", "without", ok=False)
