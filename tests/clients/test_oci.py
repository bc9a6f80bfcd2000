"""skopeo, podman, containerd and docker pull through the mirror from a real registry."""

from __future__ import annotations

import json
import os
from pathlib import Path

from aimirror.testing.processes import ServiceProgram
from tests.clients.oci_support import (
    INDEX,
    MANIFEST,
    Daemon,
    DockerRegistry,
    Image,
    OciTests,
    TokenServer,
    find,
    run,
)
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

    def pulled(self, pull: object) -> None:
        """Cold, again without a byte of a blob, moved tag, and with the registry down."""
        assert callable(pull)
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

        def pull(step: str) -> str:
            folder = self.folder / step
            run(
                find("skopeo"), "--insecure-policy", "copy", "--src-tls-verify=false",
                f"docker://127.0.0.1:{self.service.port}/{NAME}:latest", f"oci:{folder}:it",
            )  # fmt: skip
            index = json.loads((folder / "index.json").read_text())
            return str(index["manifests"][0]["digest"])

        self.pulled(pull)

    def test_podman(self) -> None:
        """podman pulls docker.io/app through a mirror of registries.conf."""
        podman = find("podman")
        conf = self.folder / "registries.conf"
        conf.write_text(
            '[[registry]]\nprefix = "docker.io"\nlocation = "127.0.0.1:1"\n\n'
            f'[[registry.mirror]]\nlocation = "127.0.0.1:{self.service.port}"\ninsecure = true\n'
        )
        policy = self.folder / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

        def pull(step: str) -> str:
            folder = self.folder / f"podman-{step}"
            base = (
                podman, f"--root={folder}", f"--runroot={folder}.run", "--storage-driver=vfs",
                "--cgroup-manager=cgroupfs", "--events-backend=file",
            )  # fmt: skip
            told = {"CONTAINERS_REGISTRIES_CONF": str(conf), "HOME": str(self.folder)}
            run(*base, "pull", f"--signature-policy={policy}", "docker.io/app:latest", **told)
            form = "{{.Digest}}"
            return run(*base, "image", "inspect", "--format", form, "docker.io/library/app").strip()

        self.pulled(pull)

    def test_containerd(self) -> None:
        """Containerd pulls with hosts.toml and checks every byte itself."""
        ctr, hosts = self.containerd(), self.hosts("docker.io")

        def pull(step: str) -> str:
            run(*ctr, "-n", step, "images", "pull", "--snapshotter", "native",
                f"--hosts-dir={hosts}", f"docker.io/{NAME}:latest")  # fmt: skip
            listed = run(*ctr, "-n", step, "images", "ls").splitlines()[1]
            # a namespace of its own shares content, unless all of it is gone
            run(*ctr, "-n", step, "images", "rm", "--sync", f"docker.io/{NAME}:latest")
            return listed.split()[2]

        self.pulled(pull)

    def test_another_registry(self) -> None:
        """containerd by ?ns=, skopeo by a path prefix: quay.io through the same port."""
        other = self.registry(name="other")
        image = self.image("theirs", 4)
        image.push(other.port, "owner/app:latest")
        self.service.program.stop()
        self.service = self.mirror(
            self.upstream.url, registries={"quay.io": {"upstream": other.url}}
        )
        ctr, hosts = self.containerd(), self.hosts("quay.io")
        run(
            *ctr, "images", "pull", "--snapshotter", "native", f"--hosts-dir={hosts}",
            "quay.io/owner/app:latest",
        )  # fmt: skip
        other.kill()
        conf = self.folder / "quay.conf"
        conf.write_text(
            '[[registry]]\nprefix = "quay.io"\nlocation = "127.0.0.1:1"\n\n[[registry.mirror]]\n'
            f'location = "127.0.0.1:{self.service.port}/quay.io"\ninsecure = true\n'
        )
        copy = ("--insecure-policy", f"--registries-conf={conf}", "copy")
        to = f"oci:{self.folder}/copied:it"
        run(find("skopeo"), *copy, "docker://quay.io/owner/app:latest", to)

    def containerd(self) -> tuple[str, ...]:
        """A containerd of its own; the command that talks to it."""
        folder = self.folder
        config = folder / "containerd.toml"
        config.write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{folder}/c.sock"\n[ttrpc]\naddress = "{folder}/t.sock"\n'
        )
        command = [find("containerd"), "--config", str(config)]
        daemon = Daemon(command, folder / "containerd.log")
        self.addCleanup(daemon.kill)
        daemon.until((folder / "c.sock").exists)
        return (find("ctr"), "-a", str(folder / "c.sock"))

    def hosts(self, name: str) -> Path:
        """A hosts.toml that has a registry asked for at the mirror."""
        folder = self.folder / "certs.d"
        (folder / name).mkdir(parents=True)
        (folder / name / "hosts.toml").write_text(
            'server = "http://127.0.0.1:1"\n'
            f'[host."http://127.0.0.1:{self.service.port}"]\n'
            'capabilities = ["pull", "resolve"]\n'
        )
        return folder

    def test_docker(self) -> None:
        """Docker pulls a short name through registry-mirrors."""
        folder = self.folder
        told = {"registry-mirrors": [f"http://127.0.0.1:{self.service.port}"]}
        (folder / "daemon.json").write_text(json.dumps(told))
        command = [
            find("dockerd"), f"--data-root={folder}/data", f"--exec-root={folder}/exec",
            f"--pidfile={folder}/pid", f"--host=unix://{folder}/d.sock", "--storage-driver=vfs",
            "--iptables=false", "--ip6tables=false", "--bridge=none",
            f"--config-file={folder}/daemon.json",
        ]  # fmt: skip
        daemon = Daemon(command, folder / "dockerd.log")
        self.addCleanup(daemon.kill)
        docker = ("/usr/bin/docker", "-H", f"unix://{folder}/d.sock")
        if not os.path.exists(docker[0]):  # noqa: PTH110
            self.skipTest("docker's command line is not installed")

        def answers() -> bool:
            return (folder / "d.sock").exists() and "Server:" in run(*docker, "version")

        daemon.until(answers)

        def pull(step: str) -> str:
            run(*docker, "pull", "app:latest")
            form = "{{index .RepoDigests 0}}"
            told = run(*docker, "image", "inspect", "--format", form, "app:latest")
            run(*docker, "rmi", "app:latest")
            return told.strip().partition("@")[2]

        self.pulled(pull)


class SharingTests(OciTests):
    """Several clients, architectures and registries at once."""

    def copy(self, service: ServiceProgram, name: str, folder: str, *more: str) -> str:
        return run(
            find("skopeo"), "--insecure-policy", "copy", "--src-tls-verify=false", *more,
            f"docker://127.0.0.1:{service.port}/{name}", f"oci:{self.folder / folder}:it",
        )  # fmt: skip

    def test_parallel_pulls(self) -> None:
        """Six clients that pull one image at once cost the registry one pull."""
        upstream = self.registry()
        image = self.image("image", 1, 2)
        image.push(upstream.port, f"{NAME}:latest")
        service = self.mirror(upstream.url)
        upstream.restart_counts()
        pulls = [InBackground(self.copy, service, f"{NAME}:latest", f"p{n}") for n in range(6)]
        for pull in pulls:
            pull.result()
        layers = {layer["digest"] for layer in image.layers}
        fetched = [b for m, p, _, b in upstream.asked() if m == "GET" and p[-71:] in layers]
        self.assertOnce(sum(fetched), image.layer_bytes)

    def test_damaged_blob(self) -> None:
        """A layer that the registry has damaged fails the pull, is not kept, and heals with it."""
        upstream = self.registry()
        image = self.image("image", 1)
        image.push(upstream.port, f"{NAME}:latest")
        service = self.mirror(upstream.url)
        name = image.layers[0]["digest"].partition(":")[2]
        (stored,) = self.folder.glob(f"registry/data/**/sha256/{name[:2]}/{name}/data")
        good = stored.read_bytes()
        stored.write_bytes(good[:700_000] + b"damage" + good[700_006:])
        with self.assertRaises(AssertionError):
            self.copy(service, f"{NAME}:latest", "damaged")
        self.settle(service)
        kept = list((self.folder / "cache").rglob(f"*{name}*"))
        self.assertEqual(kept, [])
        stored.write_bytes(good)
        service.program.stop()  # or the mirror would refuse to ask again for a while
        service = self.mirror(upstream.url)
        self.copy(service, f"{NAME}:latest", "healed")

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
                find("skopeo"), "--insecure-policy", f"--override-arch={name}", "copy",
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
            find("skopeo"), "--insecure-policy", "copy", "--src-tls-verify=false", *more,
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
        ctr = PullTests.containerd(self)  # type: ignore[arg-type]
        hosts = PullTests.hosts(self, "docker.io")  # type: ignore[arg-type]
        pull = (*ctr, "images", "pull", "--snapshotter", "native", f"--hosts-dir={hosts}")
        run(*pull, f"docker.io/{NAME}:latest")
        run(*pull, "docker.io/team/app:latest", ok=False)
        run(*pull, "--user", "bob:other", "docker.io/team/app:latest", ok=False)
        run(*pull, "--user", "alice:secret", "docker.io/team/app:latest")
