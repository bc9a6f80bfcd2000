"""What is stored of the hub: files under their commits, and what branches stood for last.

A branch has an entry without a body, a redirect to the commit that it stood for; its files are
those of the commit.  So branches, tags and commits share what they have in common.  What HEAD was
told of a commit's file is kept beside its bytes, which may never have been asked for.
"""

from __future__ import annotations

from aimirror.caching.caching import prepare
from aimirror.caching.entries import Entry
from aimirror.ecosystems.huggingface import paths as huggingface
from aimirror.ecosystems.huggingface.metadata import Look
from aimirror.ecosystems.huggingface.paths import Seen, Target, bare
from aimirror.http import urls
from aimirror.http.headers import Headers
from aimirror.interfaces import ILibrary

#: The status of a branch's entry.
_NOTED = 307
_MISSING = 404
_OCTETS = "application/octet-stream"


class Shelf:
    """Entries of the hub's files in the store; ``rule`` is the name of the rule that stores."""

    def __init__(self, library: ILibrary) -> None:
        self._library = library

    def _entries(self, target: Target) -> tuple[Entry, ...]:
        return self._library.at(urls.canonical(target.url)).entries

    def public(self, target: Target) -> bool:
        """Whether what everybody is given for a commit's file is stored: its bytes, or no file."""
        return any(
            not e.scope and (e.status == 200 or (e.status == _MISSING and e.immutable))
            for e in self._entries(target)
        )

    def has(self, target: Target, scope: str) -> bool:
        """Whether a commit's file is stored for a scope."""
        return any(e.scope == scope and e.status == 200 for e in self._entries(target))

    def noted(self, target: Target, since: float) -> Seen | None:
        """What everybody was told of a file last, not before a time (epoch seconds)."""
        for entry in self._library.at(_noted_as(target)).entries:
            is_note = entry.status in (_NOTED, _MISSING) and "x-repo-commit" in entry.headers
            if is_note and not entry.scope and entry.received_at >= since:
                return Seen(200 if entry.status == _NOTED else _MISSING, entry.headers)
        return None

    def note(self, target: Target, seen: Seen, rule: str) -> None:
        """Remember what everybody was told; what is hidden by now is forgotten."""
        if seen.hidden and seen.status != 429:
            for key in {urls.canonical(target.url), _noted_as(target)}:
                self._library.drop_key(key)
        elif seen.commit and seen.status == _MISSING:
            headers = huggingface.refusal(seen)[0].without("content-type")
            self._put(target, "", headers, rule, status=_MISSING)
        elif seen.commit and seen.status == 200:
            path = urls.reference(urls.path(target.at(seen.commit).url))
            headers = huggingface.told(seen).with_("Location", path)
            self._put(target, "", headers, rule, status=_NOTED, key=_noted_as(target))

    def adopt(self, target: Target, look: Look, last: Seen | None, rule: str) -> None:
        """Store a commit's file by bytes that another commit, branch or repository has brought.

        ``last`` is what the branch was told to be before.  A hub's word is enough for bytes that
        are anybody's, or that it brought itself: another hub only knows their digest.
        """
        scope, seen = look.scope, look.seen
        if self.has(target, scope) or (scope and self.has(target, "")):
            return
        self._forget_absence(target)
        equal = self._equal(target, look, last)
        if equal is not None:
            blob, size, kind = equal
            headers = huggingface.told(seen).with_("Content-Type", kind)
            headers = headers.without("content-length", "accept-ranges")
            self._put(target, scope, headers, rule, blob=blob, size=size)

    def _equal(self, target: Target, look: Look, last: Seen | None) -> tuple[str, int, str] | None:
        """Blob, size and type of what the hub says the file is; no blob for an empty one."""
        seen = look.seen
        if seen.size == 0:
            return "", 0, _OCTETS
        if seen.sha256 is not None:
            blob = seen.sha256.hex
            stored = self._library.blob_size(blob, look.hub) == seen.size
            return (blob, seen.size or 0, _OCTETS) if stored else None
        before = () if last is None else self._entries(target.at(last.commit))
        for entry in (*self._entries(target), *before):
            vouched = not entry.scope or look.hub == urls.origin(target.url)
            if (
                vouched
                and entry.blob
                and seen.etag
                and bare(entry.headers.get("etag")) == seen.etag
            ):
                return entry.blob, entry.size, entry.headers.get("content-type") or _OCTETS
        return None

    def _forget_absence(self, target: Target) -> None:
        """What those without a right were told must not stand in for what there is."""
        for entry in self._entries(target):
            if not entry.scope and entry.status >= 400:
                self._library.drop(entry)

    def _put(
        self,
        target: Target,
        scope: str,
        headers: Headers,
        rule: str,
        *,
        status: int = 200,
        blob: str = "",
        size: int = 0,
        key: str = "",
    ) -> None:
        now = self._library.now()
        entry = Entry(
            key=key or urls.canonical(target.url),
            scope=scope,
            status=status,
            headers=prepare(headers, now),
            requested_at=now,
            received_at=now,
            blob=blob,
            size=size,
            rule=rule,
            immutable=target.pinned,
        )
        self._library.put(entry)


def _noted_as(target: Target) -> str:
    """The key of what was told of a file; a commit's own key is that of its bytes."""
    key = urls.canonical(target.url)
    return f"{key}#head" if target.pinned else key
