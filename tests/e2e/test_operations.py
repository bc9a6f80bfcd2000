"""Watching and steering a running service: API, commands, reload, logs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urljoin

from aimirror.admin.own_token import read_token
from aimirror.testing import client
from aimirror.testing.processes import ServiceProgram, own_environment
from tests.e2e.support import EndToEndTests, InBackground

TOKEN = "0123456789abcdef"
#: Seconds in which something has to be seen.
SOON = 15
COMMAND_LIMIT = 50


class OperationsTests(EndToEndTests):
    def serving(self, *rules: dict[str, Any], **sections: Any) -> ServiceProgram:
        service = ServiceProgram(self.folder, rules or [self.rule()], **sections)
        self.addCleanup(service.program.kill)
        return service

    def call(self, service: ServiceProgram, call: str, **words: Any) -> Any:
        body = json.dumps(words).encode()
        token = ("X-Aimirror-Token", read_token(service.cache))
        reply = client.request(
            service.port, f"/aimirror/api/{call}", [token], method="POST", body=body
        )
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json()

    def entries(self, service: ServiceProgram, query: str = "") -> list[Any]:
        found: list[Any] = service.get(f"/aimirror/api/entries?{query}").json()["entries"]
        return found

    def command(
        self,
        service: ServiceProgram,
        *arguments: str,
        url: bool = True,
        status: int = 0,
        **environment: str,
    ) -> str:
        program = (sys.executable, "-m", "aimirror")
        where = ["--url", f"http://127.0.0.1:{service.port}"] if url else []
        ended = subprocess.run(
            [*program, arguments[0], "--config", str(service.config), *where, *arguments[1:]],
            env={**own_environment(), **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
        )
        self.assertEqual(ended.returncode, status, ended.stdout + ended.stderr)
        self.assertNotIn("Traceback", ended.stderr)
        return ended.stdout + ended.stderr

    def soon(self, what: Any) -> Any:
        until = time.monotonic() + SOON
        while not (found := what()):
            self.assertLess(time.monotonic(), until, "not soon enough")
            time.sleep(0.05)
        return found

    def job(self, service: ServiceProgram, started: Any) -> Any:
        def ended() -> Any:
            told = service.get(f"/aimirror/api/jobs?id={started['id']}").json()["jobs"][0]
            return told if told["state"] != "running" else None

        return self.soon(ended)

    def test_purge_at_once(self) -> None:
        """What is purged is fetched anew by the next request, memoised answers included."""
        service = self.serving()
        self.origin.script({"/a": {"size": 500, "seed": 1}})
        first = [service.get("/a") for _ in range(3)][-1]
        self.assertEqual(first.headers.get("x-cache"), "HIT")
        self.origin.script({"/a": {"size": 600, "seed": 2}})
        self.assertEqual(service.get("/a").body, first.body)
        self.assertEqual(self.call(service, "purge", url="/a")["purged"], 1)
        again = service.get("/a")
        self.assertEqual((again.headers.get("x-cache"), len(again.body)), ("MISS", 600))
        page = service.get("/metrics").body.decode()
        self.assertIn('aimirror_requests_total{cache="hit",code="200",rule="files"} 3.0', page)

    def test_entries(self) -> None:
        """Entries are listed, looked at, pinned and purged by what is told of them; no query is."""
        service = self.serving()
        self.origin.script({f"/{n}": {"size": 100 * n, "seed": n} for n in (1, 2, 3)})
        for target in ("/1", "/2?signature=geheim", "/3"):
            service.get(target)
        self.soon(lambda: len(self.entries(service)) == 3)
        told = self.entries(service)
        self.assertEqual([entry["size"] for entry in told], [300, 200, 100])
        self.assertNotIn("geheim", json.dumps(told))
        self.call(service, "pin", name=told[1]["name"], pinned=True)
        self.assertEqual(len(self.entries(service, "pinned=true")), 1)
        self.assertEqual(self.call(service, "purge", rule="files", dry_run=True)["purged"], 2)
        self.assertEqual(self.call(service, "purge", rule="files")["purged"], 2)
        (left,) = self.entries(service)
        found = service.get(f"/aimirror/api/entry?name={left['name']}").json()["entries"][0]
        self.assertTrue(found["pinned"] and found["sha256"])
        self.assertEqual(self.call(service, "purge", url="/2")["purged"], 1)

    def test_gate(self) -> None:
        """A foreign page gets nothing; with a token, nobody without it does; it is nowhere told."""
        service = self.serving(admin={"token": TOKEN})
        target = "/aimirror/api/overview"
        self.assertEqual(service.get(target).status, 401)
        right = ("Authorization", f"Bearer {TOKEN}")
        self.assertEqual(service.get(target, right).status, 200)
        for told in (target, "/health", "/stats", "/metrics"):
            self.assertNotIn(TOKEN.encode(), service.get(told, right).body)
        service.program.stop()
        self.assertNotIn(TOKEN, service.program.log_end())

    def test_own_address(self) -> None:
        """With a port of its own administration is there alone, and nothing mirrored is."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        service = self.serving(admin={"port": port})
        path = self.serve()
        self.assertEqual(service.get(path).status, 200)
        self.assertEqual(client.request(port, path).status, 404)
        for name in ("/aimirror/admin/", "/aimirror/admin/cache", "/aimirror/api/overview"):
            self.assertEqual(service.get(name).status, 404)
            self.assertEqual(client.request(port, name).status, 200)
        welcome = service.get("/aimirror/")
        self.assertEqual(welcome.status, 200)
        self.assertNotIn(b"admin/", welcome.body)
        led = client.request(port, "/aimirror/").headers.get("Location") or ""
        self.assertEqual(urljoin("/aimirror/", led), "/aimirror/admin/")
        self.assertEqual(client.request(port, "/health").status, 200)
        self.assertIn("MB", self.command(service, "status", url=False))

    def test_led_back(self) -> None:
        """An upstream that redirects to the mirror's own API gets nothing out of it."""
        service = self.serving()
        own = f"http://127.0.0.1:{service.port}"
        for path in ("/aimirror/api/overview", "/health", "/file.bin"):
            self.origin.script({"/evil": {"redirect": own + path}})
            reply = service.get("/evil")
            self.assertEqual(reply.status, 502, path)
            self.assertNotIn(b"uptime", reply.body)
        loop = ("CDN-Loop", "x")
        self.assertEqual(service.get("/health", loop).status, 200)

    def test_rebinding(self) -> None:
        """Under another name than this machine's the API is closed."""
        service = self.serving()
        target = "/aimirror/api/overview"
        self.assertEqual(service.get(target).status, 200)
        self.assertEqual(service.get(target, ("Host", "evil.test")).status, 403)
        self.assertEqual(service.get(target, ("Origin", "http://evil.test")).status, 403)

    def test_prefetch(self) -> None:
        """What a list names is in the cache afterwards, and failures are told."""
        page = b'<a href="/files/x-1.0.tar.gz">x-1.0.tar.gz</a>'
        self.origin.script(
            {
                "/files/x-1.0.tar.gz": {"size": 300_000, "seed": 3},
                "/simple/x/": {"text": page.decode(), "headers": [["Content-Type", "text/html"]]},
            }
        )
        service = self.serving()
        started = self.call(service, "prefetch", urls=["/files/x-1.0.tar.gz", "/none"])
        ended = self.job(service, started)
        self.assertEqual((ended["done"], ended["failed"], ended["bytes"]), (2, 1, 300_000))
        self.assertEqual(service.get("/files/x-1.0.tar.gz").headers.get("x-cache"), "HIT")
        told = self.command(service, "prefetch", "/files/x-1.0.tar.gz")
        self.assertIn("1 were there", told)
        ended = self.job(service, self.call(service, "prefetch", requirements="x>=1\ny==2\n"))
        self.assertEqual((ended["done"], ended["cached"]), (3, 2))
        self.assertEqual([each["item"] for each in ended["failures"]], ["y"])
        fields = (
            ("Host", "localhost:1234"),  # as a name that a proxy in front may have
            ("X-Aimirror-Token", read_token(service.cache)),
        )
        for host in (f"127.0.0.1:{service.port}", "localhost:1234"):
            lock = {
                "packages": {"node_modules/x": {"resolved": f"http://{host}/files/x-1.0.tar.gz"}}
            }
            body = json.dumps({"package_lock": json.dumps({"lockfileVersion": 3, **lock})}).encode()
            target = "/aimirror/api/prefetch"
            reply = client.request(service.port, target, fields, method="POST", body=body)
            ended = self.job(service, reply.json())
            self.assertEqual((ended["cached"], ended["failed"]), (1, 0), ended)

    def test_reload(self) -> None:
        """SIGHUP brings new rules while a connection lives on; a bad file changes nothing."""
        service = self.serving(self.rule(pattern="^/old"))
        self.origin.script({"/old": {"size": 10, "seed": 1}, "/new": {"size": 10, "seed": 1}})
        with socket.create_connection(("127.0.0.1", service.port), SOON) as held:
            request = b"GET /new HTTP/1.1\r\nHost: h\r\n\r\n"
            held.sendall(request)
            self.assertTrue(held.recv(65536).startswith(b"HTTP/1.1 404"))
            config = json.loads(service.config.read_text())
            config["rules"][0]["pattern"] = "^/new"
            service.config.write_text(json.dumps(config))
            os.kill(service.program.pid, signal.SIGHUP)
            self.soon(lambda: service.get("/new").status == 200)
            held.sendall(request)
            self.assertTrue(held.recv(65536).startswith(b"HTTP/1.1 200"))
        config["rules"][0]["concurrency"] = -3
        service.config.write_text(json.dumps(config))
        told = self.command(service, "reload", status=1)
        self.assertIn("rules[0].concurrency", told)
        os.kill(service.program.pid, signal.SIGHUP)
        self.soon(lambda: "the old configuration stays" in service.program.log_end())
        self.assertEqual(service.get("/new").status, 200)

    def test_stop(self) -> None:
        """Where they are given the time, running answers end before the service does."""
        service = self.serving(server={"limits": {"stop_time": 40}})
        path = self.serve(rate=300_000)
        running = InBackground(service.get, path)
        self.soon(lambda: service.get("/health").json()["active_downloads"])
        service.program.stop(limit=40)
        self.assertWhole(running.result())

    def test_access_log(self) -> None:
        """Answers go to a file of their own as JSON, which SIGUSR1 opens anew."""
        log = self.folder / "access.json"
        service = self.serving(logging={"access": "json", "access_file": str(log)})
        self.origin.script({"/a": {"size": 10, "seed": 1}})
        service.get("/a?signature=geheim", ("X-Request-Id", "mine"))
        line = self.soon(lambda: log.read_text())
        told = json.loads(line.splitlines()[0])
        self.assertEqual((told["rule"], told["cache"], told["id"]), ("files", "MISS", "mine"))
        self.assertNotIn("geheim", line)
        moved = log.rename(self.folder / "moved")
        os.kill(service.program.pid, signal.SIGUSR1)
        self.soon(log.exists)
        service.get("/a")
        self.soon(lambda: '"path": "/a"' in log.read_text())
        self.assertNotIn('"path": "/a"', moved.read_text())

    def test_commands(self) -> None:
        """The commands tell the same by the service and on the folder that it left."""
        service = self.serving()
        self.serve()
        service.get("/file.bin")
        self.settle(service)
        self.assertIn("1 entry", self.command(service, "status"))
        self.assertIn("/file.bin", self.command(service, "ls"))
        own = f"http://127.0.0.1:{service.port}/file.bin"
        self.assertIn("/file.bin", self.command(service, "ls", own))
        self.assertIn("1 entry pinned", self.command(service, "pin", own))
        self.assertIn("0 entries pinned", self.command(service, "pin", "/file.bin"))
        self.assertIn("1 file checked, 0 damaged", self.command(service, "verify"))
        self.assertIn("verify    done", self.command(service, "jobs"))
        told = self.command(service, "top")
        self.assertIn("1 entry", told)
        self.assertNotIn("\x1b", told)
        job = service.get("/aimirror/api/jobs").json()["jobs"][0]
        self.assertEqual((job["done"], job["total"]), (1, 1))
        self.assertEqual(job["bytes"], job["total_bytes"])
        self.assertGreater(job["bytes"], 0)
        service.program.stop()
        config = json.loads(service.config.read_text())
        config["server"]["port"] = service.port
        service.config.write_text(json.dumps(config))
        self.assertIn("not running", self.command(service, "status", url=False, status=3))
        listed = self.command(service, "ls", "--json", url=False)
        self.assertTrue(json.loads(listed)["pinned"])
        checked = self.command(service, "verify", url=False)
        self.assertIn("1 file checked, 0 damaged", checked)
        self.assertIn("0 entries", self.command(service, "purge", "--all", url=False, status=1))
        self.assertIn("1 entry purged", self.command(service, "purge", "/file.bin", url=False))

    def test_doctor(self) -> None:
        """A service that works is told to be well, one that is not there with what to do."""
        service = self.serving()
        said = self.command(service, "doctor", PATH="")
        for line in ("ok    service", "ok    upstream   1 of 1 upstream answers, directly"):
            self.assertIn(line, said)
        self.assertNotIn("FAIL", said)
        service.program.stop()
        said = self.command(service, "doctor", status=1, PATH="")
        self.assertIn("FAIL  service    nothing listens on", said)
        self.assertIn("-> start it", said)

    def test_interrupted(self) -> None:
        """Ctrl-c ends a command that waits for an upstream, or works on the folder, at once."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            rule = {"name": "f", "upstream": f"http://127.0.0.1:{silent.getsockname()[1]}"}
            file = self.folder / "silent.yaml"
            file.write_text(json.dumps({"rules": [rule], "cache": {"dir": str(self.folder / "c")}}))
            with subprocess.Popen(
                [sys.executable, "-m", "aimirror", "doctor", "--config", str(file)],
                env=own_environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as program:
                silent.settimeout(COMMAND_LIMIT)
                _asking = silent.accept()
                program.send_signal(signal.SIGINT)
                said = program.communicate(timeout=SOON)
            self.assertEqual((program.returncode, "Traceback" in said[1]), (130, False), said)

    def test_nothing_matched(self) -> None:
        """What matches nothing ends with 1, a rule that there is not with what was meant."""
        service = self.serving()
        for command in (["ls", "nothing"], ["purge", "/nothing"], ["pin", "/nothing"]):
            self.assertIn(
                "0 entries" if command[0] != "ls" else "", self.command(service, *command, status=1)
            )
        for command in (["ls"], ["purge"], ["pin"]):
            said = self.command(service, *command, "--rule", "file", status=1)
            self.assertIn("there is no rule 'file'; did you mean files?", said)

    def test_pipe(self) -> None:
        """Who has read enough of what a command says hears no complaint."""
        command = [sys.executable, "-m", "aimirror", "check", "--show"]
        with subprocess.Popen(
            command,
            env=own_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as program:
            assert program.stdout is not None and program.stderr is not None
            program.stdout.close()
            self.assertEqual(program.wait(COMMAND_LIMIT), 141)
            self.assertEqual(program.stderr.read(), b"")

    def test_users_and_networks(self) -> None:
        """Clients of a denied network are refused, and /health with them."""
        service = self.serving(server={"deny": ["127.0.0.0/8"]})
        self.assertEqual(service.get("/x").status, 403)
        self.assertEqual(service.get("/health").status, 403)
