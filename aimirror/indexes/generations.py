"""Files of one generation: PACKAGES in its forms, Release and its signature."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aimirror.http.urls import canonical
from aimirror.mirror.ecosystem import Desk

if TYPE_CHECKING:
    from aimirror.routing.rules import Route


def changed_at(mirror: Desk, route: Route, kin: Iterable[str]) -> float:
    """When the newest body of a file's kin (URLs) came, in epoch seconds; 0.0 without any.

    What was confirmed before that may be of an older generation.  A body counts from its first
    byte on: clients have it before it is stored.  To be asked for each answer, so such answers
    are not for the memo.
    """
    keys = {canonical(url) for url in kin} - {route.key}
    held = [mirror.library.at(key) for key in keys]
    arrivals = (entry.arrived_at for each in held for entry in each.known)
    return max(arrivals, default=0.0)
