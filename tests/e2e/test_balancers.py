"""What `aimirror balance` prints, read by the real balancers."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from pathlib import Path

from aimirror.cluster.affinity import key, shapes
from aimirror.cluster.balancers import BALANCERS, Site, haproxy_key, nginx_key
from aimirror.config import load
from tests.cluster.test_affinity import APART, TOGETHER
from tests.e2e.support import EndToEndTests

SHAPES = shapes(load(None).rules)
TARGETS = (*(target for targets in TOGETHER for target in targets), *APART)

_HAPROXY = """
defaults
    mode http
    timeout client 5s
    timeout connect 5s
    timeout server 5s
frontend f
    bind 127.0.0.1:{port}
{lines}
    http-request return status 200 hdr X-Key %[var(txn.key)]
"""
_NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    map_hash_bucket_size 512;
    {lines}
    server {{
        listen 127.0.0.1:{port};
        location / {{ add_header X-Key $aimirror_key; return 204; }}
    }}
}}
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


class BalancersTests(EndToEndTests):
    def program(self, name: str) -> str:
        """Its path; skips where it is missing."""
        path = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin")
        if path is None:
            self.skipTest(f"{name} is not installed")
        assert path is not None
        return path

    def run_until_it_listens(self, words: list[str], port: int) -> None:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except ConnectionRefusedError:
                self.assertIsNone(process.poll(), "it did not start")
                time.sleep(0.05)

    def assert_keys(self, port: int) -> None:
        """The balancer makes the same key of each target as the nodes do."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.addCleanup(connection.close)
        for target in TARGETS:
            connection.request("GET", target)
            reply = connection.getresponse()
            reply.read()
            self.assertEqual(reply.headers["X-Key"], key(SHAPES, target), target)

    def printed(self, balancer: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        nodes = (("127.0.0.1", 9001), ("127.0.0.1", 9002))
        path = self.folder / balancer
        path.write_text(BALANCERS[balancer](Site(nodes=nodes, port=8080, shapes=SHAPES)))
        return path

    def test_haproxy(self) -> None:
        """HAProxy finds no fault with its configuration, and has our keys."""
        program = self.program("haproxy")
        checked = subprocess.run(
            [program, "-c", "-f", str(self.printed("haproxy"))], capture_output=True, check=False
        )
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertNotIn(b"WARNING", checked.stderr)
        port = free_port()
        path = self.folder / "keys"
        path.write_text(_HAPROXY.format(port=port, lines=haproxy_key(SHAPES)))
        self.run_until_it_listens([program, "-f", str(path)], port)
        self.assert_keys(port)

    def test_nginx(self) -> None:
        """nginx finds no fault with its configuration, and has our keys."""
        program = self.program("nginx")
        included = self.folder / "all"
        path = self.printed("nginx")
        included.write_text(f"pid {self.folder}/pid;\nevents {{}}\nhttp {{ include {path}; }}\n")
        words = [program, "-t", "-e", str(self.folder / "log"), "-c", str(included)]
        checked = subprocess.run(words, capture_output=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        port = free_port()
        text = _NGINX.format(folder=self.folder, port=port, lines=nginx_key(SHAPES))
        path.write_text(text)
        self.run_until_it_listens([program, "-e", str(self.folder / "log"), "-c", str(path)], port)
        self.assert_keys(port)
