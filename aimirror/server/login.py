"""Has clients log in, where there are users."""

from __future__ import annotations

from attrs import evolve

from aimirror.http.egress import Network
from aimirror.http.headers import Headers
from aimirror.server.access import asker, client
from aimirror.server.answers import Answer
from aimirror.server.errors import error_answer
from aimirror.server.fair_queue import TooBusy
from aimirror.server.request import Handler, MirrorRequest
from aimirror.server.tally import Tally
from aimirror.server.users import Users, name_in


class Login:
    """Has clients log in, where there are users; what they send for it goes no further.

    ``proxies`` are believed about whom they ask for.
    """

    def __init__(
        self, users: Users | None, tally: Tally, proxies: tuple[Network, ...] = ()
    ) -> None:
        self._users = users
        self._tally = tally
        self._proxies = proxies

    def guarding(self, handler: Handler) -> Handler:
        """A handler for those who have logged in."""
        if self._users is None:
            return handler

        async def guarded(request: MirrorRequest) -> Answer | None:
            objection = await self._objection(request)
            return await handler(request) if objection is None else objection

        return guarded

    async def _objection(self, request: MirrorRequest) -> Answer | None:
        assert self._users is not None
        fields = request.headers
        who = client(asker(request.peer, fields, self._proxies))
        try:
            if await self._users.admits(fields.get("proxy-authorization"), who):
                request.login = name_in(fields.get("proxy-authorization"))
                return None
            if await self._users.admits(fields.get("authorization"), who):
                request.login = name_in(fields.get("authorization"))
                request.headers = fields.without("authorization")
                request.head = evolve(request.head, headers=request.headers)
                request.admitted = True
                return None
        except TooBusy:
            return error_answer(503, "too many logins", retry_after=1)
        self._tally.refuse("login")
        wanted = Headers([("WWW-Authenticate", 'Basic realm="aimirror", charset="UTF-8"')])
        return error_answer(401, "log in", "this mirror is for its users", headers=wanted)
