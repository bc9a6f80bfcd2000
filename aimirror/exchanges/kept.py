"""What an exchange has brought, once it is over: kept, lent, and told in the log."""

from __future__ import annotations

from attrs import evolve
from twisted.logger import Logger

from aimirror.caching.entries import Entry
from aimirror.exchanges.environment import Environment, Finished

_log = Logger()


def keep(env: Environment, entry: Entry, outdated: bool, send: bool) -> None:
    """Store an entry, and ``send`` it to the tier; ``outdated``: it may have been changed since."""
    tier = env.tier
    try:
        entry = _like_before(entry, env.store.entries(entry.key))
        if entry.invalidated != outdated:
            entry = evolve(entry, invalidated=outdated)
        if tier is None or not send or not tier.wants(entry):
            env.store.put(entry)
        elif env.store.put(entry, send=True):
            tier.stored()
    except OSError as error:
        _log.error("{key} is not kept: {error}", key=_shown(entry.key), error=str(error))


def lend(env: Environment, entry: Entry) -> None:
    """Another node has it, too: here it makes way sooner."""
    try:
        env.store.age(entry)
    except OSError as error:
        _log.error("{key} has its full time: {error}", key=_shown(entry.key), error=error)


def report(key: str, finished: Finished, well: bool) -> None:
    """Log how a fill ended."""
    if well:
        _log.debug("fetched {key}", key=_shown(key))
    else:
        _log.warn(
            "download of {key} ended: {reason} {detail}",
            key=_shown(key),
            reason=finished.reason.value,
            detail=finished.detail,
        )


def _like_before(entry: Entry, stored: tuple[Entry, ...]) -> Entry:
    """A new copy of what is pinned is pinned, too; the same bytes again are no new body."""
    for old in stored:
        if (old.scope, old.variant) == (entry.scope, entry.variant):
            same = old.blob == entry.blob and old.arrived_at
            arrived_at = old.arrived_at if same else entry.arrived_at
            return evolve(entry, pinned=old.pinned or entry.pinned, arrived_at=arrived_at)
    return entry


def _shown(key: str) -> str:
    """A key without its query, which may be a signature."""
    return key.partition("?")[0]
