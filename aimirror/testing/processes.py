"""Starts the real service, an origin or a relay as processes, and leaves none behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from aimirror.testing import client
from aimirror.testing.behaviour import Count

#: Seconds a program has to say that it is ready, and to end once asked.
START_LIMIT = 30.0
STOP_LIMIT = 10.0

#: Bytes of a program's error output that a failure quotes.
_QUOTED = 4000

#: The line that says where the service listens.
READY = re.compile(r"listens on https?://[^\s/]*:(\d+)/")
_LISTENING = re.compile(r"^listening ([\d ]+)$", re.MULTILINE)


def own_environment() -> dict[str, str]:
    """Our environment, in which a Python finds the same aimirror that runs here first."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    path = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}


class ProgramFailed(Exception):
    """A program did not start, or did not end, as it should."""


@frozen
class Stat:
    """What the system says of a process."""

    pid: int
    parent: int
    session: int
    state: str
    #: Seconds of CPU time, user and system.
    cpu: float


def stats() -> Iterator[Stat]:
    """Every process of this machine."""
    return _of_proc() if Path("/proc/self/stat").exists() else _of_ps()


def _of_proc() -> Iterator[Stat]:
    ticks = os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text("latin-1").rpartition(")")[2].split()
            cpu = (int(fields[11]) + int(fields[12])) / ticks
            yield Stat(int(entry.name), int(fields[1]), int(fields[3]), fields[0], cpu)


#: What macOS and the BSDs have in place of /proc; their ``sess`` is no process's id.
_PS = ("ps", "-A", "-o", "pid=,ppid=,stat=,time=")


def _of_ps() -> Iterator[Stat]:
    table = subprocess.run(_PS, capture_output=True, text=True, check=True).stdout
    for pid, parent, state, cpu in map(str.split, table.splitlines()):
        with contextlib.suppress(OSError):  # it has ended since
            yield Stat(int(pid), int(parent), os.getsid(int(pid)), state[0], cpu_seconds(cpu))


def cpu_seconds(text: str) -> float:
    """The seconds that ps writes as ``1:02.03`` or ``1-02:03:04``."""
    days, _, rest = text.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds + 86_400 * int(days or 0)


def family(pid: int) -> list[Stat]:
    """The living processes of the session that ``pid`` leads, itself first where it lives."""
    members = [s for s in stats() if s.session == pid and s.state not in "ZX"]
    return sorted(members, key=lambda stat: (stat.pid != pid, stat.pid))


class Program:
    """A process in a session of its own, so that all its descendants can be found."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                arguments,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=own_environment() if environment is None else dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        self.pid = self.process.pid

    def wait_for(self, line: re.Pattern[str], limit: float | None = None) -> re.Match[str]:
        """The first match in what it prints; ProgramFailed when it ends or takes too long."""
        output = self.process.stdout
        assert output is not None
        printed = ""
        deadline = time.monotonic() + (START_LIMIT if limit is None else limit)
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                data = os.read(output.fileno(), 1 << 16)
                printed += data.decode("utf-8", "replace")
                match = line.search(printed)
                if match is not None:
                    return match
                if not data:
                    break
        self.kill()
        raise ProgramFailed(f"not ready: {printed!r}; its log ends:\n{self.log_end()}")

    def log_end(self) -> str:
        """The end of its error output."""
        return self.log.read_text("utf-8", "replace")[-_QUOTED:]

    def family(self) -> list[Stat]:
        """Its living processes, itself first."""
        return family(self.pid)

    def children(self) -> list[int]:
        """The ids of its living descendants."""
        return [stat.pid for stat in self.family() if stat.pid != self.pid]

    def stop(self, limit: float = STOP_LIMIT) -> float:
        """SIGTERM; the seconds until all its processes were gone, else ProgramFailed."""
        began = time.monotonic()
        self.process.terminate()
        try:
            self.process.wait(limit)
            while self.family():
                if time.monotonic() - began > limit:
                    raise ProgramFailed(f"left behind {limit} s after SIGTERM: {self.family()}")
                time.sleep(0.02)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"alive {limit} s after SIGTERM:\n{self.log_end()}") from None
        finally:
            self.kill()
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL to every process of it; returns when they are gone."""
        for stat in self.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(stat.pid, signal.SIGKILL)
        self.process.wait()
        while self.family():
            time.sleep(0.01)
        if self.process.stdout is not None:
            self.process.stdout.close()


class OriginProgram:
    """``python -m aimirror.testing.origin`` on one or more ports."""

    def __init__(self, log: Path, ports: int = 1, arguments: Sequence[str] = ()) -> None:
        command = [sys.executable, "-m", "aimirror.testing.origin", *["--port", "0"] * ports]
        self.program = Program([*command, *arguments], log)
        self.ports = [int(p) for p in self.program.wait_for(_LISTENING)[1].split()]
        self.port = self.ports[0]
        self.url = f"http://127.0.0.1:{self.port}"

    def script(self, scripts: Mapping[str, Mapping[str, Any]]) -> None:
        """Serve these paths (see ``behaviour.scripted``), with fresh counts."""
        body = json.dumps(scripts).encode()
        reply = client.request(self.port, "/_origin/script", method="POST", body=body)
        if reply.status != 200:
            raise ValueError(f"the origin refused the script: {reply.status}")

    def count(self, path: str) -> Count:
        """What was asked of a path."""
        counts = client.request(self.port, "/_origin/counts").json()
        return Count(**counts.get(path, {}))

    def authorizations(self) -> list[str]:
        """The Authorization of each of the last requests, "" for none."""
        values = client.request(self.port, "/_origin/authorizations").json()
        return list(values["authorizations"])


class RelayProgram:
    """``python -m aimirror.testing.relay``; ``network`` are the fields of ``relay.Network``."""

    def __init__(self, log: Path, to: int, **network: float) -> None:
        options = [f"--{name.replace('_', '-')}={value}" for name, value in network.items()]
        command = [sys.executable, "-m", "aimirror.testing.relay", f"--to={to}", *options]
        self.program = Program(command, log)
        ports = self.program.wait_for(_LISTENING)[1].split()
        self.port, self._status = int(ports[0]), int(ports[1])

    def passed(self, restart: bool = False) -> dict[str, int]:
        """Connections, and bytes to clients since the last restart; may start anew."""
        with socket.create_connection(("127.0.0.1", self._status), client.SILENCE) as sock:
            sock.sendall(b"restart\n" if restart else b"count\n")
            counts: dict[str, int] = json.loads(sock.makefile().readline())
            return counts


class ServiceProgram:
    """The real service with a configuration and a cache of its own below ``folder``.

    ``rules`` and the other keys are those of the configuration file.  The cache outlives the
    program: start another one on the same folder to restart.
    """

    def __init__(
        self,
        folder: Path,
        rules: Sequence[Mapping[str, Any]],
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        server: Mapping[str, Any] | None = None,
        **sections: Any,
    ) -> None:
        config = {
            "server": {"host": "127.0.0.1", "port": 0, "workers": 2, **(server or {})},
            "cache": {"dir": str(folder / "cache")},
            "rules": list(rules),
            **sections,
        }
        self.config = folder / "aimirror.yaml"
        # JSON is YAML too.
        self.config.write_text(json.dumps(config, indent=1), "utf-8")
        self.cache = folder / "cache"
        command = [python, "-m", "aimirror", "--config", str(self.config)]
        self.program = Program(command, folder / "service.log", environment)
        self.port = int(self.program.wait_for(READY)[1])

    def wait_for_workers(self) -> None:
        """Until all worker processes are up, which the first requests do not wait for."""
        deadline = time.monotonic() + START_LIMIT
        while any(worker["state"] != "ready" for worker in self.get("/stats").json()["workers"]):
            if time.monotonic() > deadline:
                raise ProgramFailed(f"workers are not up:\n{self.program.log_end()}")
            time.sleep(0.02)

    def get(self, target: str, *headers: tuple[str, str], method: str = "GET") -> client.Reply:
        """One request."""
        return client.request(self.port, target, headers, method=method)
