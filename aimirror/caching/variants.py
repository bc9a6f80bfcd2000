"""Several stored responses of one URL: which of them answers a request (RFC 9111 section 4.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256

from aimirror.caching.directives import split_members
from aimirror.caching.entries import Entry
from aimirror.http.dates import parse_date
from aimirror.http.headers import CREDENTIALS, Headers

#: Fields whose members have no order and no case: weights alone rank them (RFC 9110 12.5).
_NEGOTIATION = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language"})
#: Negotiation values whose canonical form is kept; one per version of a client is usual.
_REMEMBERED = 1024
#: Characters of one that is: what clients send has a few hundred at most.
_LONGEST_KEPT = 1024
_PARAMETER = re.compile(r';((?:[^";]|"(?:[^"\\]|\\.)*")*)')
_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE | re.ASCII)


def variant(vary: Iterable[str], request: Headers) -> tuple[str, Headers] | None:
    """The variant id and the selecting fields of a request; None for ``Vary: *``.

    ``vary`` is the field lines of a response.  ``request`` is what goes upstream, not what the
    client sent: if the mirror chooses the Accept-Encoding, clients must not multiply variants.
    Credentials enter the id as a digest, and the selecting fields not at all.
    """
    names = sorted({name for line in vary for name in _names(line)})
    if not names:
        return "", Headers()
    if "*" in names:
        return None
    parts = [f"{n}:{_canonical(n, request.get_all(n))}" if n in request else n for n in names]
    return "\n".join(parts), request.only(*names).without(*CREDENTIALS)


def matches(entry: Entry, request: Headers) -> bool:
    """Whether the request's selecting fields are those of the request that was stored."""
    vary = entry.headers.get_all("Vary")
    if not vary:
        return not entry.variant
    ours = variant(vary, request)
    return ours is not None and ours[0] == entry.variant


def select(entries: Sequence[Entry], request: Headers, scope: str = "") -> Entry | None:
    """The most recent entry that matches, by Date (RFC 9111 section 4), then by time of receipt.

    Entries of other scopes than ``scope`` and "" (anyone) are never chosen.
    """
    fitting = [e for e in entries if e.scope in ("", scope) and matches(e, request)]
    return max(fitting, key=_recency) if len(fitting) > 1 else next(iter(fitting), None)


def _recency(entry: Entry) -> tuple[float, float]:
    date = parse_date(entry.headers.get("Date", "") or "", entry.received_at)
    return (entry.received_at if date is None else date, entry.received_at)


def _names(line: str) -> list[str]:
    return [name for name in (part.strip(" \t").lower() for part in line.split(",")) if name]


def _canonical(name: str, lines: tuple[str, ...]) -> str:
    """One spelling for all that RFC 9111 section 4.1 calls a match."""
    if name in _NEGOTIATION:
        short = sum(map(len, lines)) <= _LONGEST_KEPT
        return _remembered(lines) if short else _negotiated(lines)
    joined = ",".join(member for line in lines for member in split_members(line))
    if name in CREDENTIALS:
        return sha256(joined.encode("latin-1", "replace")).hexdigest()
    return joined


def _negotiated(lines: tuple[str, ...]) -> str:
    members = [member for line in lines for member in split_members(line)]
    return ",".join(sorted({_negotiable(member) for member in members if member}))


_remembered = lru_cache(maxsize=_REMEMBERED)(_negotiated)


def _negotiable(member: str) -> str:
    """A member of an Accept field with blanks, case and a weight of 1 normalised."""
    named = member.partition(";")[0]
    parameters = []
    for text in _PARAMETER.findall(member[len(named) :]):
        key, equals, value = text.strip(" \t").partition("=")
        parameter = f"{key.lower()}{equals}{value}"
        weight = _WEIGHT.fullmatch(parameter)
        if weight is not None:
            parameter = f"q={float(weight[1]):g}" if float(weight[1]) < 1 else ""
        if parameter:
            parameters.append(parameter)
    return ";".join([named.strip(" \t").lower(), *parameters])
