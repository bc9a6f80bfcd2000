"""Real registries and real clients of them, and images made by hand."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from aimirror.testing import client
from aimirror.testing.behaviour import pattern
from aimirror.testing.processes import ServiceProgram, own_environment
from tests.clients.worlds import find_client

#: Seconds for one test and for one command, whatever hangs.
LIMIT = 100
COMMAND_LIMIT = 40

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

#: The document's own rules, with the registry's address put in.
RULES = (
    {
        "name": "docker-blob",
        "pattern": "/v2/.*/blobs/sha256:[a-f0-9]+",
        "strategy": "parallel",
        "min_size": 1,
        "concurrency": 20,
        "chunk_size": 0,
    },
    {
        "name": "docker-registry",
        "pattern": "/v2/.*",
        "strategy": "proxy",
        "handler": "handlers.docker",
    },
)


def rules(upstream: str) -> list[dict[str, Any]]:
    return [{**rule, "upstream": upstream} for rule in RULES]


def run(*command: str, ok: bool = True, **environment: str) -> str:
    """What a command prints, both ways; it must succeed, or fail if it is not ``ok``."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
        timeout=COMMAND_LIMIT,
        text=True,
        errors="replace",
    )
    if (done.returncode == 0) is not ok:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def layer(seed: int, size: int = 1_500_000) -> tuple[bytes, str]:
    """A layer with one file that does not compress, and the digest of its tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        data = pattern(size, seed)
        info = tarfile.TarInfo(f"data-{seed}")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    raw = buffer.getvalue()
    return gzip.compress(raw, 1, mtime=0), "sha256:" + hashlib.sha256(raw).hexdigest()


class Image:
    """An image layout in a folder, with a manifest for each architecture under one index."""

    def __init__(
        self, folder: Path, *seeds: int, architectures: Sequence[str] = ("amd64",)
    ) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        layers = [layer(seed) for seed in seeds]
        self.layers = [self._described(LAYER, packed) for packed, _ in layers]
        manifests = [self._manifest(name, [diff for _, diff in layers]) for name in architectures]
        if len(manifests) == 1:
            top = manifests[0]
        else:
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
            top = self._described(INDEX, json.dumps(index).encode())
        self.manifests = [each["digest"] for each in manifests]
        self.digest: str = top["digest"]
        self.layer_bytes = sum(each["size"] for each in self.layers)
        named = {**top, "annotations": {"org.opencontainers.image.ref.name": "it"}}
        told = {"schemaVersion": 2, "manifests": [named]}
        (folder / "index.json").write_text(json.dumps(told))

    def _manifest(self, architecture: str, diffs: list[str]) -> dict[str, Any]:
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._described(CONFIG, json.dumps(config).encode()),
            "layers": self.layers,
        }
        described = self._described(MANIFEST, json.dumps(manifest).encode())
        return {**described, "platform": {"architecture": architecture, "os": "linux"}}

    def _described(self, media_type: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def push(self, port: int, name: str, *credentials: str) -> None:
        """Put it into a registry."""
        run(
            find_client("skopeo"), "--insecure-policy", "copy", "--all", "--preserve-digests",
            "--dest-tls-verify=false", *(f"--dest-creds={c}" for c in credentials),
            f"oci:{self.folder}:it", f"docker://127.0.0.1:{port}/{name}",
        )  # fmt: skip


class Daemon:
    """A program of somebody else that serves until it is killed."""

    def __init__(self, command: Sequence[str], log: Path, **environment: str) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**own_environment(), "PATH": os.environ["PATH"] + ":/usr/sbin", **environment},
                start_new_session=True,
            )

    def until(self, ready: Any, limit: float = 20.0) -> None:
        """Wait; SkipTest with the log's end when it ends before: it can't run here."""
        deadline = time.monotonic() + limit
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                end = self.log.read_text("utf-8", "replace")[-400:]
                raise SkipTest(f"{self.process.args[0]} does not run here: {end}")
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(8)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


_LINE = re.compile(r'"(\w+) (/v2/\S*) HTTP/[\d.]+" (\d+) (\d+)')


class DockerRegistry:
    """Debian's docker-registry."""

    def __init__(self, folder: Path, auth: str = "", port: int = 0) -> None:
        self.port = port or free_port()
        folder.mkdir(exist_ok=True)
        config = folder / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {level: warn}\nstorage:\n  filesystem:\n"
            f"    rootdirectory: {folder}/data\nhttp:\n  addr: 127.0.0.1:{self.port}\n{auth}"
        )
        self._command = [find_client("docker-registry"), "serve", str(config)]
        self._log = folder / "registry.log"
        self.start()

    def start(self) -> None:
        self.daemon = Daemon(self._command, self._log, OTEL_TRACES_EXPORTER="none")
        self.daemon.until(lambda: listens(self.port))
        self._seen = 0

    def kill(self) -> None:
        self.daemon.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def restart_counts(self) -> None:
        self._seen = len(self._log.read_text("utf-8", "replace"))

    def asked(self) -> list[tuple[str, str, int, int]]:
        """Method, path, status and body bytes of each request since the last restart of counts."""
        time.sleep(0.05)
        log = self._log.read_text("utf-8", "replace")[self._seen :]
        return [(m, p, int(s), int(b)) for m, p, s, b in _LINE.findall(log)]

    def blob_bytes(self) -> int:
        return sum(n for m, p, s, n in self.asked() if "/blobs/" in p and m == "GET" and s < 300)


class TokenServer:
    """A token service for docker-registry: signs what a user may read."""

    def __init__(self, folder: Path, users: dict[str, str], private: dict[str, list[str]]) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.x509.oid import NameOID

        self.users, self.private, self.given = users, private, 0
        #: The names of users whose passwords it was shown.
        self.shown: set[str] = set()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")])
        import datetime

        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .sign(self._key, hashes.SHA256())
        )
        folder.mkdir(exist_ok=True)
        self.bundle = folder / "tokens.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        der = certificate.public_bytes(serialization.Encoding.DER)
        self._header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def registry_auth(self) -> str:
        return (
            f"auth:\n  token:\n    realm: http://127.0.0.1:{self.port}/token\n"
            f"    service: real\n    issuer: tokens\n    rootcertbundle: {self.bundle}\n"
        )

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.given += 1
        asked = parse_qs(urlsplit(request.path).query)
        user = ""
        scheme, _, value = (request.headers.get("Authorization") or "").partition(" ")
        if scheme == "Basic":
            user, _, password = base64.b64decode(value).decode().partition(":")
            self.shown.add(user)
            if self.users.get(user) != password:
                request.send_error(401)
                return
        access = []
        for scope in asked.get("scope", []):
            kind, name, actions = scope.split(":")
            readers = self.private.get(name)
            if readers is None or user in readers:
                granted = actions.split(",") if user else ["pull"]
                access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {
            "iss": "tokens", "sub": user, "aud": "real", "exp": now + 300, "nbf": now - 60,
            "iat": now, "jti": str(self.given), "access": access,
        }  # fmt: skip
        body = json.dumps({"token": self._signed(claims), "expires_in": 300}).encode()
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _signed(self, claims: dict[str, Any]) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        head, said = (_b64(json.dumps(part).encode()) for part in (self._header, claims))
        signature = self._key.sign(f"{head}.{said}".encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{head}.{said}.{_b64(signature)}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class OciTests(SynchronousTestCase):
    """A registry, the mirror before it, and a folder; all with a hard limit."""

    def setUp(self) -> None:
        def too_long(*_: object) -> None:
            raise TimeoutError(f"not over after {LIMIT} s")

        previous = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(LIMIT)
        self.addCleanup(signal.signal, signal.SIGALRM, previous)
        self.addCleanup(signal.alarm, 0)
        # Unix sockets want short paths.
        self.folder = Path(tempfile.mkdtemp(prefix="oci-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def registry(self, auth: str = "", name: str = "registry") -> DockerRegistry:
        registry = DockerRegistry(self.folder / name, auth)
        self.addCleanup(registry.kill)
        return registry

    def mirror(self, upstream: str, **sections: Any) -> ServiceProgram:
        service = ServiceProgram(self.folder, rules(upstream), **sections)
        self.addCleanup(service.program.kill)
        return service

    def image(self, name: str, *seeds: int, **more: Any) -> Image:
        return Image(self.folder / name, *seeds, **more)

    def settle(self, service: ServiceProgram) -> None:
        """Wait until no download runs."""
        while service.get("/health").json()["active_downloads"]:
            time.sleep(0.02)

    def assertOnce(self, sent: int, size: int) -> None:
        """The registry sent what is ``size`` bytes once, but for the tail that is raced for."""
        self.assertGreaterEqual(sent, size)
        self.assertLess(sent, size * 1.7)

    def fetched(
        self, service: ServiceProgram, target: str, *fields: tuple[str, str]
    ) -> client.Reply:
        """A reply that must be 200."""
        reply = service.get(target, *fields)
        self.assertEqual(reply.status, 200, f"{target}: {reply.body[:300]!r}")
        return reply
