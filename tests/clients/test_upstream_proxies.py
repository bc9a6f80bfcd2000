"""Real proxies in front of the service: squid, tinyproxy, Dante and microsocks."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest

from aimirror.testing.behaviour import pattern
from aimirror.testing.processes import Program
from aimirror.testing.site import Site
from tests.clients.proxied import ProxiedTests
from tests.clients.worlds import find_client

CONTENT = pattern(3_000_000, 11)
#: Seconds for a proxy to listen.
START_LIMIT = 20.0

SQUID = """\
http_port 127.0.0.1:{port}
https_port 127.0.0.1:{tls_port} tls-cert={folder}/site.pem
pid_filename {folder}/squid.pid
auth_param basic program {ncsa} {folder}/users
auth_param basic realm test
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
cache deny all
cache_log {folder}/squid.log
access_log stdio:{folder}/access.log
logfile_rotate 0
coredump_dir {folder}
shutdown_lifetime 0 seconds
"""

TINYPROXY = """\
Port {port}
Listen 127.0.0.1
Timeout 30
BasicAuth user geheim
LogFile "{folder}/access.log"
LogLevel Connect
"""

DANTE = """\
logoutput: {folder}/access.log
internal: 127.0.0.1 port = {port}
external: lo
socksmethod: none
clientmethod: none
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 log: connect }}
"""


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class ProxyTests(ProxiedTests):
    def setUp(self) -> None:
        super().setUp()
        # Proxies that drop their rights must be able to read what is here.
        self.shared = Path(tempfile.mkdtemp(prefix="aimirror-proxy-"))
        self.addCleanup(shutil.rmtree, self.shared, True)
        self.shared.chmod(0o777)
        self.secured = self.secure()
        for site in (self.upstream, self.secured):
            site.put("/f/file.bin", CONTENT)
        self.port, self.tls_port = free_port(), free_port()

    def run_proxy(self, command: Sequence[str], config: str = "", **words: object) -> None:
        """Start a proxy, and wait until it listens."""
        self.log = self.shared / "access.log"
        told = {"port": self.port, "tls_port": self.tls_port, "folder": self.shared, **words}
        (self.shared / "config").write_text(config.format(**told))
        program = Program(command, self.shared / "output.log")
        self.addCleanup(program.kill)
        deadline = time.monotonic() + START_LIMIT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if time.monotonic() > deadline or program.process.poll() is not None:
                    raise SkipTest(f"{command[0]} does not start: {program.log_end()}") from None
                time.sleep(0.05)
            else:
                return

    def squid(self) -> None:
        squid = find_client("squid")
        helpers = (
            Path("/usr/lib/squid/basic_ncsa_auth"),
            Path("/usr/libexec/squid/basic_ncsa_auth"),
        )
        helper = next((path for path in helpers if path.exists()), None)
        if helper is None:
            raise SkipTest("squid has no basic_ncsa_auth")
        hashed = subprocess.run(
            [find_client("openssl"), "passwd", "-apr1", "geheim"],
            capture_output=True,
            text=True,
            check=True,
        )
        (self.shared / "users").write_text(f"user:{hashed.stdout}")
        shutil.copy(self.folder / "site.pem", self.shared / "site.pem")
        for name in ("users", "site.pem"):
            (self.shared / name).chmod(0o644)
        command = [squid, "-N", "-f", str(self.shared / "config")]
        self.run_proxy(command, SQUID, ncsa=helper)

    def cross(self, proxy: str, sites: Sequence[Site] = ()) -> None:
        """A file from a plain and from a secure upstream, in ranges by the workers."""
        for site in sites or (self.upstream, self.secured):
            host = "localhost"
            rule = {
                "name": "f",
                "upstream": f"{'https' if site.tls else 'http'}://{host}:{site.port}",
                "strategy": "parallel",
                "min_size": 1,
                "chunk_size": 500_000,
                "immutable": True,
                "upstream_proxy": proxy,
            }
            self.serve([rule])
            reply = self.service.get("/f/file.bin")
            self.assertEqual((reply.status, reply.body == CONTENT), (200, True), reply.body[:300])
            ranged = [asked for asked in site.requests if "range" in asked.headers]
            self.assertGreater(len(ranged), 3)
            self.assertNoSecrets()
            self.service.program.stop()
            shutil.rmtree(self.service.cache)

    def assertNoSecrets(self) -> None:
        """Neither the log nor the status pages have the password."""
        told = self.service.get("/health").body + self.service.get("/stats").body
        self.assertNotIn(b"geheim", told)
        self.assertNotIn("geheim", self.service.program.log.read_text())

    def assertCrossed(self, *texts: str) -> None:
        """The proxy's own log names what it was asked for."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            logged = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
            if all(text in logged for text in texts):
                return
            time.sleep(0.05)
        self.fail(f"{texts} not in {logged[-2000:]}")

    def test_squid(self) -> None:
        """squid with a login: absolute URLs and CONNECT, in the clear."""
        self.squid()
        self.cross(f"http://user:geheim@127.0.0.1:{self.port}")
        self.assertCrossed(
            f"GET http://localhost:{self.upstream.port}/f/file.bin user",
            f"CONNECT localhost:{self.secured.port} user",
        )

    def test_squid_by_tls(self) -> None:
        """The same inside TLS to the proxy, whose certificate is verified."""
        self.squid()
        self.cross(f"https://user:geheim@localhost:{self.tls_port}")
        self.assertCrossed(
            f"GET http://localhost:{self.upstream.port}/f/file.bin user",
            f"CONNECT localhost:{self.secured.port} user",
        )
        self.serve([{"name": "f", "upstream": self.secured.url, "upstream_proxy": self.wrong()}])
        reply = self.service.get("/f/file.bin")
        self.assertEqual(reply.status, 502)
        self.assertIn("upstream proxy 127.0.0.1", reply.json()["detail"])

    def wrong(self) -> str:
        """The proxy by a name for which it has no certificate."""
        return f"https://user:geheim@127.0.0.1:{self.tls_port}"

    def test_wrong_login(self) -> None:
        """A login that the proxy refuses is a 502 that says so, without the login."""
        self.squid()
        for site in (self.upstream, self.secured):
            url = f"{'https' if site.tls else 'http'}://localhost:{site.port}"
            proxy = f"http://user:falsch-geheim@127.0.0.1:{self.port}"
            self.serve([{"name": "f", "upstream": url, "upstream_proxy": proxy}])
            reply = self.service.get("/f/file.bin")
            self.assertEqual(reply.status, 502)
            self.assertIn(b"407", reply.body)
            self.assertNotIn(b"geheim", reply.body)
            self.service.program.stop()

    def test_environment(self) -> None:
        """ "env" takes the proxy of the environment, and what goes round it."""
        self.squid()
        proxy = f"http://user:geheim@127.0.0.1:{self.port}"
        rules = [
            {"name": "s", "upstream": self.secured.url, "path_prefix": "/f"},
            {"name": "p", "upstream": self.upstream.url},
        ]
        self.upstream.put("/g", b"round")
        around = {"https_proxy": proxy, "http_proxy": proxy, "no_proxy": "127.0.0.0/8"}
        self.serve(rules, environment=around, server={"upstream_proxy": "env"})
        self.assertEqual(self.service.get("/f/file.bin").body, CONTENT)
        self.assertEqual(self.service.get("/g").body, b"round")
        self.service.program.stop()  # a tunnel is logged when it is over
        self.assertCrossed(f"CONNECT localhost:{self.secured.port} user")
        self.assertNotIn(f":{self.upstream.port}/", self.log.read_text())

    def test_chained(self) -> None:
        """A client's tunnel crosses the proxy in front of us, too."""
        curl = find_client("curl")
        self.squid()
        proxy = f"http://user:geheim@127.0.0.1:{self.port}"
        self.serve([{"name": "f", "upstream": self.secured.url}], server={"upstream_proxy": proxy})
        out = self.folder / "out"
        command = [curl, "-sS", "-o", str(out), f"{self.secured.url}/f/file.bin"]
        self.assertRuns(command, **self.through(self.trust))
        self.assertEqual(out.read_bytes(), CONTENT)
        self.assertCrossed(f"CONNECT localhost:{self.secured.port} user")

    def test_tinyproxy(self) -> None:
        """tinyproxy with a login."""
        command = [find_client("tinyproxy"), "-d", "-c", str(self.shared / "config")]
        self.run_proxy(command, TINYPROXY)
        self.cross(f"http://user:geheim@127.0.0.1:{self.port}")
        self.assertCrossed(f"CONNECT localhost:{self.secured.port}", "GET http://localhost:")

    def test_dante(self) -> None:
        """Dante without a login: SOCKS5, by address and by name."""
        self.run_proxy([find_client("danted"), "-f", str(self.shared / "config")], DANTE)
        self.cross(f"socks5://127.0.0.1:{self.port}")
        self.cross(f"socks5h://127.0.0.1:{self.port}", [self.secured])
        for site in (self.upstream, self.secured):
            self.assertCrossed(f" 127.0.0.1.{site.port}\n")

    def test_microsocks(self) -> None:
        """microsocks with a login; a wrong one is told."""
        login = ["-u", "user", "-P", "geheim"]
        command = [find_client("microsocks"), "-i", "127.0.0.1", "-p", str(self.port), *login]
        self.run_proxy(command)
        self.cross(f"socks5h://user:geheim@127.0.0.1:{self.port}")
        proxy = f"socks5://user:falsch@127.0.0.1:{self.port}"
        self.serve([{"name": "f", "upstream": self.secured.url, "upstream_proxy": proxy}])
        reply = self.service.get("/f/file.bin")
        self.assertEqual((reply.status, b"refused user or password" in reply.body), (502, True))
