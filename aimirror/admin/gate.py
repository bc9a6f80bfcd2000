"""Who may steer the mirror.

Without a token: people on this machine, and their browsers only from our own page.  A page of
another site must neither post here (Origin, Sec-Fetch-Site) nor get at us under a name of its own
(Host: DNS rebinding), and no more may a mirrored page, whose origin is "null".  A proxy on this
machine makes everybody local: what was forwarded needs the token.  With a token: whoever sends it
in a header, which no foreign page can, from this machine or a listed network.  What changes
something needs a token in a header at all times: without a configured one, that of ``own_token``.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from attrs import field, frozen

from aimirror.admin.own_token import NAME
from aimirror.http.egress import Network
from aimirror.http.headers import Headers
from aimirror.server.access import Networks, is_local
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer

if TYPE_CHECKING:
    from aimirror.server.request import MirrorRequest

#: Beside ``Authorization: Bearer``, for clients behind something that uses that field.
TOKEN_FIELD = "x-aimirror-token"
#: What a proxy in front may add.
_FORWARDED = frozenset(
    {
        *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
        *("x-forwarded-prefix", "x-real-ip", "via"),
    }
)


#: What a browser asks for with ``fetch`` or in its address bar; all else is part of some page.
_DESTINATIONS = frozenset({"empty", "document"})


@frozen
class Gate:
    """``token`` is the configured one, "" for none; ``hosts`` are networks beside this machine.

    ``own`` is what the mirror made for itself: without ``token`` it opens what changes something.
    """

    token: str = field(default="", repr=False)
    hosts: tuple[Network, ...] = ()
    own: str = field(default="", repr=False)

    def objection(self, request: MirrorRequest, *, changes: bool = False) -> Answer | None:
        """The answer to a request that may not pass; ``changes`` says that it is no mere look."""
        peer, fields = request.peer, request.headers
        if not is_local(peer) and not (self.hosts and Networks(self.hosts).admit(peer)):
            return error_answer(
                403, "not from there", "administration is for this machine and admin.hosts"
            )
        if _of_a_page(fields):
            return error_answer(403, "wrong origin", "another site's page may not steer the mirror")
        if self.token:
            return None if _right(fields, self.token) else _unauthorised("admin.token")
        objection = self._without_token(peer, fields)
        if objection is not None or not changes:
            return objection
        return None if _right(fields, self.own) else _unauthorised(f"what {NAME} in cache.dir says")

    def _without_token(self, peer: str, fields: Headers) -> Answer | None:
        if not is_local(peer):
            return error_answer(403, "no token", "other machines need admin.token")
        if fields.has_any(_FORWARDED):
            return error_answer(403, "no token", "what a proxy forwards needs admin.token")
        host = (fields.get("host") or "").lower()
        if not _local_name(host):
            return error_answer(403, "wrong host", "without admin.token, ask for localhost")
        origin = fields.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host:
            return error_answer(403, "wrong origin", "another site's page may not steer the mirror")
        return None


def _of_a_page(fields: Headers) -> bool:
    """Whether a browser says that some page other than ours wants this (W3C Fetch Metadata).

    Mirrored pages have an origin of their own (``http.origin_wide``): it is told as "null", and
    what they ask for as cross-site.
    """
    return (
        fields.get("sec-fetch-site", "none") not in ("none", "same-origin")
        or fields.get("sec-fetch-dest", "empty") not in _DESTINATIONS
        or fields.get("origin") == "null"
    )


def _right(fields: Headers, token: str) -> bool:
    """Whether a token is among the fields; nobody has "" for one."""
    scheme, _, given = (fields.get("authorization") or "").partition(" ")
    if scheme.lower() != "bearer":
        given = fields.get(TOKEN_FIELD) or ""
    offered = given.strip().encode("utf-8", "replace")
    return bool(token) and hmac.compare_digest(offered, token.encode())


def _unauthorised(wanted: str) -> Answer:
    fields = Headers([("WWW-Authenticate", 'Bearer realm="aimirror administration"')])
    return error_answer(401, "wrong or no token", f"send {wanted} as a Bearer", headers=fields)


def _local_name(authority: str) -> bool:
    if authority.startswith("["):
        return is_local(authority[1:].partition("]")[0])
    name = authority.partition(":")[0]
    return name == "localhost" or name.endswith(".localhost") or is_local(name)
