"""What passes between the service and a service manager."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from aimirror.service.systemd import notify, take_socket, watchdog_seconds

#: Takes the socket that a manager passed, after Twisted has had a look at it.
_ACTIVATED = """
import os
import twisted.internet.endpoints
from aimirror.service.systemd import take_socket
taken = take_socket()
assert taken.getsockname()[0] == "127.0.0.1", taken
assert not os.get_inheritable(3)
assert take_socket() is None
"""
#: Listens, puts the socket where a manager would, and becomes that program.
_MANAGER = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", 0))
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)  # it may have been 3 before
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


#: Exposure that ``systemd-analyze security`` may find at most (0 is best, 10 worst).
_EXPOSURE = 1.5


class UnitTests(SynchronousTestCase):
    """The unit files that are shipped."""

    folder = Path(__file__).resolve().parent.parent.parent / "systemd"

    def analyze(self, *arguments: str) -> str:
        """What systemd-analyze says; it has to be satisfied."""
        program = shutil.which("systemd-analyze")
        if program is None:
            raise SkipTest("systemd-analyze is not installed")
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def test_right(self) -> None:
        """systemd has nothing to say against them."""
        files = [str(path) for path in sorted(self.folder.iterdir())]
        self.assertEqual(len(files), 2)
        self.assertEqual(self.analyze("verify", *files), "")

    def test_exposure(self) -> None:
        """The service is shut in as far as it was once."""
        told = self.analyze("security", "--offline=true", str(self.folder / "aimirror.service"))
        found = re.search(r"exposure level for aimirror.service: ([0-9.]+)", told)
        assert found is not None, told
        self.assertLessEqual(float(found[1]), _EXPOSURE)

    def test_tls_needs_memory(self) -> None:
        """TLS works: cffi's callbacks need what MemoryDenyWriteExecute would forbid."""
        unit = (self.folder / "aimirror.service").read_text()
        self.assertIn("\nMemoryDenyWriteExecute=no\n", unit)


class SystemdTests(SynchronousTestCase):
    def test_notify(self) -> None:
        """A state reaches the manager's socket; without one, or a deaf one, nothing happens."""
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "notify")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.bind(path)
                notify("READY=1", {"NOTIFY_SOCKET": path})
                self.assertEqual(manager.recv(100), b"READY=1")
            notify("READY=1", {"NOTIFY_SOCKET": path})
        notify("READY=1", {})

    def test_watchdog(self) -> None:
        """Half of the interval, for this process only."""
        self.assertEqual(watchdog_seconds({"WATCHDOG_USEC": "30000000"}), 15.0)
        other = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}
        self.assertIsNone(watchdog_seconds(other))
        self.assertIsNone(watchdog_seconds({}))

    def test_foreign_socket(self) -> None:
        """A socket that was passed to another process is left alone."""
        self.assertIsNone(take_socket({"LISTEN_PID": "1", "LISTEN_FDS": "1"}))
        self.assertIsNone(take_socket({}))

    def test_socket(self) -> None:
        """A passed socket is taken once, and children don't see it."""
        path = os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))
        done = subprocess.run(
            [sys.executable, "-c", _MANAGER, _ACTIVATED],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            timeout=30,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr.decode())
