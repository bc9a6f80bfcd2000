"""One AMP connection between the parent and a worker, over a socketpair."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IReactorSocket

#: The descriptor at which a worker finds its end: the first after stdin, stdout and stderr.
WORKER_FD = 3

log = Logger()


class Link(amp.AMP):
    """AMP that stays up: an error that no command declares is logged, and answered as Failed.

    Plain AMP closes the connection in that case, which fails every call in flight.
    """

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._lost = lost

    def ask(self, command: type[amp.Command], **fields: object) -> Deferred[dict[str, Any]]:
        """Fires with the answer; fails with the command's errors or with a lost connection."""
        answer: Deferred[dict[str, Any]] = self.callRemote(command, **fields)  # type: ignore[no-untyped-call]
        return answer

    def tell(self, command: type[amp.Command], **fields: object) -> None:
        """Send a command that has no answer; lost without a word if the other end is gone."""
        self.callRemote(command, **fields)  # type: ignore[no-untyped-call]

    def dispatchCommand(self, box: Any) -> Deferred[Any]:
        """Run the responder of a received command."""
        running: Deferred[Any] = super().dispatchCommand(box)  # type: ignore[no-untyped-call]
        return running.addErrback(self._declare, box.get(amp.COMMAND))

    def unhandledError(self, failure: Failure) -> None:
        """An answer whose caller did not handle the error, or a command without an answer."""
        if not failure.check(amp.RemoteAmpError):
            log.failure("Error in a conversation with the other process", failure)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other process is gone: ``lost`` is called, then calls in flight fail.

        In this order, so that who comes back with a failed call is not sent here again.
        """
        self._lost()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def drop(self) -> None:
        """Close the connection at once; idempotent."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    @staticmethod
    def _declare(failure: Failure, command: bytes) -> Failure:
        if failure.check(amp.RemoteAmpError):
            return failure
        log.failure("Command {command} failed", failure, command=command)
        return Failure(amp.RemoteAmpError(b"FAILED", _name_of(failure), False))


def _name_of(failure: Failure) -> str:
    return type(failure.value).__name__


def socket_pair() -> tuple[int, int]:
    """Two connected, non-blocking descriptors; the caller owns both."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours.detach(), theirs.detach()


def adopt(reactor: IReactorSocket, fd: int, protocol: Protocol) -> None:
    """Connect ``protocol`` over one end of a socketpair; the descriptor stays the caller's.

    The reactor works on a duplicate, which the transport owns.
    """
    reactor.adoptStreamConnection(fd, socket.AF_UNIX, _Given(protocol))  # type: ignore[arg-type]


class _Given(Factory):
    """The one connection exists already, so does its protocol."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._given = protocol

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._given
