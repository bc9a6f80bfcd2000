"""The decisions of a shared HTTP cache (RFC 9111 and its companions), in one place to import from.

A request's way: ``decide`` looks at the stored entries.  On ``Fresh`` and
``StaleWhileRevalidate`` the answer is made by ``serve``.  Otherwise the upstream is asked, and

- 304: ``confirms`` says whether it is about the entry, ``freshen`` updates it;
- a failure, 429 or 5xx: ``on_error`` says whether the entry stands in for it;
- another answer to GET: ``storable``, then ``prepare`` and ``variant`` make the new entry;
- 200 to HEAD: ``head_updates``;
- anything below 400 to an unsafe method: ``invalidated`` names the URLs to mark.

Conditions of the client (If-None-Match, If-Modified-Since, If-Range) never travel upstream with a
cacheable request: they are taken off, those of ``Validate`` are put in their place, and once there
is a fresh entry - found, freshened by 304 or fetched by 200 - the client's conditions are judged
against *its* validators.  So a 304 of the upstream is never passed on unread, a client with an old
copy gets 200 with the new bytes, and a cold entry gets filled by the first client, whatever it has.
"""

from __future__ import annotations

from aimirror.caching.cache_status import CACHE_NAME, Handling, cache_status, serve
from aimirror.caching.freshness import age, lifetime, remaining
from aimirror.caching.reuse import (
    Decision,
    Forward,
    Fresh,
    Miss,
    StaleWhileRevalidate,
    Unavailable,
    Validate,
    decide,
    on_error,
)
from aimirror.caching.storing import Audience, Storing, prepare, storable
from aimirror.caching.validation import (
    conditional,
    confirms,
    freshen,
    head_updates,
    invalidated,
    proving,
)
from aimirror.caching.variants import matches, select, variant

__all__ = [
    "CACHE_NAME",
    "Audience",
    "Decision",
    "Forward",
    "Fresh",
    "Handling",
    "Miss",
    "StaleWhileRevalidate",
    "Storing",
    "Unavailable",
    "Validate",
    "age",
    "cache_status",
    "conditional",
    "confirms",
    "decide",
    "freshen",
    "head_updates",
    "invalidated",
    "lifetime",
    "matches",
    "on_error",
    "prepare",
    "proving",
    "remaining",
    "select",
    "serve",
    "storable",
    "variant",
]
