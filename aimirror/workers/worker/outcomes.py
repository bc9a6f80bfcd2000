"""How one attempt ended."""

from __future__ import annotations

import errno

from attrs import frozen

from aimirror.download.tasks import Reason
from aimirror.upstream.errors import explain

#: Errors that say that there is no room, as opposed to a broken disk.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@frozen
class Outcome:
    """Why an attempt is over, and a line for people."""

    reason: Reason
    detail: str = ""


def upstream_outcome(error: BaseException) -> Outcome:
    """Of a request that failed or a body that broke off."""
    outcome = explain(error)
    return Outcome(outcome.reason, outcome.detail)


def disk_outcome(error: OSError) -> Outcome:
    """Of a failure of the part file."""
    reason = Reason.DISK_FULL if error.errno in NO_ROOM else Reason.DISK
    return Outcome(reason, error.strerror or str(error))
