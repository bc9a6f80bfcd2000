"""What differs between Linux, macOS and the BSDs: chosen here, once, and nowhere else.

Each name works on all of them; where a system lacks something, it does what comes nearest.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import select
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import cache
from pathlib import Path

#: A hint that more bytes follow at once, so that a head leaves in one segment with them.
MSG_MORE: int = getattr(socket, "MSG_MORE", 0)

#: Where Linux tells which boot this is, and macOS.
_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")
_BOOT_SYSCTL = b"kern.bootsessionuuid"
#: Where Linux keeps the environment with which this process began.
_ENVIRONMENT = Path("/proc/self/environ")
#: Where Linux keeps what it knows of processes and their sockets, and the code of one that listens.
_PROCESSES = Path("/proc")
_TCP_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTEN = "0A"

_allocate: Callable[[int, int, int], None] | None = getattr(os, "posix_fallocate", None)
#: What a file system says that can't reserve room.
_NO_ALLOCATE = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_advise: Callable[[int, int, int, int], None] | None = getattr(os, "posix_fadvise", None)
_memory_file: Callable[[str], int] | None = getattr(os, "memfd_create", None)
_SEQUENTIAL: int = getattr(os, "POSIX_FADV_SEQUENTIAL", 0)

#: Open files that are asked for: some systems begin with 256, which 100 clients can use up.
#: macOS allows a process 10,240 and refuses to be asked for more.
FILES_WANTED = (65536, 10240)

#: Certificates of the system: those that OpenSSL or pyOpenSSL finds by itself, and what macOS and
#: the BSDs have, which only an OpenSSL of their own looks at.
_TRUST_FOUND = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/opt/homebrew/etc/openssl@3/cert.pem",
    "/usr/local/etc/openssl@3/cert.pem",
)
_TRUST_OTHER = "/etc/ssl/cert.pem"


def _full_sync(fd: int) -> None:
    """fsync of macOS leaves bytes in the disk's own memory, unless that is flushed."""
    try:
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined,unused-ignore]
    except OSError:  # a file system that has no such thing
        os.fsync(fd)


def _choose_sync() -> Callable[[int], None]:
    if hasattr(os, "fdatasync"):
        return os.fdatasync
    return _full_sync if hasattr(fcntl, "F_FULLFSYNC") else os.fsync


#: Makes the content of a file survive a power loss.
datasync: Callable[[int], None] = _choose_sync()


def reserve(fd: int, total: int) -> None:
    """Give a file its length, and its room on the disk where that can be reserved."""
    if _allocate is not None:
        try:
            _allocate(fd, 0, total)
            return
        except OSError as error:
            if error.errno not in _NO_ALLOCATE:
                raise
    os.ftruncate(fd, total)


def memory_file(content: bytes) -> int:
    """A descriptor of an unnamed file that holds these bytes; the caller closes it."""
    if _memory_file is not None:
        fd = _memory_file("aimirror")
    else:
        with tempfile.TemporaryFile(buffering=0) as file:
            fd = os.dup(file.fileno())
    try:
        os.write(fd, content)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_in_order(fd: int, offset: int, length: int) -> None:
    """Tell the kernel that this span is going to be read from its begin to its end."""
    if _advise is not None:
        _advise(fd, offset, length, _SEQUENTIAL)


def _read_into(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
    (buffer,) = buffers
    data = os.pread(fd, len(buffer), offset)
    buffer[: len(data)] = data
    return len(data)


#: Read into one buffer, at an offset.
preadv: Callable[[int, Sequence[memoryview], int], int] = getattr(os, "preadv", _read_into)


def send_file(sock: int, file: int, offset: int, count: int) -> int:
    """sendfile(2): how many bytes the socket took; 0 only at the end of the file.

    BlockingIOError when it takes none now, ConnectionError when the peer is gone.
    """
    if count <= 0:  # which means "to the end of the file" to some
        return 0
    try:
        return os.sendfile(sock, file, offset, count)
    except OSError as error:
        if error.errno == errno.ENOTCONN:  # what macOS says of a peer that has left
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
        raise


def usable_cores() -> int:
    """The CPU cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


@cache
def boot_id() -> str:
    """Which boot of the machine this is, "" where that can't be told."""
    try:
        return _BOOT_FILE.read_text("ascii").strip()
    except OSError:
        return _sysctl(_BOOT_SYSCTL)


def _sysctl(name: bytes) -> str:
    """A string of the kernel's, "" where there is none of this name."""
    buffer = ctypes.create_string_buffer(128)
    size = ctypes.c_size_t(len(buffer))
    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except (AttributeError, OSError):
        return ""
    failed = ask(name, buffer, ctypes.byref(size), None, ctypes.c_size_t(0))
    return "" if failed else buffer.value.decode("ascii", "replace")


def first_environment() -> Mapping[str, str]:
    """The environment with which this process began, where that can be told; else today's."""
    try:
        lines = _ENVIRONMENT.read_bytes().split(b"\0")
    except OSError:
        return os.environ
    pairs = (os.fsdecode(line).partition("=") for line in lines)
    return {name: value for name, _, value in pairs}


def prepare_process() -> None:
    """To be called first by each program that serves."""
    allow_files()
    find_trust(os.environ)


def allow_files() -> None:
    """Raise the limit of open files to what is wanted, as far as that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in FILES_WANTED:
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


def find_trust(environ: MutableMapping[str, str]) -> None:
    """Name the system's certificates where OpenSSL would find none.

    The one that comes with cryptography's wheels for macOS looks into Homebrew's folder alone.
    """
    if "SSL_CERT_FILE" in environ or "SSL_CERT_DIR" in environ:
        return
    if not any(Path(path).exists() for path in _TRUST_FOUND) and Path(_TRUST_OTHER).exists():
        environ["SSL_CERT_FILE"] = _TRUST_OTHER


def install_reactor() -> None:
    """kqueue where there is one; Twisted takes select there, which ends at 1,024 connections.

    To be called before anything imports ``twisted.internet.reactor``; under twistd, the option
    ``--reactor`` decides.
    """
    if hasattr(select, "kqueue"):
        from twisted.internet import kqreactor

        kqreactor.install()  # type: ignore[no-untyped-call,unused-ignore]


def port_owner(port: int) -> str:
    """The program that listens on a TCP port, as ``NAME (pid 12)``; "" where that can't be told.

    Linux tells, and elsewhere lsof; of another user's programs only root is told.
    """
    if not _TCP_TABLES[0].exists():
        return _owner_by_lsof(port)
    sockets = set()
    for table in _TCP_TABLES:
        with contextlib.suppress(OSError):
            lines = table.read_text("ascii").splitlines()[1:]
            sockets |= {
                f"socket:[{row[9]}]" for row in map(str.split, lines) if _listens(row, port)
            }
    if not sockets:
        return ""
    for process in _PROCESSES.iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdecimal() and any(
                str(fd.readlink()) in sockets for fd in (process / "fd").iterdir()
            ):
                return f"{_program(process)} (pid {process.name})"
    return ""


def _owner_by_lsof(port: int) -> str:
    """The same by lsof, which macOS has."""
    command = ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    fields = {line[:1]: line[1:] for line in ended.stdout.splitlines()}
    return f"{fields['c']} (pid {fields['p']})" if fields.keys() >= {"c", "p"} else ""


def _listens(row: Sequence[str], port: int) -> bool:
    """Whether a row of /proc/net/tcp is a socket that listens on a port."""
    return row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port


def _program(process: Path) -> str:
    """The name of a program, of one in Python that of its module or file; no other argument."""
    words = [os.fsdecode(w) for w in (process / "cmdline").read_bytes().split(b"\0")]
    name = Path(words[0]).name
    if name.startswith("python") and len(words) > 1:
        return words[2] if words[1] == "-m" and len(words) > 2 else Path(words[1]).name or name
    return name or (process / "comm").read_text("utf-8", "replace").strip()
