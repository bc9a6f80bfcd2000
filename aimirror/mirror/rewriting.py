"""Links in HTML and JSON on the way out: from an upstream's base URL to the mirror's.

Matching works on bytes, without parsing: what is no link is never changed, whatever its encoding.
A stream is cut at any place; of its text only so much is held back as the longest target needs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby

from attrs import frozen

from aimirror.http.conditions import ETag, parse_etag
from aimirror.mirror.link_targets import Link, Target, link_targets, path_target

#: Bytes of a match beside host, port and path.
_OVERHEAD = len(rb"https:\/\/")

#: Blanks that may stand on each side of ``=`` and ``:``; bounded, so that looking back is.
_BLANKS = 4

#: Hex digits of the mark in a rewritten body's ETag: enough to tell the few bases apart.
_MARK_DIGITS = 12


@frozen
class _Before:
    """What has to stand before a slash that a search starts from."""

    #: The one byte before it: a first sieve, much cheaper than the pattern.
    byte: bytes
    #: Its groups: all that belongs to the link, the scheme, and the escape of that slash.
    pattern: re.Pattern[bytes]
    #: The longest match, in bytes, without what its lookbehinds see (one byte).
    longest: int


#: Before a host and its last slash.  A scheme in the middle of a word is no link; without a scheme
#: it is one only as the start of an attribute or a string.
_BEFORE_HOST = _Before(
    rb"[/\\]",
    re.compile(rb"""((?:(?<![\w+.-])(https?):|(?<=["'=]))\\?/(\\?))\Z""", re.IGNORECASE),
    len(rb"https:\/") + len(b"\\"),
)
#: Before a root-relative path and its first slash: an attribute or the value of a JSON member.
_BEFORE_PATH = _Before(
    rb"""["'\\]""",
    re.compile(
        rb"""(?:(?<![\w-])(?:href|src)\s{0,%d}=\s{0,%d}["']|"\s{0,%d}:\s{0,%d}")(()(\\?))\Z"""
        % (_BLANKS, _BLANKS, _BLANKS, _BLANKS),
        re.IGNORECASE,
    ),
    len(b"href") + _BLANKS + len(b"=") + _BLANKS + len(b'"') + len(b"\\"),
)
#: Bytes before a link that are looked at to see which JSON member it is the value of.
_MEMBER_REACH = 320
#: What leads to a page for people, never to a download: the value of such a member, or one within
#: such an object or list.
_FOR_PEOPLE = re.compile(
    rb"""(?:"(?:homepage|home_page|docs?_url|documentation|project_?url|icon_?url|license_?url"""
    rb"""|bugtrack_url|website|bugs|repository|funding)"\s{0,4}:\s{0,4}"""
    rb"""|"(?:bugs|repository|author|funding|support|project_urls)"\s{0,4}:\s{0,4}"""
    rb"""[\[{]\s{0,16}(?:[^\[\]{}]{0,250}[:,]\s{0,16})?)"\Z""",
    re.IGNORECASE,
)
#: Bytes to keep of what was given out.
_LOOKBACK = max(_BEFORE_HOST.longest, _BEFORE_PATH.longest) + 1 + _MEMBER_REACH


@frozen
class _Search:
    """A set of targets as one pattern: at a match, ``lastindex`` tells the target."""

    #: Starts with a literal slash, so that the search runs at the speed of memchr.
    pattern: re.Pattern[bytes]
    before: _Before
    targets: tuple[Target, ...]
    #: What has to stand before a link, where only the values of some members are ones, and how
    #: many bytes that takes at most: in JSON, else in YAML.
    member: tuple[tuple[re.Pattern[bytes], int], ...] = ()

    def _is_download(self, data: bytes, start: int) -> bool:
        if self.member:
            return any(p.search(data, max(0, start - reach), start) for p, reach in self.member)
        return _FOR_PEOPLE.search(data, max(0, start - _MEMBER_REACH), start) is None

    def edits(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """All places to change, in order: start, stop and new text."""
        look, reach, targets = self.before.pattern.search, self.before.longest, self.targets
        for matches in self.pattern.finditer(data):
            slash, stop = matches.span()
            before = look(data, max(0, slash - reach), slash)
            if before is None:
                continue
            own, scheme, escape = before.groups()
            target = targets[(matches.lastindex or 0) - 1]
            right = (scheme or b"").lower() in target.schemes
            if right and self._is_download(data, slash - len(own)):
                yield slash - len(own), stop, target.escaped if escape else target.plain


class Rewriter:
    """Rewrites one body: ``feed`` its chunks, then ``end``.

    ``links`` are tried longest first.  ``root_relative`` maps prefixes of root-relative links
    (``href="/whl/..."``, ``"url": "/whl/..."``) to others; the prefix "" means every such link.
    With ``members``, values of JSON members of these names alone are links (in YAML those, and
    the first of a list); else all but those
    that lead to pages for people (``homepage``, ``bugs``, ``repository``).
    Raises ValueError for a link whose ``old`` is no plain http or https URL.
    """

    def __init__(
        self,
        links: Sequence[Link],
        root_relative: Sequence[tuple[str, str]] = (),
        members: Sequence[str] = (),
    ) -> None:
        hosts = [target for link in links for target in link_targets(link)]
        paths = [path_target(old, new) for old, new in root_relative]
        self._searches = [
            _search(before, targets, _member(members))
            for before, targets in ((_BEFORE_HOST, hosts), (_BEFORE_PATH, paths))
            if targets
        ]
        #: A match that starts further than this from the end is there whole, with a byte behind.
        self._reach = max((target.longest for target in hosts + paths), default=0) + _OVERHEAD
        #: Bytes not given out yet, behind a few that were and that are looked back at.
        self._data = b""
        self._done = 0

    def feed(self, chunk: bytes) -> bytes:
        """Take some bytes, give out those that are settled."""
        if not self._searches:
            return chunk
        self._data += chunk
        return self._settle(len(self._data) - self._reach)

    def end(self) -> bytes:
        """Give out the rest; afterwards another body may be fed."""
        rest = self._settle(len(self._data))
        self._data, self._done = b"", 0
        return rest

    def rewrite(self, data: bytes) -> bytes:
        """A whole body at once; leaves a body that is being fed alone."""
        text, _ = self._apply(data, 0, len(data))
        return text

    def _settle(self, limit: int) -> bytes:
        if limit <= self._done:
            return b""
        text, position = self._apply(self._data, self._done, limit)
        kept = max(0, position - _LOOKBACK)
        self._data, self._done = self._data[kept:], position - kept
        return text

    def _apply(self, data: bytes, position: int, limit: int) -> tuple[bytes, int]:
        """Rewrite from ``position`` on what starts before ``limit``; also tells where it ended."""
        pieces: list[bytes] = []
        for start, stop, text in merge(*(search.edits(data) for search in self._searches)):
            if position <= start < limit:
                pieces += (data[position:start], text)
                position = stop
        end = max(position, limit)
        pieces.append(data[position:end])
        return b"".join(pieces), end


def rewritten_etag(etag: str | None, base: str) -> str | None:
    """The ETag of a body rewritten for the mirror at ``base``, None without a valid one.

    It is weak, for only the meaning is the upstream's, and differs from the upstream's own and
    from that for other bases.
    """
    tag = parse_etag(etag)
    if tag is None:
        return None
    return str(ETag(f"{tag.opaque}{_mark(base, weak=tag.weak)}", weak=True))


def _mark(base: str, *, weak: bool) -> str:
    """What is appended to a tag; it remembers whether that was weak."""
    digest = hashlib.sha256(base.encode()).hexdigest()[:_MARK_DIGITS]
    return f"-{'w' if weak else 's'}{digest}"


def _member(names: Sequence[str]) -> tuple[tuple[re.Pattern[bytes], int], ...]:
    """Apart, as a look back costs by its length, and nearly all of it is JSON."""
    if not names:
        return ()
    choices = b"|".join(re.escape(name.encode()) for name in names)
    longest = max(len(name.encode()) for name in names)
    json = re.compile(rb"""(?:"(?:%b)"\s{0,4}:\s{0,4}")\Z""" % choices)
    yaml = re.compile(rb"""(?:(?:\A|[\n\s])(?:%b):\s{0,80}(?:-\s{1,4})?["']?)\Z""" % choices)
    return (json, longest + 12), (yaml, longest + 88)


def _search(
    before: _Before,
    targets: Iterable[Target],
    member: tuple[tuple[re.Pattern[bytes], int], ...],
) -> _Search:
    """One pattern of all targets, the longest first; ``re`` remembers it from body to body."""
    ordered = tuple(sorted(targets, key=lambda target: (target.head, -target.longest)))
    choices = b"|".join(
        b"%b(?:%b)" % (head, b"|".join(b"%b()" % target.tail for target in group))
        for head, group in groupby(ordered, lambda target: target.head)
    )
    return _Search(re.compile(b"/(?<=%b/)(?:%b)" % (before.byte, choices)), before, ordered, member)
