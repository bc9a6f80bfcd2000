"""Cookies of one request's redirects (RFC 6265): some servers set one and ask for it at once.

They live as long as the redirects do, and go back to the very host that set them.
"""

from __future__ import annotations

from attrs import frozen

from aimirror.http.headers import Headers
from aimirror.http.targets import parse_target

#: Cookies of one chain, and characters of one; more are dropped.
MOST_COOKIES = 20
LONGEST_COOKIE = 4096


@frozen
class _Cookie:
    host: str
    name: str
    value: str
    secure: bool


@frozen
class Cookies:
    """What the answers of a chain have set so far."""

    _cookies: tuple[_Cookie, ...] = ()

    def after(self, url: str, headers: Headers) -> Cookies:
        """With what an answer from ``url`` sets; raises BadTarget."""
        host = parse_target(url).host
        kept = {(each.host, each.name): each for each in self._cookies}
        for line in headers.get_all("set-cookie"):
            pair, *attributes = line.split(";")
            name, sign, value = (part.strip() for part in pair.partition("="))
            if not sign or not name or len(pair) > LONGEST_COOKIE:
                continue
            words = {attribute.strip().lower() for attribute in attributes}
            kept.pop((host, name), None)
            if "max-age=0" not in words and len(kept) < MOST_COOKIES:
                kept[host, name] = _Cookie(host, name, value, "secure" in words)
        return Cookies(tuple(kept.values()))

    def added(self, headers: Headers, url: str) -> Headers:
        """A request's fields with those that its host has set; raises BadTarget."""
        target = parse_target(url)
        ours = {
            each.name: each.value
            for each in self._cookies
            if each.host == target.host and (target.scheme == "https" or not each.secure)
        }
        if not ours:
            return headers
        sent = (pair.strip() for line in headers.get_all("cookie") for pair in line.split(";"))
        others = [pair for pair in sent if pair and pair.partition("=")[0] not in ours]
        pairs = [*others, *(f"{name}={value}" for name, value in ours.items())]
        return headers.with_("Cookie", "; ".join(pairs))
