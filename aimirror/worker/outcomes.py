"""How one attempt ended, and how to end one."""

from __future__ import annotations

import errno
from typing import Any

from attrs import frozen
from twisted.python.failure import Failure

from aimirror.core.fetching import Reason
from aimirror.upstream.errors import explain

#: Errors that say that there is no room, as opposed to a broken disk.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@frozen
class Outcome:
    """Why an attempt is over, and a line for people."""

    reason: Reason
    detail: str = ""


def upstream_outcome(failure: Failure) -> Outcome:
    """Of a request that failed or a body that broke off."""
    assert failure.value is not None
    told = explain(failure.value)
    return Outcome(told.reason, told.detail)


def disk_outcome(error: OSError) -> Outcome:
    """Of a failure of the part file."""
    reason = Reason.DISK_FULL if error.errno in NO_ROOM else Reason.DISK
    return Outcome(reason, error.strerror or str(error))


def abort(transport: Any) -> None:
    """Close the connection under a response at once.

    The transport that twisted.web gives to a body offers only an orderly close, and over TLS
    that waits for the peer; the connection behind it is its ``_producer``, None once the
    response is complete and the connection is no longer ours.
    """
    connection = getattr(transport, "_producer", transport)
    if connection is not None:
        getattr(connection, "abortConnection", connection.loseConnection)()
