"""The service under a service manager: its socket, and what it is told."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from aimirror.testing import client
from aimirror.testing.processes import READY, Program, own_environment
from tests.e2e.support import EndToEndTests, InBackground

#: Puts the socket with this number where a manager would, and becomes the service.
_ACTIVATE = """
import os, sys
number, *command = sys.argv[1:]
os.dup2(int(number), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(command[0], command)
"""
#: Seconds for what the manager is told.
SOON = 30


class ManagedTests(EndToEndTests):
    def test_managed(self) -> None:
        """A client of the manager's socket waits for the start; readiness and end are told."""
        path = self.serve()
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        port = listening.getsockname()[1]
        early = InBackground(client.request, port, path)
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.settimeout(SOON)
        # A socket's name may have 107 bytes, which a folder of tests exceeds.
        name = f"@aimirror-test-{os.getpid()}"
        manager.bind("\0" + name[1:])
        program = self.managed(listening, NOTIFY_SOCKET=name, WATCHDOG_USEC="1000000")
        self.assertEqual(manager.recv(100), b"READY=1")
        self.assertEqual(int(program.wait_for(READY)[1]), port)
        self.assertWhole(early.result())
        self.assertEqual([manager.recv(100) for _ in range(3)], [b"WATCHDOG=1"] * 3)
        os.kill(program.pid, signal.SIGTERM)
        while (told := manager.recv(100)) == b"WATCHDOG=1":
            pass
        self.assertEqual(told, b"STOPPING=1")
        self.assertEqual(program.process.wait(SOON), 0)
        self.assertTrue((self.folder / "cache" / "blobs").is_dir())

    def managed(self, listening: socket.socket, **environment: str) -> Program:
        """The service with the manager's socket; the configuration's own port is taken."""
        file = self.folder / "aimirror.yaml"
        file.write_text(
            f"server: {{host: 127.0.0.1, port: {self.origin.port}, workers: 2}}\n"
            f"cache: {{dir: ''}}\n"
            f"rules: [{{name: r, upstream: '{self.origin.url}', strategy: parallel}}]\n"
        )
        fd = listening.fileno()
        # Program passes nothing on but standard streams: the socket goes as standard input.
        log = self.folder / "managed.log"
        command = [sys.executable, "-c", _ACTIVATE, "0", sys.executable, "-m", "aimirror"]
        program = Program(
            [*command, "--config", str(file)],
            log,
            {**own_environment(), "CACHE_DIRECTORY": str(self.folder / "cache"), **environment},
            Path(self.folder),
            stdin=fd,
        )
        self.addCleanup(program.kill)
        return program
