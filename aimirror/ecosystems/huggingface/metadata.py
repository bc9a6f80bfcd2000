"""What the hub says of files, asked with HEAD and remembered for as long as that may be believed.

A file is public when the hub shows it to nobody in particular: so it is asked without the client's
token first.  What it shows to a token alone is believed for a minute, for that token and file.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from twisted.logger import Logger

from aimirror.bounded import LRU
from aimirror.download.tasks import Reason
from aimirror.ecosystems.huggingface.paths import Seen, Target, seen
from aimirror.ecosystems.huggingface.paths import target as target_of
from aimirror.exchanges.answering import UNABLE
from aimirror.http import urls
from aimirror.http.forwarding import ELSEWHERE
from aimirror.http.headers import Headers
from aimirror.interfaces import ILibrary, Inquiry, UpstreamError
from aimirror.mirror.cached import GRANTED_FOR
from aimirror.routing.rules import Rule
from aimirror.single_flight import SingleFlight
from aimirror.upstream.redirects import FOLLOWED, resolve, same_origin
from aimirror.upstream.responses import drain

#: The scope of what took a token: who shares it is decided here, by what the hub says to each.
PRIVATE = "huggingface"
#: Answers of the hub in memory.
MOST_LOOKS = 20_000
#: Redirects inside the hub: a renamed repository, and the place of small files.
_MOST_HOPS = 5


@frozen
class Look:
    """An answer of the hub: to nobody in particular (scope ""), or to one token."""

    seen: Seen
    scope: str
    #: Epoch seconds.
    at: float
    #: The origin of the address that answered: it vouches for what it has itself.
    hub: str = ""


class Looks:
    """Asks the hub, once for all who want the same; remembers who may have what."""

    log = Logger()

    def __init__(self, library: ILibrary) -> None:
        self._library = library
        self._flights = SingleFlight()
        self._looks: LRU[tuple[str, str], Look] = LRU(MOST_LOOKS)
        #: Repositories that the hub hides from everybody, and until when that is believed.
        self._hidden: LRU[str, float] = LRU(MOST_LOOKS)

    def now(self) -> float:
        """Epoch seconds."""
        return self._library.now()

    def recent(self, target: Target, who: str, within: float = GRANTED_FOR) -> Look | None:
        """The last answer for a client, if it is no older than so many seconds."""
        look = self._looks.get((target.url, who))
        return look if look is not None and self.now() - look.at <= within else None

    async def look(self, rule: Rule, targets: Sequence[Target], headers: Headers, who: str) -> Look:
        """Ask the hub now; ``targets`` are the file at each of its addresses.

        Raises UpstreamError, also when it can't say.
        """
        name = (targets[0].url, who)

        async def ask() -> Look:
            seen = await self._ask(rule, targets, headers, who)
            if seen.seen.status >= 500:
                raise UpstreamError(Reason.STATUS, f"the hub answers {seen.seen.status}")
            if seen.seen.status != 429:
                self._looks.put(name, seen)
            return seen

        seen: Look = await self._flights.do(name, ask)
        return seen

    async def _ask(self, rule: Rule, targets: Sequence[Target], headers: Headers, who: str) -> Look:
        public, repo = headers.without(*rule.secrets), targets[0].repo
        if not who:
            return await self._first(rule, targets, public)
        if (self._hidden.get(repo) or 0.0) < self.now():
            seen = await self._first(rule, targets, public)
            if not seen.seen.hidden:
                return seen
            if seen.seen.status != 429:
                self._hidden.put(repo, self.now() + GRANTED_FOR)
        own = await self._head(rule, targets[0], headers)
        return Look(own, PRIVATE, self.now(), urls.origin(targets[0].url))

    async def _first(self, rule: Rule, targets: Sequence[Target], headers: Headers) -> Look:
        """What the first address says that can; no token is among the fields."""

        async def attempt(index: int, last: bool) -> Look:
            seen = await self._head(rule, targets[index], headers)
            return Look(seen, "", self.now(), urls.origin(targets[index].url))

        hubs = [each.url for each in targets]
        return await self._library.first(hubs, attempt, lambda look: look.seen.status not in UNABLE)

    async def _head(self, rule: Rule, target: Target, headers: Headers) -> Seen:
        """HEAD, followed as long as the hub leads to itself: beyond, the bytes begin.

        A mirror of the hub may lead to the hub's own address of the file, before which nothing
        was said of it; no token goes there.
        """
        url, answers, zone = target.url, [], None
        for _ in range(_MOST_HOPS):
            inquiry = Inquiry(rule=rule, url=url, headers=headers, method="HEAD", named_by=zone)
            response = await self._library.ask(inquiry)
            drain(response)
            answers.append(response.headers)
            location = response.headers.get("location")
            if response.status not in FOLLOWED or location is None:
                return seen(response.status, answers)
            try:
                onward = resolve(url, location.strip())
                stays = same_origin(onward, url)
            except ValueError as error:
                raise UpstreamError(Reason.REDIRECTS, str(error)) from None
            if not stays:
                if not _same_file(onward, target) or any("x-repo-commit" in a for a in answers):
                    return seen(response.status, answers)
                headers, zone = headers.only(*ELSEWHERE), response.zone
            url = onward
        raise UpstreamError(Reason.PROTOCOL, "too many redirects")


def _same_file(url: str, target: Target) -> bool:
    """Whether a URL, of whatever hub, means a file by the same revision and path."""
    other = target_of(url)
    return other is not None and (other.revision, other.path) == (target.revision, target.path)
