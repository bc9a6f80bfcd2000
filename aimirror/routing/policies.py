"""How a rule wants its responses cached, beside what the upstream says."""

from __future__ import annotations

from attrs import frozen

#: Seconds past its life that an answer stands in for an upstream that is down, where neither the
#: rule nor the origin says how long: a week, so that a weekend's outage stops no installation.
STALE_IF_ERROR = 7 * 24 * 3600.0


@frozen(kw_only=True)
class CachePolicy:
    """Durations in seconds; None means: as the upstream's header fields and the RFCs say.

    ``ttl`` is the life of a response without explicit freshness; with ``ignore_upstream`` it also
    replaces explicit freshness (but never no-store or private).
    """

    ttl: float | None = None
    #: How long past its freshness a response may stand in for an upstream that is down.
    stale_if_error: float | None = None
    #: How long past its freshness a response may be served while it is revalidated.
    stale_while_revalidate: float | None = None
    #: The life of a 404 or 410 without explicit freshness; 0 keeps none.
    negative_ttl: float = 10.0
    ignore_upstream: bool = False
    #: Keep even what the upstream says not to store (but never what belongs to one client).
    ignore_no_store: bool = False
    #: Whether clients' wishes for something fresher (no-cache, max-age, min-fresh) reach the
    #: upstream; None: under strategy ``proxy`` alone.
    obey_clients: bool | None = None
    #: How long after the upstream let a credential in, what is private goes on being given to it
    #: while the upstream is down.
    private_grace: float = 0.0
