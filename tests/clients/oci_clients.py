"""Clients of registries, each with a home of its own, that all pull through one mirror."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.clients.oci_support import Daemon, OciTests, run
from tests.clients.worlds import find_client, find_python

#: Where nothing listens: what does not come from the mirror comes from nowhere.
NOWHERE = "127.0.0.1:1"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

#: Asks containerd as a kubelet does: method, image, user, password; prints the answer's digests.
_CRI = """
import re, sys, grpc
socket, method, image, user, password = sys.argv[1:]
def field(number, text):
    data = text if isinstance(text, bytes) else text.encode()
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + data
request = field(1, field(1, image))
if method == "PullImage" and user:
    request += field(2, field(1, user) + field(2, password))
channel = grpc.insecure_channel("unix://" + socket)
call = channel.unary_unary("/runtime.v1.ImageService/" + method)
answer = call(request, timeout=35, wait_for_ready=True)
print(*re.findall("@(sha256:[0-9a-f]{64})", answer.decode("latin-1")))
"""


def hosts_toml(port: int, server: str = f"http://{NOWHERE}") -> str:
    return (
        f'server = "{server}"\n[host."http://127.0.0.1:{port}"]\n'
        'capabilities = ["pull", "resolve"]\n'
    )


def registries_conf(port: int, name: str = "docker.io", path: str = "") -> str:
    return (
        f'[[registry]]\nprefix = "{name}"\nlocation = "{NOWHERE}"\n\n'
        f'[[registry.mirror]]\nlocation = "127.0.0.1:{port}{path}"\ninsecure = true\n'
    )


class Client:
    """Pulls docker.io/library/app; each pull has nothing of the one before it."""

    #: Whether it can be told which architecture to take.
    chooses = True

    def __init__(self, tests: OciTests, port: int, settings: str = "") -> None:
        """``settings`` is its configuration file's text, "" for one that knows the mirror alone."""
        self.tests, self.port = tests, port
        self.folder = tests.folder / type(self).__name__.lower()
        self.folder.mkdir()
        self.start(settings)

    def start(self, settings: str) -> None:
        raise NotImplementedError

    def pull(self, step: str, *, ok: bool = True, arch: str = "", name: str = "app") -> str:
        """The digest of what was pulled, "" if not ``ok``; ``step`` is this pull's own name."""
        raise NotImplementedError


class Skopeo(Client):
    """skopeo, to a folder."""

    def start(self, settings: str) -> None:
        self.conf = self.folder / "registries.conf"
        self.conf.write_text(settings or registries_conf(self.port))

    def pull(self, step: str, *, ok: bool = True, arch: str = "", name: str = "app") -> str:
        folder = self.folder / step
        run(
            find_client("skopeo"), "--insecure-policy", f"--registries-conf={self.conf}",
            *((f"--override-arch={arch}",) if arch else ()), "copy",
            f"docker://docker.io/library/{name}:latest", f"oci:{folder}:it", ok=ok,
        )  # fmt: skip
        if not ok:
            return ""
        return str(json.loads((folder / "index.json").read_text())["manifests"][0]["digest"])


class Podman(Client):
    """podman, with a storage for each pull."""

    def start(self, settings: str) -> None:
        self.conf = self.folder / "registries.conf"
        self.conf.write_text(settings or registries_conf(self.port))
        self.policy = self.folder / "policy.json"
        self.policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def pull(self, step: str, *, ok: bool = True, arch: str = "", name: str = "app") -> str:
        root = self.folder / step
        base = (
            find_client("podman"), f"--root={root}", f"--runroot={root}.run",
            "--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=file",
        )  # fmt: skip
        told = {"CONTAINERS_REGISTRIES_CONF": str(self.conf), "HOME": str(self.folder)}
        chosen = (f"--arch={arch}",) if arch else ()
        image = f"docker.io/{name}:latest"
        pull = (*base, "pull", f"--signature-policy={self.policy}", *chosen, image)
        run(*pull, ok=ok, **told)
        if not ok:
            return ""
        form = "{{.Digest}}"
        image = f"docker.io/library/{name}"
        return run(*base, "image", "inspect", "--format", form, image).strip()


class Ctr(Client):
    """containerd by its own command, in a namespace for each pull."""

    def start(self, settings: str) -> None:
        self.hosts = self.folder / "certs.d"
        (self.hosts / "docker.io").mkdir(parents=True)
        told = settings or hosts_toml(self.port)
        (self.hosts / "docker.io" / "hosts.toml").write_text(told)
        config = self.folder / "config.toml"
        config.write_text(
            f'version = 2\nroot = "{self.folder}/root"\nstate = "{self.folder}/state"\n'
            f'[grpc]\naddress = "{self.folder}/c.sock"\n[ttrpc]\naddress = "{self.folder}/t.sock"\n'
            + self.plugins()
        )
        command = [find_client("containerd"), "--config", str(config)]
        daemon = Daemon(command, self.folder / "containerd.log")
        self.tests.addCleanup(daemon.kill)
        daemon.until((self.folder / "c.sock").exists)

    def plugins(self) -> str:
        return 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'

    @property
    def ctr(self) -> tuple[str, ...]:
        return (find_client("ctr"), "-a", str(self.folder / "c.sock"))

    def pull(self, step: str, *, ok: bool = True, arch: str = "", name: str = "app") -> str:
        chosen = ("--platform", f"linux/{arch}") if arch else ()
        image = f"docker.io/library/{name}:latest"
        run(
            *self.ctr, "-n", step, "images", "pull", "--snapshotter", "native", *chosen,
            f"--hosts-dir={self.hosts}", image, ok=ok,
        )  # fmt: skip
        if not ok:
            return ""
        lines = run(*self.ctr, "-n", step, "images", "ls").splitlines()
        listed = next(line for line in lines if line.startswith(image))
        # a namespace of its own shares content, unless all of it is gone
        run(*self.ctr, "-n", step, "images", "rm", "--sync", image)
        return listed.split()[2]


class Cri(Ctr):
    """containerd as a kubelet asks it, which reads hosts.toml by its ``config_path``."""

    chooses = False

    def plugins(self) -> str:
        return (
            '[plugins."io.containerd.grpc.v1.cri".containerd]\nsnapshotter = "native"\n'
            f'[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "{self.hosts}"\n'
        )

    def pull(
        self, step: str, *, ok: bool = True, arch: str = "", name: str = "app", login: str = ""
    ) -> str:
        image = f"docker.io/library/{name}:latest" if "/" not in name else f"{name}:latest"
        user, _, password = login.partition(":")
        ask = (find_python("cri"), "-c", _CRI, str(self.folder / "c.sock"))
        run(*ask, "PullImage", image, user, password, ok=ok)
        if not ok:
            return ""
        told = run(*ask, "ImageStatus", image, "", "").split()
        run(*ask, "RemoveImage", image, "", "")
        run(*self.ctr, "-n", "k8s.io", "content", "prune", "references")
        return told[0]


class Docker(Client):
    """dockerd, without a bridge and without containers."""

    def start(self, settings: str) -> None:
        folder = self.folder
        mirror = {"registry-mirrors": [f"http://127.0.0.1:{self.port}"]}
        told = json.loads(settings) if settings else mirror
        (folder / "daemon.json").write_text(json.dumps({**told, "max-download-attempts": 1}))
        command = [
            find_client("dockerd"), f"--data-root={folder}/data", f"--exec-root={folder}/exec",
            f"--pidfile={folder}/pid", f"--host=unix://{folder}/d.sock", "--storage-driver=vfs",
            "--iptables=false", "--ip6tables=false", "--bridge=none",
            f"--config-file={folder}/daemon.json",
        ]  # fmt: skip
        daemon = Daemon(command, folder / "dockerd.log")
        self.tests.addCleanup(daemon.kill)
        self.docker = (find_client("docker"), "-H", f"unix://{folder}/d.sock")

        def answers() -> bool:
            return (folder / "d.sock").exists() and "Server:" in run(*self.docker, "version")

        daemon.until(answers)

    def pull(self, step: str, *, ok: bool = True, arch: str = "", name: str = "app") -> str:
        chosen = (f"--platform=linux/{arch}",) if arch else ()
        run(*self.docker, "pull", *chosen, f"{name}:latest", ok=ok)
        if not ok:
            return ""
        form = "{{index .RepoDigests 0}}"
        told = run(*self.docker, "image", "inspect", "--format", form, f"{name}:latest")
        run(*self.docker, "rmi", f"{name}:latest")
        return told.strip().partition("@")[2]


CLIENTS: tuple[type[Client], ...] = (Skopeo, Podman, Ctr, Cri, Docker)


def fenced(document: Path, language: str, containing: str) -> str:
    """The block of code of a document that is in a language and contains a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", document.read_text("utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if containing in block]
    return str(found)
