"""What the module of the platform does on this system, and on those that lack what Linux has."""

from __future__ import annotations

import ast
import errno
import fcntl
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aimirror import platform

ROOT = Path(__file__).resolve().parent.parent

#: Names of the standard library that not every system has, or that mean different things there.
TOLD_APART = frozenset(
    {
        *("MSG_MORE", "MSG_NOSIGNAL", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "posix_fadvise"),
        *("posix_fallocate", "fdatasync", "sched_getaffinity", "epoll", "kqueue", "sendfile"),
        *("preadv", "pwritev", "copy_file_range", "memfd_create", "eventfd", "splice", "pipe2"),
        *("getrandom", "O_TMPFILE", "O_DIRECT", "SO_PEERCRED", "SO_REUSEPORT", "TCP_INFO"),
        *("TCP_CORK", "TCP_QUICKACK", "TCP_KEEPIDLE", "TCP_USER_TIMEOUT", "cpu_count"),
        *("F_FULLFSYNC", "prlimit", "pidfd_open", "setxattr", "getxattr", "SIGPOLL"),
    }
)


class AloneTests(SynchronousTestCase):
    def test_nobody_else_asks(self) -> None:
        """No other module of the product uses a name that depends on the system, or /proc."""
        faults = []
        for path in sorted((ROOT / "aimirror").rglob("*.py")):
            inside = path.relative_to(ROOT / "aimirror")
            if inside == Path("platform.py") or inside.parts[0] == "testing":
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Attribute) and node.attr in TOLD_APART:
                    base = ast.unparse(node.value)
                    if base not in ("platform", "aimirror.platform"):
                        faults.append(f"{inside}:{node.lineno}: {base}.{node.attr}")
                if isinstance(node, ast.Constant) and str(node.value).startswith("/proc/"):
                    faults.append(f"{inside}:{node.lineno}: {node.value}")
        self.assertEqual(faults, [])


class WindowsTests(SynchronousTestCase):
    def test_one_line(self) -> None:
        """On Windows each way to start ends with one line that says what to do instead."""
        for module in ("aimirror", "aimirror.tap"):
            code = (
                "import sys, runpy; sys.platform = 'win32'; sys.modules['fcntl'] = None;"
                f"runpy.run_module({module!r}, run_name='__main__')"
            )
            done = subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1))
            self.assertIn("WSL 2", done.stderr)


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, self.fd)

    def test_reserve(self) -> None:
        """A file gets its length, with room or without."""
        for number, allocate in enumerate((platform._allocate, None), 1):
            self.patch(platform, "_allocate", allocate)
            platform.reserve(self.fd, 1000 * number)
            self.assertEqual(self.path.stat().st_size, 1000 * number)

    def test_vectors(self) -> None:
        """A buffer is read into at an offset, with the system's call and without."""
        self.path.write_bytes(b"\0\0abc")
        for read in (platform.preadv, platform._read_into):
            buffer = bytearray(b"....")
            self.assertEqual(read(self.fd, [memoryview(buffer)], 3), 2)
            self.assertEqual(buffer, b"bc..")

    def test_memory_file(self) -> None:
        """Bytes without a name can be read from a descriptor, with memory files and without."""
        for make in (platform._memory_file, None):
            self.patch(platform, "_memory_file", make)
            fd = platform.memory_file(b"body")
            self.assertEqual((os.pread(fd, 9, 0), os.fstat(fd).st_nlink), (b"body", 0))
            os.close(fd)

    def test_read_in_order(self) -> None:
        """A hint changes nothing, where it can be given and where not."""
        platform.read_in_order(self.fd, 0, 10)
        self.patch(platform, "_advise", None)
        platform.read_in_order(self.fd, 0, 10)

    def test_full_sync(self) -> None:
        """Where fsync leaves bytes in the disk's memory, that is flushed; else fsync must do."""
        calls: list[object] = []
        self.patch(os, "fsync", calls.append)
        self.patch(fcntl, "fcntl", lambda *words: calls.append(words))
        vars(fcntl)["F_FULLFSYNC"] = 51
        self.addCleanup(vars(fcntl).pop, "F_FULLFSYNC")
        platform._full_sync(7)
        self.assertEqual(calls, [(7, 51)])

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOTSUP, "no")

        self.patch(fcntl, "fcntl", refuse)
        platform._full_sync(7)
        self.assertEqual(calls[1:], [7])


class SendFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"0123456789")
        self.file = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, self.file)
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.theirs.close)
        self.addCleanup(self.ours.close)

    def test_span(self) -> None:
        """No more than was asked for is sent, and nothing where nothing was asked for."""
        self.assertEqual(platform.send_file(self.ours.fileno(), self.file, 2, 3), 3)
        self.assertEqual(platform.send_file(self.ours.fileno(), self.file, 2, 0), 0)
        self.assertEqual(platform.send_file(self.ours.fileno(), self.file, 10, 5), 0)
        self.ours.close()
        self.assertEqual(self.theirs.recv(100), b"234")

    def test_full(self) -> None:
        """A socket that takes nothing now is BlockingIOError."""
        self.ours.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:
                platform.send_file(self.ours.fileno(), self.file, 0, 10)

    def test_gone(self) -> None:
        """A peer that has left is a ConnectionError on every system."""
        self.theirs.close()
        with self.assertRaises(ConnectionError):
            platform.send_file(self.ours.fileno(), self.file, 0, 10)

        def as_macos(*_: object) -> int:
            raise OSError(errno.ENOTCONN, "Socket is not connected")

        self.patch(os, "sendfile", as_macos)
        with self.assertRaises(ConnectionError):
            platform.send_file(self.ours.fileno(), self.file, 0, 10)


class ProcessTests(SynchronousTestCase):
    def test_port(self) -> None:
        """Who listens on a port is named, where that can be told: a program, without its words."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            owner = platform.port_owner(port)
        if Path("/proc/self").exists():
            self.assertRegex(owner, rf"^[\w.-]+ \(pid {os.getpid()}\)$")
        self.assertEqual(platform.port_owner(port), "")

    def test_port_by_lsof(self) -> None:
        """Where there is no /proc, lsof is asked; without it, nothing is told."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.patch(platform, "_TCP_TABLES", (folder / "none",))
        self.patch(os, "environ", {**os.environ, "PATH": str(folder)})
        self.assertEqual(platform.port_owner(8081), "")
        script = folder / "lsof"
        script.write_text(
            "#!/bin/sh\n[ \"$2\" = -iTCP:8081 ] && printf 'p12\\ncnginx\\nf6\\n' || exit 1\n"
        )
        script.chmod(0o755)
        self.assertEqual(platform.port_owner(8081), "nginx (pid 12)")
        self.assertEqual(platform.port_owner(8082), "")

    def test_program(self) -> None:
        """A program in Python has the name of its module or file."""
        folder = Path(self.mktemp())
        folder.mkdir()
        for words, name in (
            ("/usr/sbin/nginx\0-g\0secret\0", "nginx"),
            ("/x/bin/python3\0/x/bin/aimirror\0--config\0c\0", "aimirror"),
            ("python\0-m\0aimirror\0", "aimirror"),
            ("python\0", "python"),
        ):
            (folder / "cmdline").write_text(words)
            self.assertEqual(platform._program(folder), name)

    def test_cores(self) -> None:
        """There is at least one."""
        self.assertGreaterEqual(platform.usable_cores(), 1)

    def test_boot(self) -> None:
        """Where the kernel tells no boot, there is none, and notes count for nothing."""
        self.patch(platform, "_BOOT_FILE", Path(self.mktemp()))
        self.patch(platform, "_BOOT_SYSCTL", b"no.such.name")
        platform.boot_id.cache_clear()
        self.addCleanup(platform.boot_id.cache_clear)
        self.assertEqual(platform.boot_id(), "")

    def test_environment(self) -> None:
        """Where the first environment can't be told, it is today's."""
        self.patch(platform, "_ENVIRONMENT", Path(self.mktemp()))
        self.assertIs(platform.first_environment(), os.environ)

    def limits(self, soft: int, hard: int, most: int = 1 << 40) -> list[int]:
        """What is set where so much is allowed now and at most."""
        asked: list[int] = []

        def change(_: int, limits: tuple[int, int]) -> None:
            if limits[0] > most:
                raise ValueError("not allowed")
            asked.append(limits[0])

        self.patch(resource, "getrlimit", lambda _: (soft, hard))
        self.patch(resource, "setrlimit", change)
        platform.allow_files()
        return asked

    def test_files(self) -> None:
        """The limit of open files is raised as far as allowed, and never lowered."""
        endless = resource.RLIM_INFINITY
        self.assertEqual(self.limits(1024, 524288), [65536])
        self.assertEqual(self.limits(1024, 4096), [4096])
        self.assertEqual(self.limits(100_000, 524288), [])
        self.assertEqual(self.limits(endless, endless), [])
        self.assertEqual(self.limits(256, endless, most=10240), [10240])

    def test_trust(self) -> None:
        """The system's certificates are named where OpenSSL finds none, and the user named none."""
        there, other = Path(self.mktemp()).absolute(), Path(self.mktemp()).absolute()
        self.patch(platform, "_TRUST_FOUND", (str(there),))
        self.patch(platform, "_TRUST_OTHER", str(other))

        def found(environ: dict[str, str]) -> dict[str, str]:
            platform.find_trust(environ)
            return environ

        self.assertEqual(found({}), {})
        other.write_text("")
        self.assertEqual(found({}), {"SSL_CERT_FILE": str(other)})
        self.assertEqual(found({"SSL_CERT_DIR": "d"}), {"SSL_CERT_DIR": "d"})
        there.write_text("")
        self.assertEqual(found({}), {})
