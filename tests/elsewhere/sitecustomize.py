"""A Python without what Linux alone has, as far as macOS's differs: for tests on Linux.

With this folder on PYTHONPATH every Python begins with it, workers included.  It deletes names
before anything else can take them, and gives ``os.sendfile`` what BSD's does otherwise.  With
AIMIRROR_ELSEWHERE_LOG each process adds its command line to that file.  With
AIMIRROR_ELSEWHERE_KQUEUE there is a kqueue, as far as it is asked for: Twisted's reactor for it is
its one for select, and each process that installs it adds a line.

``/proc`` stays, and so does the kernel: it shows what fails for want of a name, and no more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import signal
import socket
import sys
import time
from types import ModuleType

#: Bytes that one call of sendfile takes at most: callers must go on with the rest.
MOST = 50_000

GONE: dict[object, tuple[str, ...]] = {
    os: (
        *("posix_fadvise", "posix_fallocate", "fdatasync", "sched_getaffinity"),
        *("sched_setaffinity", "copy_file_range", "memfd_create", "eventfd", "splice", "pipe2"),
        *("getrandom", "pidfd_open", "setns", "unshare", "getxattr", "setxattr", "listxattr"),
        *("removexattr", "sched_setscheduler", "sched_getscheduler", "sched_getparam"),
        *("sched_setparam", "getresuid", "setresuid", "getresgid", "setresgid", "waitid"),
        *("O_DIRECT", "O_TMPFILE", "O_PATH", "O_NOATIME", "O_LARGEFILE", "O_RSYNC"),
        *("timerfd_create", "process_cpu_count"),
    ),
    socket: (
        *("MSG_MORE", "MSG_NOSIGNAL", "MSG_CMSG_CLOEXEC", "MSG_CONFIRM", "MSG_ERRQUEUE"),
        *("MSG_FASTOPEN", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "SO_BINDTODEVICE", "SO_DOMAIN"),
        *("SO_INCOMING_CPU", "SO_MARK", "SO_PASSCRED", "SO_PEERCRED", "SO_PRIORITY"),
        *("SO_PROTOCOL", "TCP_CONGESTION", "TCP_CORK", "TCP_DEFER_ACCEPT", "TCP_INFO"),
        *("TCP_KEEPIDLE", "TCP_LINGER2", "TCP_QUICKACK", "TCP_SYNCNT", "TCP_USER_TIMEOUT"),
        *("TCP_WINDOW_CLAMP", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "IP_TRANSPARENT"),
        "IP_BIND_ADDRESS_NO_PORT",
    ),
    select: ("epoll",),
    signal: (
        *("SIGRTMIN", "SIGRTMAX", "SIGPWR", "SIGSTKFLT", "SIGPOLL", "sigtimedwait"),
        *("sigwaitinfo", "pidfd_send_signal"),
    ),
    fcntl: ("F_OFD_SETLK", "F_OFD_SETLKW", "F_OFD_GETLK", "F_SETPIPE_SZ", "F_ADD_SEALS"),
    resource: ("prlimit", "RUSAGE_THREAD", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_SIGPENDING"),
    time: ("CLOCK_BOOTTIME", "CLOCK_TAI", "pthread_getcpuclockid"),
    errno: (
        *("EBADFD", "EREMOTEIO", "ENOKEY", "EKEYEXPIRED", "ENOMEDIUM", "ERFKILL", "ENONET"),
        *("EUCLEAN", "ENOTUNIQ", "ECOMM", "EL2HLT", "EHWPOISON", "EMEDIUMTYPE", "ESTRPIPE"),
    ),
}


def delete() -> None:
    """Delete what macOS's Python has not."""
    prefixes = {
        os: ("POSIX_FADV_", "SCHED_", "SPLICE_", "GRND_", "MFD_", "EFD_", "RWF_", "XATTR_"),
        select: ("EPOLL",),
    }
    for module, names in GONE.items():
        starts = prefixes.get(module, ())
        more = [name for name in vars(module) if starts and name.startswith(starts)]
        for name in (*names, *more):
            vars(module).pop(name, None)
    selectors = sys.modules.get("selectors")
    if selectors is not None:  # an environment's own .pth files come first
        vars(selectors).pop("EpollSelector", None)
        vars(selectors)["DefaultSelector"] = vars(selectors)["PollSelector"]


_sendfile = os.sendfile


def sendfile(out_fd: int, in_fd: int, offset: int, count: int, *rest: object) -> int:
    """BSD's: 0 means to the end of the file, and a peer that has left is ENOTCONN."""
    if count == 0:
        count = max(0, os.fstat(in_fd).st_size - offset)
    try:
        return _sendfile(out_fd, in_fd, offset, min(count, MOST))
    except ConnectionError as error:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN)) from error


def log(line: str) -> None:
    """Add a line to the file that tells what ran here."""
    if os.environ.get("AIMIRROR_ELSEWHERE_LOG"):
        with open(os.environ["AIMIRROR_ELSEWHERE_LOG"], "a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def kqueue() -> None:
    """There is the name alone."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def install() -> None:
    """In place of Twisted's reactor for kqueue."""
    from twisted.internet import selectreactor

    selectreactor.install()
    log(f"kqueue for {' '.join(sys.orig_argv)}")


delete()
os.sendfile = sendfile  # type: ignore[assignment]
if os.environ.get("AIMIRROR_ELSEWHERE_KQUEUE"):
    select.kqueue = kqueue
    sys.modules["twisted.internet.kqreactor"] = module = ModuleType("kqreactor")
    module.install = install
log(" ".join(sys.orig_argv))
