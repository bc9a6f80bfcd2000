"""Who may steer the mirror.

Without a token: people on this machine, and their browsers only from our own page.  A page of
another site must neither post here (Origin, Sec-Fetch-Site) nor get at us under a name of its own
(Host: DNS rebinding).  A proxy on this machine makes everybody local: what was forwarded needs the
token.  With a token: whoever sends it in a header, which no foreign page can, from this machine or
a listed network.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from attrs import field, frozen

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
    {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"}
)


@frozen
class Gate:
    """``token`` is "" for none; ``hosts`` are networks beside this machine."""

    token: str = field(default="", repr=False)
    hosts: tuple[Network, ...] = ()

    def objection(self, request: MirrorRequest) -> Answer | None:
        """The answer to a request that may not pass."""
        peer, fields = request.peer, request.headers
        if not is_local(peer) and not (self.hosts and Networks(self.hosts).admit(peer)):
            return error_answer(
                403, "not from there", "administration is for this machine and admin.hosts"
            )
        if self.token:
            return None if self._right(fields) else _unauthorised()
        if not is_local(peer):
            return error_answer(403, "no token", "other machines need admin.token")
        if fields.has_any(_FORWARDED):
            return error_answer(403, "no token", "what a proxy forwards needs admin.token")
        host = (fields.get("host") or "").lower()
        if not _local_name(host):
            return error_answer(403, "wrong host", "without admin.token, ask for localhost")
        origin = fields.get("origin")
        foreign = origin is not None and origin.lower().partition("://")[2] != host
        if foreign or fields.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return error_answer(403, "wrong origin", "another site's page may not steer the mirror")
        return None

    def _right(self, fields: Headers) -> bool:
        scheme, _, given = (fields.get("authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            given = fields.get(TOKEN_FIELD) or ""
        told = given.strip().encode("utf-8", "replace")
        return hmac.compare_digest(told, self.token.encode())


def _unauthorised() -> Answer:
    fields = Headers([("WWW-Authenticate", 'Bearer realm="aimirror administration"')])
    return error_answer(401, "wrong or no token", "send admin.token as a Bearer", headers=fields)


def _local_name(authority: str) -> bool:
    if authority.startswith("["):
        return is_local(authority[1:].partition("]")[0])
    name = authority.partition(":")[0]
    return name == "localhost" or name.endswith(".localhost") or is_local(name)
