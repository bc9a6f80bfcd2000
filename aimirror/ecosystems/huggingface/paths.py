"""The Hugging Face Hub: which paths name files, and what the hub's answers say of them.

The hub answers for a file with the commit that a revision stands for and either the file itself,
a redirect to its place among small files, or one to a signed address at another host.  What those
answers say together is what the client must be told by the mirror's single one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from attrs import evolve, frozen

from aimirror.http.headers import Headers
from aimirror.http.json_text import member, parse_json
from aimirror.routing.digests import Digest, parse

#: Told by the hub itself, before a redirect to where the bytes are.
OF_THE_HUB = ("x-repo-commit", "x-linked-etag", "x-linked-size", "etag")
#: What leads clients past HTTP, to the hub's own protocol for chunks.
_XET = ("x-xet-hash", "x-xet-refresh-route", "x-xet-cas-url", "x-xet-access-token")
_XET_LINK = re.compile(r"""rel\s*=\s*"?xet-""", re.IGNORECASE)
#: Kept of a refusal: why, and when to come back.
_OF_REFUSALS = (
    *("x-error-code", "x-error-message", "x-repo-commit", "x-request-id", "www-authenticate"),
    *("retry-after", "ratelimit", "ratelimit-policy", "content-type"),
)

_FILE = re.compile(r"(?P<repo>https?://[^/]+/[^?]+?)/resolve/(?P<revision>[^/?]+)/(?P<path>[^?]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_API = re.compile(r"/api/(?P<kind>[a-z0-9-]+)(?:/(?P<rest>[^?]*))?(?:\?.*)?$")
_TREE = re.compile(r"/tree/")
_IN_COMMIT = re.compile(r"/(?:tree/)?[0-9a-f]{40}(?:/|$)")
_REVISION = re.compile(r"(.+/api/(?:models|datasets|spaces|kernels)/[^?]+)/revision/([0-9a-f]{40})")
_PATHS = re.compile(r"/api/(?:models|datasets|spaces|kernels)/[^?]+/paths-info/[^/?]+(?:\?.*)?")
_OWN = re.compile(
    r"/api/(?:repos/(?:create|move)|(?:models|datasets|spaces|kernels)/[^?]+/commit/[^/?]+)(?:\?.*)?"
)
_REPOS = frozenset({"models", "datasets", "spaces", "kernels"})


@frozen
class Target:
    """A file of a repository at a revision, all of them as they are in URLs."""

    #: The URL of the repository, such as "https://huggingface.co/datasets/owner/name".
    repo: str
    revision: str
    path: str

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"{self.repo}/resolve/{self.revision}/{self.path}"

    def at(self, commit: str) -> Target:
        """The file as it is in a commit."""
        return evolve(self, revision=commit)


def target(url: str) -> Target | None:
    """The file that an upstream's URL means; a query such as ``download=true`` changes nothing."""
    match = _FILE.match(url)
    return None if match is None else Target(match["repo"], match["revision"], match["path"])


@frozen
class Call:
    """What a path of the hub's API is about."""

    #: It is about one repository, and so the same for all who may see that.
    of_repo: bool = False
    #: Small files, at the address to which the hub redirects.
    is_file: bool = False
    is_tree: bool = False
    #: It is about a commit, and never changes.
    pinned: bool = False
    #: It is about whoever asks: nobody else may be given it, and nothing is kept.
    personal: bool = False


def call(url: str) -> Call | None:
    """What an upstream's URL asks of the API, None when it is not of the API."""
    match = _API.search(url)
    if match is None:
        return None
    kind, rest = match["kind"], match["rest"] or ""
    if kind == "resolve-cache":
        return Call(of_repo=True, is_file=True, pinned=_IN_COMMIT.search("/" + rest) is not None)
    if kind not in _REPOS or "-token" in rest:
        return Call(personal=True)
    tree = _TREE.search("/" + rest) is not None
    pinned = tree and _IN_COMMIT.search("/" + rest) is not None
    return Call(of_repo=bool(rest), is_tree=tree, pinned=pinned)


def revision(url: str) -> tuple[str, str]:
    """The URL of what is told of a repository, and the commit as of which a URL asks for it."""
    match = _REVISION.fullmatch(url)
    return (match[1], match[2]) if match is not None else ("", "")


def commit_of(data: bytes) -> str:
    """The commit of which the hub tells in the JSON about a repository, "" for none."""
    sha = member(data, "sha")
    return sha if isinstance(sha, str) else ""


def commit_told(data: bytes) -> bytes:
    """The same as bytes."""
    return commit_of(data).encode("utf-8", "replace")


def names_paths(url: str) -> bool:
    """Whether an upstream's URL is where a POST asks about files by their paths."""
    return _PATHS.search(url) is not None


def names_itself(url: str) -> bool:
    """Whether an upstream's URL is where a POST is answered with a repository's address."""
    return _OWN.search(url) is not None


@frozen
class Seen:
    """What the hub says of a file to one client."""

    status: int
    headers: Headers

    @property
    def commit(self) -> str:
        """The commit that the revision stands for, "" when the hub does not say."""
        return self.headers.get("x-repo-commit") or ""

    @property
    def etag(self) -> str:
        """What names the content, without quotes: a sha256 of large files, a git blob of others."""
        return bare(self.headers.get("x-linked-etag") or self.headers.get("etag"))

    @property
    def sha256(self) -> Digest | None:
        """What a large file hashes to."""
        linked = self.headers.get("x-linked-etag")
        return parse("sha256", bare(linked)) if linked else None

    @property
    def linked_size(self) -> int | None:
        """The bytes of a large file; other fields may be about the redirect that leads to it."""
        text = self.headers.get("x-linked-size") or ""
        return int(text) if text.isdecimal() else None

    @property
    def size(self) -> int | None:
        """Its bytes."""
        text = self.headers.get("x-linked-size") or self.headers.get("content-length") or ""
        return int(text) if text.isdecimal() else None

    @property
    def hidden(self) -> bool:
        """Whether a credential might show more: the hub hides the private behind 401 and 404."""
        if self.status == 404:
            return self.headers.get("x-error-code") not in ("EntryNotFound", "RevisionNotFound")
        return self.status in (401, 403, 429)


def seen(status: int, answers: Iterable[Headers]) -> Seen:
    """What a chain of answers says together; ``status`` is the last one's.

    The first answer that has a field says it, but for length and type, which are the last one's:
    a redirect's own are those of a note about it.
    """
    answers = tuple(answers)
    redirected = 300 <= status < 400
    last = answers[-1].without("content-length", "content-type") if redirected else answers[-1]
    headers = last.without("location", "transfer-encoding", "date", "set-cookie")
    for name in (*OF_THE_HUB, *_XET, "link"):
        values = next((a.get_all(name) for a in answers if name in a), None)
        if values is not None:
            headers = headers.with_(name, *values)
    return Seen(200 if redirected else status, headers)


def told(seen: Seen) -> Headers:
    """The fields of the mirror's answer to HEAD."""
    size = seen.size
    kept = seen.headers.only(*OF_THE_HUB, *_XET, "link", "content-type")
    length = [("Content-Length", str(size))] if size is not None else []
    return Headers([*named(kept), *length, ("Accept-Ranges", "bytes")])


def named(headers: Headers) -> Headers:
    """With the ETag by which the hub's clients name the file; a CDN has one of its own."""
    linked = headers.get("x-linked-etag")
    return headers.with_("ETag", f'"{bare(linked)}"') if linked else headers


def refusal(seen: Seen) -> tuple[Headers, bytes]:
    """The fields and the body of the answer when the hub says no."""
    message = seen.headers.get("x-error-message") or ""
    body = json.dumps({"error": message or f"the hub answers {seen.status}"}).encode()
    kept = seen.headers.only(*_OF_REFUSALS).without("content-type")
    return kept.with_("Content-Type", "application/json; charset=utf-8"), body


def without_xet(headers: Headers) -> Headers:
    """Without what would lead clients to the hub's chunks, past the mirror."""
    kept = headers.without(*_XET)
    if "link" not in kept:
        return kept
    links = [member for line in kept.get_all("link") for member in _members(line)]
    return kept.with_("Link", *(m for m in links if not _XET_LINK.search(m)))


def tree_without_xet(data: bytes) -> bytes:
    """A page of a tree without the names of its files' chunks; what is no page stays."""
    try:
        page: Any = parse_json(data)
    except ValueError:
        return data
    if not isinstance(page, list):
        return data
    for item in page:
        if isinstance(item, dict):
            item.pop("xetHash", None)
    return json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode()


def bare(etag: str | None) -> str:
    """An ETag's text alone: clients compare it so."""
    return (etag or "").strip().removeprefix("W/").strip('"')


def _members(line: str) -> list[str]:
    """The members of a Link field: commas inside of <> and quotes do not part them."""
    return re.findall(r"""(?:[^,<"]|<[^>]*>|"[^"]*")+""", line)
