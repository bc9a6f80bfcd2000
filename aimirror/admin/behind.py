"""What is behind this node's disk: the tier, and the other nodes; for the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aimirror.exchanges.running import Downloads


def behind(downloads: Downloads, now: float) -> dict[str, Any]:
    """The state of both; None for what this mirror has not.  Times are in seconds."""
    return {"tier": _tier(downloads, now), "cluster": _cluster(downloads, now)}


def _tier(downloads: Downloads, now: float) -> dict[str, Any] | None:
    tier = downloads.tier
    if tier is None:
        return None
    waiting, since = tier.backlog
    return {
        "state": "off" if tier.problem else tier.breaker.state.value,
        "problem": tier.problem,
        "waiting": waiting,
        "oldest": None if since is None else max(0.0, now - since),
        "read": tier.counts.read,
        "sent": tier.counts.sent,
        "bad": tier.counts.bad,
    }


def _cluster(downloads: Downloads, now: float) -> dict[str, Any] | None:
    peers = downloads.peers
    if peers is None:
        return None
    away = set(peers.roster.away(now))
    nodes = sorted({*peers.roster.members, peers.roster.own} - {""})
    return {
        "self": peers.roster.own,
        "nodes": [{"node": node, "away": node in away} for node in nodes],
    }
