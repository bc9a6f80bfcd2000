"""Where a redirect leads, what it may carry along, and which addresses it may reach."""

from __future__ import annotations

import re

from attrs import evolve, frozen

from aimirror.http.cookies import Cookies
from aimirror.http.egress import Outgoing, Reach, Zone
from aimirror.http.forwarding import ELSEWHERE
from aimirror.http.headers import Headers
from aimirror.http.targets import BadTarget, parse_target

#: Followed for GET and HEAD alone, whose method never changes (RFC 9110 section 15.4).
FOLLOWED = frozenset({301, 302, 303, 307, 308})
_METHODS = ("GET", "HEAD")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
#: Spaces and bytes beyond ASCII, which servers send although a URL can't hold them.
_UNENCODED = re.compile(r"[ \x80-\xff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BadRedirect(ValueError):
    """A redirect that must not be followed; the message never quotes the target."""


@frozen
class Trail:
    """The way of one request through its redirects, up to the request that is sent next."""

    outgoing: Outgoing
    #: Redirects that may still be followed.
    budget: int
    #: URLs already asked, and with which cookies: each would answer the same again.
    visited: frozenset[tuple[str, Cookies]] = frozenset()
    #: What the answers on the way have set.
    cookies: Cookies = Cookies()

    def next_hop(self, status: int, headers: Headers, zone: Zone) -> Trail | None:
        """The trail after an answer, or None when that answer is the final one.

        ``zone`` is the kind of network that the answer came from.  Where scheme, host or port
        change, only the fields of ``ELSEWHERE`` go on, and no certificate is shown; as each hop
        starts from the fields of the last one the others never come back.  From https to http is
        followed, too, as all clients do: it carries no credentials, and whoever can forge the
        answer is caught by the digest where one is known.  Raises BadRedirect.
        """
        location = headers.get("location")
        if status not in FOLLOWED or location is None or self.outgoing.method not in _METHODS:
            return None
        if not self.budget:
            raise BadRedirect("too many redirects")
        url = resolve(self.outgoing.url, location.strip(" \t"))
        visited = self.visited | {(self.outgoing.url, self.cookies)}
        cookies = self.cookies.after(self.outgoing.url, headers)
        if (url, cookies) in visited:
            raise BadRedirect("a redirect leads back to where it came from")
        return Trail(self._onward(url, zone, cookies), self.budget - 1, visited, cookies)

    def _onward(self, url: str, zone: Zone, cookies: Cookies) -> Outgoing:
        here = self.outgoing
        try:
            same = same_origin(url, here.url)
        except BadTarget as error:
            raise BadRedirect(f"a redirect leads nowhere: {error}") from None
        headers = here.headers if same else here.headers.only(*ELSEWHERE)
        headers = cookies.added(headers, url)
        egress = here.egress if same else evolve(here.egress, trust=here.egress.trust.anonymous)
        if not self.visited:  # the rule's own upstream answered: what is it allowed to point at?
            egress = evolve(egress, reach=redirected_reach(egress.reach, zone))
        return evolve(here, url=url, headers=headers, egress=egress)


def same_origin(url: str, other: str) -> bool:
    """Whether scheme, host and port are equal; raises BadTarget."""
    return parse_target(url).origin == parse_target(other).origin


def redirected_reach(first: Reach, zone: Zone) -> Reach:
    """What redirects of a first request, answered from ``zone``, may reach.

    Public addresses; the zone that the first upstream itself lies in, as a loopback one may
    point at loopback; and the networks and hosts that the configuration lists.
    """
    return evolve(first, zones=frozenset({Zone.PUBLIC, zone}))


def resolve(base: str, reference: str) -> str:
    """The absolute URL of a Location (RFC 3986 section 5.2), without fragment.

    Unlike ``urljoin`` it leaves an absolute path and every query to the letter (an empty ``?``
    included); only dot segments of a *relative* path are removed.  Raises BadRedirect for
    control characters.
    """
    if _CONTROL.search(reference):
        raise BadRedirect("a redirect's Location holds a control character")
    reference = _UNENCODED.sub(lambda m: f"%{ord(m[0]):02X}", reference).partition("#")[0]
    base = base.partition("#")[0]
    scheme, _, rest = base.partition("://")
    end = re.search(r"[/?]", rest)
    authority, path = (rest[: end.start()], rest[end.start() :]) if end else (rest, "/")
    if _SCHEME.match(reference):
        return reference
    if reference.startswith("//"):
        return f"{scheme}:{reference}"
    path, _, _ = path.partition("?")
    if not reference:
        return base
    if reference.startswith("?"):
        return f"{scheme}://{authority}{path or '/'}{reference}"
    if not reference.startswith("/"):
        reference = _merged(path, reference)
    return f"{scheme}://{authority}{reference}"


def _merged(path: str, reference: str) -> str:
    relative, mark, query = reference.partition("?")
    segments = [*path.split("/")[:-1], *relative.split("/")] if path else ["", *relative.split("/")]
    kept: list[str] = []
    for segment in segments[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept) + mark + query
