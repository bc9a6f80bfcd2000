"""What a service manager passes in and is told: sockets (sd_listen_fds) and states (sd_notify)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from aimirror.platform import first_environment

#: The first inherited descriptor (sd_listen_fds(3)).
FIRST_FD = 3


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Tell the manager a state such as ``READY=1`` (sd_notify(3)); nothing without a manager.

    A manager that does not listen is no reason to fail.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as message:
        try:
            message.connect(address)
            message.send(state.encode())
        except OSError:
            return


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often to send ``WATCHDOG=1``: twice as often as asked for; None when it isn't."""
    text = environ.get("WATCHDOG_USEC", "")
    mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(text) / 2e6 if text.isdecimal() and int(text) > 0 and mine else None


def take_socket(environ: Mapping[str, str] | None = None) -> socket.socket | None:
    """The listening socket that the manager opened for us, or None; taken once.

    No child takes it for its own: only its parent has the number that the manager wrote.
    """
    # Twisted's endpoints remove from os.environ what a manager says of its sockets as soon as they
    # are imported, twistd before it imports us.
    given = first_environment() if environ is None else environ
    pid, count = given.get("LISTEN_PID", ""), given.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count.isdecimal() or int(count) < 1:
        return None
    try:
        if not os.get_inheritable(FIRST_FD):  # it came so, and was taken already
            return None
        os.set_inheritable(FIRST_FD, False)
        taken = socket.socket(fileno=FIRST_FD)
    except OSError:
        return None
    taken.setblocking(False)
    return taken
