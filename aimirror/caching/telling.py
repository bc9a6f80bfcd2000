"""What a stored answer says about a client with a credential, and about one without."""

from __future__ import annotations

from aimirror.caching.directives import response_directives
from aimirror.caching.entries import Entry
from aimirror.routing.digests import Digest


def tells(entry: Entry, scope: str, digest: Digest | None = None) -> bool:
    """Whether an entry says anything about a client whose credential is ``scope`` ("": none).

    What somebody without a credential was given says nothing about those with one: many servers
    hide what is private behind a 404, a redirect to a login, or the page of a public server's
    project of the same name.  It does where the origin says that it is for all (``public``), or
    where ``digest`` proves that it is what is asked for.  What another credential opened never
    does.
    """
    if entry.scope:
        return entry.scope == scope
    if not scope:
        return True
    if entry.status >= 300:
        return False
    proven = digest is not None and digest.algorithm == "sha256" and entry.blob == digest.hex
    return proven or "public" in response_directives(entry.headers)
