"""Answers that are asked for each time, and told once more while their upstream can't answer."""

from __future__ import annotations

import hashlib

from aimirror.caching.caching import prepare
from aimirror.caching.entries import Entry
from aimirror.http.headers import Headers
from aimirror.interfaces import BodyFailed, ILibrary
from aimirror.routing.rules import Rule


async def remember(
    library: ILibrary, key: str, headers: Headers, content: bytes, rule: Rule, scope: str = ""
) -> None:
    """Keep what everybody was told under a key, or those of a credential's ``scope``.

    Without room there is nothing to keep it by.
    """
    now = library.now()
    entry = Entry(
        key=key,
        scope=scope,
        headers=prepare(headers, now),
        requested_at=now,
        received_at=now,
        blob=hashlib.sha256(content).hexdigest(),
        size=len(content),
        rule=rule.name,
    )
    try:
        await library.keep(entry, content)
    except OSError:
        return


def last_told(
    library: ILibrary, key: str, rule: Rule, scope: str = ""
) -> tuple[Headers, bytes] | None:
    """The fields and content that everybody was told last, as long as the rule allows.

    Or what those of a credential's ``scope`` were told, for the rule's ``private_grace``.
    """
    bound, grace = rule.cache.stale_if_error, library.now() - rule.cache.private_grace
    since = 0.0 if bound is None else library.now() - bound
    for entry in sorted(library.at(key).entries, key=lambda entry: not entry.scope):
        if entry.scope not in ("", scope) or not entry.blob:
            continue
        if entry.received_at < (grace if entry.scope else since):
            continue
        body = library.body(entry)
        try:
            content = None if body is None else body.data()
        except (OSError, BodyFailed):
            continue
        if content is not None:
            return entry.headers, content
    return None
