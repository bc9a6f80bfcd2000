"""Interfaces with a real and a fake implementation: the seams of the service."""

from aimirror.interfaces.bodies import (
    BodyFailed,
    IArrivingBody,
    IBody,
    IBodyReader,
    IStoredBody,
    Readable,
)
from aimirror.interfaces.library import ILibrary
from aimirror.interfaces.pool import IFetch, IPool
from aimirror.interfaces.upstream import (
    Hop,
    IReceiver,
    IUpstream,
    IUpstreamResponse,
    Unreadable,
    UpstreamError,
)
from aimirror.interfaces.wanted import (
    Arriving,
    Described,
    Held,
    Inquiry,
    Outcome,
    Passing,
    Refresh,
    Validated,
    Wanted,
)

__all__ = [
    "Arriving",
    "BodyFailed",
    "Described",
    "Held",
    "Hop",
    "IArrivingBody",
    "IBody",
    "IBodyReader",
    "IFetch",
    "ILibrary",
    "IPool",
    "IReceiver",
    "IStoredBody",
    "IUpstream",
    "IUpstreamResponse",
    "Inquiry",
    "Outcome",
    "Passing",
    "Readable",
    "Refresh",
    "Unreadable",
    "UpstreamError",
    "Validated",
    "Wanted",
]
