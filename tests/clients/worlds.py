"""What tests of real package clients share: an upstream, the service, a command with a limit."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from aimirror.testing.processes import ServiceProgram
from aimirror.testing.site import Site

ROOT = Path(__file__).resolve().parent.parent.parent
#: Seconds for one test and for one command, whatever hangs.
LIMIT = 100
COMMAND_LIMIT = 60


#: Where the clients' own environments are; tests/clients/install.py fills it.
CLIENTS = Path(os.environ.get("AIMIRROR_TEST_CLIENTS") or ROOT / ".venv-clients")


def find_client(name: str, venv: str = "") -> str:
    """A client program on PATH, or one of a client environment; SkipTest when there is none.

    A client of an environment is never another one of the same name on PATH: that has another
    version, or is Python without the library that is tested.
    """
    if venv:
        path = [CLIENTS / venv / "bin", CLIENTS / venv / "node_modules" / ".bin"]
    else:
        path = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
        # Debian has servers in sbin, which is not on every user's PATH.
        path += [folder.with_name("sbin") for folder in path if folder.name == "bin"]
    program = shutil.which(name, path=os.pathsep.join(map(str, path)) or "/nowhere")
    if program is None:
        where = f" in {CLIENTS.name}/{venv}" if venv else ""
        raise SkipTest(f"{name} is not installed{where} (see tests/clients/README.md)")
    return program


def find_python(venv: str) -> str:
    """The Python of a client environment; SkipTest when there is none."""
    return find_client("python", venv)


class WorldTests(SynchronousTestCase):
    """One upstream and one service per test."""

    def setUp(self) -> None:
        def too_long(*_: object) -> None:
            raise TimeoutError(f"not over after {LIMIT} s")

        previous = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(LIMIT)
        self.addCleanup(signal.signal, signal.SIGALRM, previous)
        self.addCleanup(signal.alarm, 0)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.upstream = Site()
        self.upstream.start()
        self.addCleanup(self.upstream.stop)

    def start(self, *rules: Mapping[str, Any]) -> ServiceProgram:
        """The service with these rules."""
        service = ServiceProgram(self.folder, rules)
        self.addCleanup(service.program.kill)
        self.service = service
        self.mirror = f"http://127.0.0.1:{service.port}"
        return service

    def fresh(self, name: str) -> Path:
        """A new folder."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        return folder

    def run_client(
        self, command: Sequence[str], cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, output captured; no proxy of this machine is used.

        A program that is missing skips the test.
        """
        program = command[0] if "/" in command[0] else find_client(command[0])
        kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        return subprocess.run(
            [program, *command[1:]],
            cwd=cwd or self.folder,
            env={**kept, "HOME": str(self.folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=COMMAND_LIMIT,
            check=False,
        )

    def assertRuns(
        self, command: Sequence[str], cwd: Path | None = None, **environment: str
    ) -> str:
        """The output of a command that succeeds."""
        done = self.run_client(command, cwd, **environment)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        return done.stdout

    def assertFails(
        self, command: Sequence[str], cwd: Path | None = None, **environment: str
    ) -> str:
        """The output of a command that does not succeed."""
        done = self.run_client(command, cwd, **environment)
        self.assertNotEqual(done.returncode, 0, done.stdout[-3000:])
        return done.stdout

    def settle(self) -> None:
        """Wait until no download runs: the last byte is sent before a file is put away."""
        while self.service.get("/health").json()["active_downloads"]:
            time.sleep(0.02)

    def purge(self, *words: str) -> None:
        """``aimirror purge``, once everything that was fetched is stored."""
        self.settle()
        command = [sys.executable, "-m", "aimirror", "purge"]
        link = ["--config", str(self.service.config), "--url", self.mirror]
        self.assertRuns([*command, *link, *words], PYTHONPATH=str(ROOT))

    def assertNotKept(self, content: bytes) -> None:
        """No blob of the cache is this content."""
        self.settle()
        name = hashlib.sha256(content).hexdigest()
        self.assertEqual([p for p in self._stored() if p.name == name], [])

    def assertKept(self, content: bytes) -> None:
        """A blob of the cache is this content."""
        self.settle()
        name = hashlib.sha256(content).hexdigest()
        self.assertEqual([p.name for p in self._stored() if p.name == name], [name])

    def _stored(self) -> Iterator[Path]:
        """Files of the cache, and those that would be there for bodies that need none."""
        cache = self.service.cache
        yield from (p for p in cache.rglob("*") if p.is_file())
        with closing(sqlite3.connect(f"file:{cache / 'packed.sqlite3'}?mode=ro", uri=True)) as rows:
            for (name,) in rows.execute("SELECT sha256 FROM bodies"):
                yield cache / "blobs" / name[:2] / name
