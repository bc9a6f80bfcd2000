"""What `aimirror balance envoy` prints, in front of small servers that say who they are."""

from __future__ import annotations

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aimirror.cluster.affinity import key, shapes
from aimirror.cluster.balancers import BALANCERS, Site
from aimirror.config import load
from tests.clients.worlds import find_client
from tests.e2e.engines import EnginesCase
from tests.e2e.test_balancers import TARGETS, free_port

#: The environment that has it.
ENVIRONMENT = "envoy"


class _Node(BaseHTTPRequestHandler):
    """Tells its port and what it was asked for; ``draining`` ones answer 503."""

    draining: frozenset[int] = frozenset()

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        away = port in _Node.draining
        self.send_response(503 if away else 200)
        self.send_header("X-Node", str(port))
        self.send_header("X-Target", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class EnvoyTests(EnginesCase):
    def setUp(self) -> None:
        super().setUp()
        program = find_client("envoy", ENVIRONMENT)
        self.addCleanup(setattr, _Node, "draining", frozenset())
        servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Node) for _ in range(3)]
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
        nodes = tuple(("127.0.0.1", int(server.server_address[1])) for server in servers)
        self.front = free_port()
        self.known = shapes(load(None).rules)
        text = BALANCERS["envoy"](Site(nodes=nodes, port=self.front, shapes=self.known))
        file = self.folder / "envoy.yaml"
        file.write_text(text)
        # Without what several of them on one machine would share.
        self.run_program(program, "--disable-hot-restart", "--concurrency", "1", "-c", str(file))
        self.until_open(self.front)
        while len(set(self.ask(*TARGETS).values())) < len(nodes):  # it has looked at some of them
            time.sleep(0.1)

    def ask(self, *targets: str) -> dict[str, str]:
        """Who answers for each target; all must be answered, and asked for as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.front, timeout=30)
        self.addCleanup(connection.close)
        nodes = {}
        for target in targets:
            connection.request("GET", target)
            reply = connection.getresponse()
            reply.read()
            self.assertEqual((reply.status, reply.headers["X-Target"]), (200, target))
            nodes[target] = reply.headers["X-Node"]
        return nodes

    def test_keys(self) -> None:
        """It takes the file, and sends all targets of a key to one node, the keys to all nodes."""
        answered = self.ask(*TARGETS)
        nodes: dict[str, set[str]] = {}
        for target, node in answered.items():
            nodes.setdefault(key(self.known, target), set()).add(node)
        self.assertEqual({k: v for k, v in nodes.items() if len(v) > 1}, {})
        self.assertLess(len(nodes), len(answered))

    def test_drained(self) -> None:
        """A node that says 503 loses no request: another is asked, and then it gets none."""
        before = self.ask(*TARGETS)
        away = before[TARGETS[0]]
        _Node.draining = frozenset({int(away)})
        after = self.ask(*TARGETS)
        self.assertNotIn(away, after.values())
        moved = [target for target in TARGETS if before[target] != after[target]]
        self.assertEqual({before[target] for target in moved}, {away})
