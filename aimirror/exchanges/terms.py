"""What an exchange goes by: what is known of its key and host, and who is told of what it does."""

from __future__ import annotations

from collections.abc import Callable, Collection

from attrs import frozen

from aimirror.exchanges.environment import Finished
from aimirror.exchanges.plain import PlainFill
from aimirror.exchanges.ranged import RangedFill
from aimirror.interfaces import IUpstreamResponse

Fill = PlainFill | RangedFill


@frozen(kw_only=True)
class Terms:
    """Who made the exchange says this; what may change while it runs is a function."""

    #: Whether there is any use in trying to store the file.
    storing: Callable[[], bool]
    #: Whether to draw it from several upstreams at once.
    draws: bool
    #: Whether its host's nodes have tags of their own; ``unlike()`` is called when they have.
    one_connection: bool
    unlike: Callable[[], None]
    #: Whether its host's links work for one request, or for many; ``repeats(well)`` tells which.
    once: bool
    repeating: bool
    repeats: Callable[[bool], None]
    #: Called before a fill starts, so that it has its share of connections.
    begun: Callable[[Fill], None]
    #: Bytes per second, 0 = none.
    rate_limit: Callable[[], int]
    #: Holds a response that is passed on to that.
    limited: Callable[[IUpstreamResponse], IUpstreamResponse]
    #: Called once a fill has ended; for outcomes that store nothing this alone is called.
    over: Callable[[Finished], None]
    #: Those who want it.
    clients: Callable[[], Collection[str]]
