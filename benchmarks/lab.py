"""The programs of a benchmark: started on 127.0.0.1, measured from /proc, ended together."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from attrs import define, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aimirror.testing.behaviour import pattern
from aimirror.testing.processes import (
    OriginProgram,
    Program,
    RelayProgram,
    ServiceProgram,
    own_environment,
)
from benchmarks.results import find

DRAIN = Path(__file__).with_name("drain.py")

#: Seconds between two looks at the memory of processes.
LOOK = 0.05

#: Seconds after which a client counts as never ending.
LIMIT = 90.0

GB, MB, KB = 1e9, 1e6, 1e3


class Missing(Exception):
    """A tool is not installed."""


@define
class Usage:
    """What processes used during a measurement: CPU seconds, bytes above the start."""

    cpu: float = 0.0
    #: Peak of the proportional set size and of private memory, above what they were before.
    pss: int = 0
    private: int = 0


@frozen
class Drained:
    """What a set of clients saw; seconds."""

    first: float
    slowest: float
    bytes: int
    failures: int


class Lab:
    """A folder and the programs that run in it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="aimirror-bench-"))
        self.files = self.folder / "files"
        self.files.mkdir()
        self._programs: list[Program] = []
        self._number = 0
        self._certificate: tuple[Path, Path] | None = None

    def close(self) -> None:
        """End all programs and remove the folder."""
        self.end_programs()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_programs(self) -> None:
        """End all programs."""
        while self._programs:
            self._programs.pop().kill()

    def fresh(self, name: str) -> Path:
        """A new folder."""
        self._number += 1
        place = self.folder / f"{name}{self._number}"
        place.mkdir()
        return place

    def file(self, size: int, number: int = 0) -> str:
        """The path, on every origin, of a file of so many bytes."""
        name = f"{size}-{number}.bin"
        if not (self.files / name).exists():
            (self.files / name).write_bytes(pattern(size, number))
        return f"/{name}"

    @property
    def certificate(self) -> tuple[Path, Path]:
        """A self-signed certificate for 127.0.0.1 and its key."""
        if self._certificate is None:
            self._certificate = _make_certificate(self.folder)
        return self._certificate

    # -- programs

    def origin(self, tls: bool = False) -> int:
        """The port of a fast origin of all files: nginx, or ours where that is missing."""
        if find("nginx") is not None:
            return self.nginx(_static(self, tls))[1]
        arguments = ["--script", str(self._script())]
        if tls:
            certificate, key = self.certificate
            arguments += ["--tls-port=0", f"--certificate={certificate}", f"--key={key}"]
        log = self.fresh("origin") / "log"
        started = OriginProgram(log, 1, arguments)
        self._programs.append(started.program)
        return started.ports[-1]

    def _script(self) -> Path:
        script = {}
        for file in self.files.iterdir():
            size, number = file.stem.split("-")
            script[f"/{file.name}"] = {
                "size": int(size),
                "seed": int(number),
                "headers": [["Cache-Control", "max-age=3600"]],
            }
        place = self.fresh("script") / "script.json"
        place.write_text(json.dumps(script), "utf-8")
        return place

    def relay(self, to: int, **network: float) -> RelayProgram:
        """A slow network in front of a port."""
        relay = RelayProgram(self.fresh("relay") / "log", to, **network)
        self._programs.append(relay.program)
        return relay

    def aimirror(self, upstream: str | Sequence[str], **rule: Any) -> ServiceProgram:
        """The service with one rule and an empty cache."""
        told = {
            "name": "all",
            "pattern": "^/",
            "upstream": upstream,
            "strategy": "parallel",
            "min_size": 1,
            "concurrency": 20,
            "chunk_size": 0,
            **rule,
        }
        return self.service([told])

    def service(self, rules: Sequence[Mapping[str, Any]]) -> ServiceProgram:
        """The service with some rules and an empty cache."""
        environment = {**own_environment(), "SSL_CERT_FILE": str(self.certificate[0])}
        service = ServiceProgram(
            self.fresh("aimirror"), rules, environment=environment, server={"workers": 0}
        )
        self._programs.append(service.program)
        service.wait_for_workers()
        return service

    def nginx(self, server: str) -> tuple[Program, int]:
        """nginx with one server block, in which @port@ and @folder@ are replaced."""
        binary = find("nginx")
        if binary is None:
            raise Missing("nginx")
        place = self.fresh("nginx")
        port = _free_port()
        server = server.replace("@port@", str(port)).replace("@folder@", str(place))
        (place / "nginx.conf").write_text(_nginx_conf(place, server), "utf-8")
        program = Program(
            [binary, "-p", str(place), "-c", str(place / "nginx.conf")], place / "log"
        )
        self._programs.append(program)
        _wait_for_port(port, program)
        return program, port

    def proxy_cache(self, upstream: str) -> tuple[Program, int]:
        """nginx as a caching proxy of an upstream."""
        return self.nginx(_PROXY.replace("@upstream@", upstream))

    def static(self) -> tuple[Program, int]:
        """nginx as a server of all files."""
        return self.nginx(_static(self, False))

    # -- measuring

    def drain(self, port: int, *paths: str, **options: float) -> Drained:
        """Clients that cost little; ``options`` are those of drain.py."""
        flags = [
            f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
            for name, value in options.items()
        ]
        ended = subprocess.run(
            [sys.executable, "-I", str(DRAIN), f"--port={port}", *flags, *paths],
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise RuntimeError(f"drain.py: {ended.stderr}")
        clients = json.loads(ended.stdout)
        good = [c for c in clients if c["status"] == 200 and not c.get("error")]
        return Drained(
            min((c["first"] for c in clients), default=0.0),
            max((c["took"] for c in clients), default=0.0),
            sum(c["bytes"] for c in clients),
            len(clients) - len(good),
        )

    def command(self, tool: str, *arguments: str, limit: float = LIMIT) -> float | None:
        """Seconds that a tool takes, None when it does not end in time; raises Missing."""
        binary = find(tool)
        if binary is None:
            raise Missing(tool)
        began = time.monotonic()
        try:
            subprocess.run([binary, *arguments], capture_output=True, timeout=limit, check=True)
        except subprocess.TimeoutExpired:
            return None
        return time.monotonic() - began

    @contextlib.contextmanager
    def usage(self, *programs: Program) -> Iterator[Usage]:
        """CPU time and peak memory of programs with all their processes, while it is entered."""
        used = Usage()
        cpu, (pss, private) = _cpu(programs), memory(programs)
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(LOOK):
                now = memory(programs)
                used.pss = max(used.pss, now[0] - pss)
                used.private = max(used.private, now[1] - private)

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        try:
            yield used
        finally:
            ended.set()
            looking.join()
            used.cpu = _cpu(programs) - cpu

    def settle(self, service: ServiceProgram) -> None:
        """Wait until no download runs, so that all work on a file is counted."""
        while service.get("/health").json()["active_downloads"]:
            time.sleep(0.02)


def _cpu(programs: Sequence[Program]) -> float:
    return sum(stat.cpu for program in programs for stat in program.family())


def memory(programs: Sequence[Program]) -> tuple[int, int]:
    """Proportional and private bytes of programs."""
    pss = private = 0
    for program in programs:
        for stat in program.family():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{stat.pid}/smaps_rollup").read_text().splitlines():
                    name, _, rest = line.partition(":")
                    if name == "Pss":
                        pss += int(rest.split()[0]) * 1024
                    elif name in ("Private_Clean", "Private_Dirty"):
                        private += int(rest.split()[0]) * 1024
    return pss, private


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _wait_for_port(port: int, program: Program) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nginx does not listen:\n{program.log_end()}")


def _nginx_conf(place: Path, server: str) -> str:
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "\n".join(
        f"{kind}_temp_path {place}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
{user} daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error.log;
events {{ worker_connections 1024; }}
http {{
    {temporary}
    access_log {place}/access.log;
    sendfile on; tcp_nopush on; keepalive_requests 1000000;
    proxy_cache_path {place}/cache keys_zone=zone:10m max_size=20g;
    {server}
}}
"""


def _static(lab: Lab, tls: bool) -> str:
    secure, more = "", ""
    if tls:
        certificate, key = lab.certificate
        secure = " ssl"
        more = f"ssl_certificate {certificate}; ssl_certificate_key {key};"
    return f"""
    server {{
        listen 127.0.0.1:@port@{secure} backlog=1024; root {lab.files}; {more}
        location / {{ expires 1h; types {{ application/json json; }} }}
    }}"""


_PROXY = """
    server {
        listen 127.0.0.1:@port@ backlog=1024;
        location / {
            proxy_pass @upstream@; proxy_cache zone; proxy_cache_valid 200 1h;
            proxy_http_version 1.1; proxy_set_header Connection "";
        }
    }"""


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, secret
