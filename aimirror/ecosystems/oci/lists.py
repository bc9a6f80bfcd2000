"""Lists of tags and of referrers: asked for each time, remembered for an outage."""

from __future__ import annotations

from aimirror.ecosystems.oci.errors import API_VERSION, error_fields
from aimirror.ecosystems.oci.images import Images
from aimirror.ecosystems.oci.visit import Visit
from aimirror.exchanges.answering import UNABLE
from aimirror.http.headers import Headers
from aimirror.indexes.remembered import last_told, remember
from aimirror.interfaces import ILibrary, IUpstreamResponse
from aimirror.mirror.ecosystem import UNTAKEN, Untaken
from aimirror.registries.paths import Kind, rewritten_link
from aimirror.registries.tokens import Refused
from aimirror.server.answers import Answer
from aimirror.server.relay import relayed
from aimirror.upstream.responses import collect

#: Bytes of a list that is remembered: longer ones are passed on alone.
MOST_LIST = 4 << 20
#: Of a list's header, what is stored.
_KEPT = ("content-type", "link", "oci-filters-applied")
#: How registries without the API of referrers answer: clients then look at a tag instead, unless
#: they are told in an error of the specification that there is no such repository.
_PLAIN_404 = b"404 page not found\n"


class Lists:
    """Answers for ``tags/list`` and ``referrers``."""

    def __init__(self, library: ILibrary, images: Images) -> None:
        self._library = library
        self._images = images

    async def answer(self, visit: Visit) -> Answer:
        """The list of now; raises UpstreamError and Refused."""
        response = await self._images.ask(visit, visit.target, visit.request.method)
        if response.status < 400:
            return await self._passed(visit, response)
        refused = await self._images.refusal(response)
        if refused.status in UNABLE:
            raise refused
        return self._refused(visit, refused)

    def _refused(self, visit: Visit, refused: Refused) -> Answer:
        """A refusal; the one that means "no such API" as plain as registries give it."""
        if visit.target.kind is Kind.REFERRERS and refused.status == 404 and not refused.body:
            plain = Headers([("Content-Type", "text/plain; charset=utf-8"), API_VERSION])
            return Answer(status=404, headers=plain, body=_PLAIN_404)
        if refused.status == 401 or not refused.body:
            raise refused
        return Answer(
            status=refused.status, headers=error_fields(refused.headers), body=refused.body
        )

    async def _passed(self, visit: Visit, response: IUpstreamResponse) -> Answer:
        """A page, which is remembered for everybody, or for those with this login."""
        size, whole = response.length, response.status == 200
        scope = visit.own_scope((await self._images.right(visit))[1])
        if (
            scope is None
            or not whole
            or size is None
            or size > MOST_LIST
            or visit.request.head_only
        ):
            headers = response.headers.with_("X-Cache", "PASS").with_(*API_VERSION)
            return relayed(response, _led_here(visit, headers, response.url))
        data = await collect(response, MOST_LIST)
        key = visit.route(visit.target).key
        await remember(self._library, key, response.headers.only(*_KEPT), data, visit.rule, scope)
        kept = response.headers.only(*_KEPT).with_("X-Cache", "PASS").with_(*API_VERSION)
        return Answer(status=200, headers=_led_here(visit, kept, response.url), body=data)

    def last(self, visit: Visit) -> Answer | Untaken:
        """What everybody was told last, or this login, as long as the rule allows."""
        key = visit.route(visit.target).key
        last_list = last_told(self._library, key, visit.rule, visit.who.hash)
        if last_list is None:
            return UNTAKEN
        kept = last_list[0].only(*_KEPT).with_("X-Cache", "STALE").with_(*API_VERSION)
        return Answer(status=200, headers=_led_here(visit, kept, key), body=last_list[1])


def _led_here(visit: Visit, headers: Headers, url: str) -> Headers:
    """With links to further pages that lead to the mirror."""
    links = (
        rewritten_link(value, url, visit.request.path, visit.target.ns)
        for value in headers.get_all("link")
    )
    return headers.with_("Link", *filter(None, links))
