"""The ways to start the service, and the ways not to."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SkipTest

from aimirror.testing import client
from aimirror.testing.processes import READY, Program, own_environment
from tests.e2e.support import EndToEndTests

ROOT = Path(__file__).resolve().parent.parent.parent

#: Seconds for a command that ends by itself.
COMMAND_LIMIT = 50

#: The console script of twistd, wherever Twisted is installed.
TWISTD = "from twisted.scripts.twistd import run; run()"


class ConfigTests(EndToEndTests):
    def command(self, config: object, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``aimirror ARGUMENTS FILE`` with a configuration."""
        file = self.folder / "mistake.yaml"
        file.write_text(json.dumps(config), "utf-8")
        return subprocess.run(
            [sys.executable, "-m", "aimirror", *arguments, str(file)],
            env=own_environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
        )

    def test_mistake_is_one_line(self) -> None:
        """A mistake ends the start and the check with one line that names file, key and value."""
        config = {"rules": [self.rule(concurrency=-3)], "cache": {"dir": str(self.folder / "c")}}
        for arguments in (["--config"], ["check"]):
            ended = self.command(config, *arguments)
            self.assertNotEqual(ended.returncode, 0, arguments)
            lines = (ended.stdout + ended.stderr).strip().splitlines()
            self.assertEqual(len(lines), 1, lines)
            for word in ("mistake.yaml", "rules[0].concurrency", "-3"):
                self.assertIn(word, lines[0])

    def test_mistakes_in_files(self) -> None:
        """Files that the configuration names are looked at as well, and the key is told."""
        missing, folder = str(self.folder / "missing"), str(self.folder)
        (self.folder / "broken.py").write_text("def (", "utf-8")
        for key, sections in {
            "server.tls": {"server": {"tls": {"cert": missing, "key": missing}}},
            "server.users": {"server": {"users": missing}},
            "forward.users": {"forward": {"users": missing}},
            "forward.ca_dir": {"forward": {"intercept": True, "ca_dir": missing}},
            "logging.file": {"logging": {"file": folder}},
            "logging.access_file": {"logging": {"access_file": folder}},
            "handler": {"rules": [self.rule(handler="nothing")]},
            "broken.py": {"rules": [self.rule(handler="broken")]},
        }.items():
            config = {"rules": [self.rule()], "cache": {"dir": str(self.folder / "c")}, **sections}
            for arguments in (["check"], ["--config"]):
                ended = self.command(config, *arguments)
                self.assertNotEqual(ended.returncode, 0, key)
                lines = (ended.stdout + ended.stderr).strip().splitlines()
                self.assertEqual(len(lines), 1, lines)
                self.assertIn(key, lines[0])

    def test_check_of_a_good_file(self) -> None:
        """``aimirror check`` of a right file ends with status 0 and starts nothing."""
        config = {"rules": [self.rule()], "cache": {"dir": str(self.folder / "c")}}
        self.assertEqual(self.command(config, "check").returncode, 0)
        self.assertFalse((self.folder / "c").exists())

    def test_cache_in_use(self) -> None:
        """A cache folder that another service has ends the start with one line that names it."""
        service = self.start()
        cache = json.loads(service.config.read_text())["cache"]["dir"]
        server = {"host": "127.0.0.1", "port": 0, "workers": 2}
        config = {"server": server, "rules": [self.rule()], "cache": {"dir": cache}}
        ended = self.command(config, "--config")
        self.assertEqual(ended.returncode, 1)
        told = f"aimirror: cache folder {cache} is in use by process {service.program.pid}\n"
        self.assertTrue(ended.stderr.endswith(told), ended.stderr)
        self.assertNotIn("Traceback", ended.stderr)

    def test_port_in_use(self) -> None:
        """A port that is taken ends the start with one line that names it and who has it."""
        config = {
            "server": {"host": "127.0.0.1", "port": self.origin.port},
            "rules": [self.rule()],
            "cache": {"dir": str(self.folder / "c")},
        }
        ended = self.command(config, "--config")
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        told = f"aimirror: cannot listen on 127.0.0.1:{self.origin.port}: Address already in use: "
        self.assertTrue(ended.stderr.startswith(told), ended.stderr)
        self.assertIn(f"(pid {self.origin.program.pid}) does; --port takes", ended.stderr)
        self.assertEqual(ended.stderr.count("\n"), 1)


class StartTests(EndToEndTests):
    def check_running(self, program: Program, path: str) -> None:
        """Ready, serves, and ends."""
        self.addCleanup(program.kill)
        port = int(program.wait_for(READY)[1])
        self.assertWhole(client.request(port, path))
        program.stop()

    def config(self) -> Path:
        """A configuration file for the origin."""
        file = self.folder / "aimirror.yaml"
        told = {
            "server": {"host": "127.0.0.1", "port": 0, "workers": 2},
            "cache": {"dir": str(self.folder / "cache")},
            "rules": [self.rule()],
        }
        file.write_text(json.dumps(told), "utf-8")
        return file

    def test_interrupted_twice(self) -> None:
        """Ctrl-c that is pressed again while it stops is no fault that the log tells of."""
        config = self.folder / "twice.yaml"
        config.write_text(json.dumps({"rules": [self.rule()], "server": {"port": 0}}), "utf-8")
        line = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        code = f"{line}; from aimirror.cli import main; raise SystemExit(main())"
        command = [sys.executable, "-c", code, "--config", str(config)]
        program = Program(command, self.folder / "twice.log")
        self.addCleanup(program.kill)
        program.wait_for(READY)
        for _ in range(3):
            os.kill(program.pid, signal.SIGINT)
            time.sleep(0.02)
        # one that comes when all is over ends Python itself
        self.assertIn(program.process.wait(COMMAND_LIMIT), (0, 130, -signal.SIGINT))
        self.assertNotIn("ReactorNotRunning", program.log_end())

    def test_main_py(self) -> None:
        """``python main.py`` in a clone is the same service."""
        path = self.serve()
        command = [sys.executable, str(ROOT / "main.py"), "--config", str(self.config())]
        self.check_running(Program(command, self.folder / "main.log", folder=self.folder), path)

    def test_twistd(self) -> None:
        """``twistd aimirror`` is the same service."""
        path, file = self.serve(), str(self.config())
        twistd = [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "aimirror", "--config", file]
        self.check_running(Program(twistd, self.folder / "twistd.log", folder=self.folder), path)

    def twistd(self, *options: str, **logging: str) -> Program:
        """``twistd aimirror`` in the foreground, ready."""
        file = self.config()
        told = {**json.loads(file.read_text()), "logging": logging}
        file.write_text(json.dumps(told))
        command = [sys.executable, "-c", TWISTD, "-n", "--pidfile=", *options, "aimirror"]
        command += ["--config", str(file)]
        program = Program(command, self.folder / "twistd.out", folder=self.folder)
        self.addCleanup(program.kill)
        return program

    def daemon(self, port: int) -> subprocess.CompletedProcess[str]:
        """``twistd aimirror`` as a daemon, when it has started or failed to."""
        command = [sys.executable, "-c", TWISTD, "--pidfile=pid", "--logfile=own.log", "aimirror"]
        return subprocess.run(
            [*command, "--config", str(self.config()), f"--port={port}"],
            env=own_environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
        )

    def test_twistd_daemon(self) -> None:
        """As a daemon it serves, and ends when whom its pidfile names is told to."""
        path = self.serve()
        started = self.daemon(0)
        self.assertEqual(started.returncode, 0, started.stderr)
        pid = int((self.folder / "pid").read_text())
        self.addCleanup(self.killed, pid)
        log = self.folder / "own.log"
        self.soon(lambda: log.exists() and READY.search(log.read_text()) is not None)
        found = READY.search(log.read_text())
        assert found is not None
        self.assertWhole(client.request(int(found[1]), path))
        os.kill(pid, signal.SIGTERM)
        self.soon(lambda: not (self.folder / "pid").exists())
        self.assertIn(f'"GET {path} HTTP/1.1" 200', log.read_text())

    def killed(self, pid: int) -> None:
        """What a failed test left behind."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def test_twistd_port_in_use(self) -> None:
        """Who starts a daemon is told that its port is taken, and so is who watches the log."""
        ended = self.daemon(self.origin.port)
        told = f"cannot listen on 127.0.0.1:{self.origin.port}"
        self.assertEqual(ended.returncode, 1)
        self.assertIn(told, ended.stderr)
        self.soon(lambda: not (self.folder / "pid").exists())
        log = self.folder / "foreground.log"
        file = str(self.config())
        command = [sys.executable, "-c", TWISTD, "-n", "--pidfile=pid", f"--logfile={log}"]
        ended = subprocess.run(
            [*command, "aimirror", "--config", file, f"--port={self.origin.port}"],
            env=own_environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
        )
        self.assertEqual(ended.returncode, 1)
        self.assertIn(f"aimirror: {told}: Address already in use", log.read_text())
        self.assertNotIn("Traceback", log.read_text() + ended.stderr)
        self.assertFalse((self.folder / "pid").exists())

    def test_twistd_log_in_the_way(self) -> None:
        """A log file that can't be opened ends twistd with one line, and status 1."""
        program = self.twistd(f"--logfile={self.folder / 'own.log'}", file=str(self.folder))
        self.assertEqual(program.process.wait(COMMAND_LIMIT), 1)
        said = program.log_end()
        self.assertIn(f"logging.file: {str(self.folder)!r}: it is a folder", said)
        self.assertNotIn("Traceback", said)

    def soon(self, seen: Callable[[], bool]) -> None:
        """Wait until something is seen."""
        until = time.monotonic() + COMMAND_LIMIT
        while not seen():
            self.assertLess(time.monotonic(), until, "not soon enough")
            time.sleep(0.05)

    def logged(self, log: Path, path: str) -> str:
        """What a log file holds as soon as it tells of an answer."""
        self.soon(lambda: log.exists() and path in log.read_text())
        return log.read_text()

    def test_twistd_tells_of_answers(self) -> None:
        """Without files of its own, twistd's log has the answers beside the events."""
        path = self.serve()
        own = self.folder / "own.log"
        self.twistd(f"--logfile={own}")
        found = READY.search(self.logged(own, "aimirror listens on"))
        assert found is not None
        client.request(int(found[1]), path)
        log = self.logged(own, f'"GET {path} HTTP/1.1" 200')
        self.assertIn("[aimirror.access#info] 127.0.0.1", log)

    def test_twistd_log_files(self) -> None:
        """With them, events and answers are there, the last answers too, and SIGUSR1 opens anew."""
        path = self.serve()
        events, answers, own = (self.folder / name for name in ("events", "answers", "own.log"))
        program = self.twistd(
            f"--logfile={own}", file=str(events), access="json", access_file=str(answers)
        )
        found = READY.search(self.logged(events, "aimirror listens on"))
        assert found is not None
        port = int(found[1])
        client.request(port, path)
        self.logged(answers, path)
        moved = answers.rename(self.folder / "moved")
        os.kill(program.pid, signal.SIGUSR1)
        self.logged(answers, "")
        client.request(port, "/last")
        program.stop()
        self.assertIn("/last", answers.read_text())
        self.assertNotIn("/last", moved.read_text())
        self.assertTrue((self.folder / "own.log.1").exists(), "twistd rotates its own")

    def test_wheel(self) -> None:
        """The wheel holds all that the service needs: it starts where there is no source tree."""
        wheel = self.build_wheel()
        names = zipfile.ZipFile(wheel).namelist()
        self.assertIn("twisted/plugins/aimirror_plugin.py", names)
        self.assertIn("aimirror/default.yaml", names)
        self.assertIn("aimirror/shipped/aimirror.service", names)
        self.assertTrue(any(name.endswith("share/man/man1/aimirror.1") for name in names), names)
        self.assertNotIn("twisted/__init__.py", names)
        self.assertNotIn("twisted/plugins/__init__.py", names)
        self.assertEqual([name for name in names if name.startswith(("tests", "bench"))], [])
        python = self.install(wheel)
        environment = {**os.environ, "HOME": str(self.folder)}
        environment.pop("PYTHONPATH", None)
        commands = (
            [str(python.with_name("aimirror")), "--host=127.0.0.1", "--port=0"],
            [str(python.with_name("aimirror")), "--config", str(self.config())],
            [
                str(python),
                "-c",
                TWISTD,
                "-n",
                "--pidfile=",
                "aimirror",
                "--config",
                str(self.config()),
            ],
        )
        for number, command in enumerate(commands):
            log = self.folder / f"installed{number}.log"
            program = Program(command, log, environment, self.folder)
            self.addCleanup(program.kill)
            port = int(program.wait_for(READY)[1])
            self.assertEqual(client.request(port, "/health").json()["status"], "ok")
            program.stop()

    def build_wheel(self) -> Path:
        """A wheel from a copy of the tree, so that the tree stays clean."""
        tree = self.folder / "tree"
        unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "dropin.cache")
        for name in ("aimirror", "twisted"):
            shutil.copytree(ROOT / name, tree / name, ignore=unwanted)
        for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, tree / name)
        self.pip(
            "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={self.folder}", str(tree)
        )
        return next(self.folder.glob("*.whl"))

    def install(self, wheel: Path) -> Path:
        """A fresh environment with the wheel, which borrows our dependencies; its python."""
        place = self.folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        python = place / "bin" / "python"
        self.pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
        # A line in a .pth file adds a folder; that one's own .pth files are not read.
        packages = next(place.glob("lib/python*/site-packages"))
        borrowed = [path for path in sys.path if path.endswith("site-packages")]
        (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n", "utf-8")
        return python

    def pip(self, *arguments: str) -> None:
        """Run our pip."""
        ended = subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
        )
        if "No module named pip" in ended.stderr:
            raise SkipTest("pip is not installed")
        self.assertEqual(ended.returncode, 0, ended.stderr)
