"""A small Hugging Face Hub on one port, with its large files behind signed addresses on another."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from attrs import define, field, frozen

from aimirror.testing.site import Asked, File, Site

#: Bytes from which on a file is a large one.
LARGE = 1_000_000

_KINDS = "models|datasets|spaces|kernels"
_RESOLVE = re.compile(r"/(?:(datasets|spaces|kernels)/)?([^/]+(?:/[^/]+)?)/resolve/([^/]+)/(.+)")
_CACHED = re.compile(
    r"/api/resolve-cache/(models|datasets|spaces|kernels)/(.+?)/([0-9a-f]{40})/(.+)"
)
_API = re.compile(rf"/api/({_KINDS})/(.+?)(?:/(revision|tree|paths-info|xet-read-token)/([^/]+))?")


@define
class Repo:
    """Commits, each with all of its files, and the names that stand for them."""

    commits: dict[str, dict[str, bytes]] = field(factory=dict)
    names: dict[str, str] = field(factory=dict)
    #: Tokens that may read it; None is everybody.
    readers: frozenset[str] | None = None
    gated: bool = False

    def commit(self, files: Mapping[str, bytes], *names: str) -> str:
        """Add a commit, to which these names lead from now on."""
        sha = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[sha] = dict(files)
        for name in names or ("main",):
            self.names[name] = sha
        return sha


@frozen
class _Refusal(Exception):
    status: int
    code: str
    message: str
    commit: str = ""


@define
class Hub:
    """``repos`` by "models/ns/name"; ``renamed`` leads old ids to new ones.

    A signature lives for ``signed_for`` seconds, and for ``signed_uses`` requests if that is not 0.
    A page of a tree names ``page`` files.  Links lead to ``cdn_url`` if that is given.
    """

    hub: Site = field(factory=Site)
    cdn: Site = field(factory=Site)
    repos: dict[str, Repo] = field(factory=dict)
    renamed: dict[str, str] = field(factory=dict)
    signed_for: float = 3600.0
    signed_uses: int = 0
    page: int = 2
    cdn_url: str = ""
    _signatures: dict[str, list[float]] = field(factory=dict)
    #: Content by path on ``cdn``.
    large: dict[str, bytes] = field(factory=dict)

    def start(self) -> None:
        """Listen on both ports."""
        self.hub.fallback = self._answer
        self.cdn.fallback = self._give
        self.hub.start()
        self.cdn.start()

    def stop(self) -> None:
        """Refuse connections."""
        self.hub.stop()
        self.cdn.stop()

    def repo(self, name: str, **more: Any) -> Repo:
        """A new repository, such as "models/ns/name"."""
        self.repos[name] = made = Repo(**more)
        return made

    # -- the hub -----------------------------------------------------------------------------

    def _answer(self, asked: Asked) -> File | None:
        path, _, query = asked.target.partition("?")
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            if path == "/api/whoami-v2":
                return self._whoami(token)
            match = _CACHED.fullmatch(path)
            if match is not None:
                return self._cached(match, token)
            match = _RESOLVE.fullmatch(path)
            if match is not None:
                return self._resolved(match, token, asked)
            match = _API.fullmatch(path)
            return self._api(match, token, query, asked.body) if match is not None else None
        except _Refusal as refusal:
            return _refused(refusal)

    def _whoami(self, token: str) -> File:
        if not token:
            raise _Refusal(401, "", "Invalid username or password.")
        return _json({"type": "user", "name": token, "orgs": [], "auth": {"type": "access_token"}})

    def _repo(self, kind: str, name: str, token: str) -> Repo:
        repo = self.repos.get(f"{kind}/{name}")
        missing = _Refusal(401, "RepoNotFound", "Repository not found")
        if repo is None:
            raise missing
        if repo.readers is not None and token not in repo.readers:
            if repo.gated:
                status = 403 if token else 401
                raise _Refusal(status, "GatedRepo", f"Access to {name} is restricted")
            raise missing
        return repo

    def _commit(self, repo: Repo, revision: str) -> tuple[str, dict[str, bytes]]:
        commit = repo.names.get(unquote(revision), unquote(revision))
        if commit not in repo.commits:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit, repo.commits[commit]

    def _resolved(self, match: re.Match[str], token: str, asked: Asked) -> File:
        kind, name, revision, path = match[1] or "models", match[2], match[3], match[4]
        new = self.renamed.get(f"{kind}/{name}")
        if new is not None:
            moved = asked.target.replace(f"/{name}/", f"/{new}/", 1)
            return _moved(307, moved)
        repo = self._repo(kind, name, token)
        commit, files = self._commit(repo, revision)
        content = files.get(unquote(path))
        if content is None:
            raise _Refusal(404, "EntryNotFound", "Entry not found", commit)
        fields = [("X-Repo-Commit", commit)]
        if len(content) < LARGE:
            etag = f'"{_git(content)}"'
            query = f"{quote(asked.target, safe='')}=&etag={quote(etag)}"
            cached = f"/api/resolve-cache/{kind}/{name}/{commit}/{path}?{query}"
            return _moved(307, cached, fields, etag)
        sha256 = hashlib.sha256(content).hexdigest()
        chunks = hashlib.blake2b(content, digest_size=32).hexdigest()
        self.large.setdefault(f"/xet/{chunks}", content)
        refresh = f"{self.hub.url}/api/{kind}/{name}/xet-read-token/{commit}"
        fields += [
            ("X-Linked-Size", str(len(content))),
            ("X-Linked-Etag", f'"{sha256}"'),
            ("X-Xet-Hash", chunks),
            ("Link", f'<{refresh}>; rel="xet-auth"'),
            ("Link", f'<{self.hub.url}/api/x>; rel="xet-reconstruction-info"'),
        ]
        return _moved(302, self._signed(f"/xet/{chunks}"), fields, f'"{_git(content)}"')

    def _cached(self, match: re.Match[str], token: str) -> File:
        kind, name, commit, path = match.groups()
        _, files = self._commit(self._repo(kind, name, token), commit)
        content = files[unquote(path)]
        fields = (("X-Repo-Commit", commit),)
        return File(content, "text/plain; charset=utf-8", headers=fields, etag=f'"{_git(content)}"')

    def _api(self, match: re.Match[str], token: str, query: str, body: bytes) -> File:
        kind, name, verb, revision = match.groups()
        new = self.renamed.get(f"{kind}/{name}")
        if new is not None:
            old, _, rest = match[0].partition(f"/{name}")
            return _moved(307, f"{old}/{new}{rest}")
        repo = self._repo(kind, name, token)
        if verb == "xet-read-token":
            return _json({"casUrl": "http://127.0.0.1:9", "exp": 0, "accessToken": "x"})
        commit, files = self._commit(repo, revision or "main")
        if verb == "tree":
            return self._tree(match[0], files, query)
        if verb == "paths-info":
            return _json([_item(path, files[path]) for path in _paths(body) if path in files])
        document = {
            "_id": "1",
            "id": name,
            "modelId": name,
            "sha": commit,
            "private": repo.readers is not None,
            "gated": False,
            "disabled": False,
            "downloads": 1,
            "likes": 0,
            "tags": [],
            "lastModified": "2024-01-01T00:00:00.000Z",
            "createdAt": "2024-01-01T00:00:00.000Z",
            "siblings": [{"rfilename": path} for path in sorted(files)],
        }
        return _json(document)

    def _tree(self, path: str, files: dict[str, bytes], query: str) -> File:
        asked = parse_qs(query)
        start = int(asked.get("cursor", ["0"])[0])
        names = sorted(files)
        if asked.get("recursive", [""])[0].lower() not in ("true", "1"):
            names = [name for name in names if "/" not in name]
        items = [_item(name, files[name]) for name in names[start : start + self.page]]
        if start + self.page >= len(names):
            return _json(items)
        onward = f"{self.hub.url}{path}?recursive=true&expand=false&cursor={start + self.page}"
        return _json(items, (("Link", f'<{onward}>; rel="next"'),))

    # -- where the bytes are -----------------------------------------------------------------

    def _signed(self, path: str) -> str:
        signature = f"s{len(self._signatures)}"
        self._signatures[signature] = [time.time() + self.signed_for, self.signed_uses]
        return f"{self.cdn_url or self.cdn.url}{path}?Signature={signature}"

    def _give(self, asked: Asked) -> File | None:
        path, _, query = asked.target.partition("?")
        signature = self._signatures.get(parse_qs(query).get("Signature", [""])[0])
        denied = File(b"<Error>expired</Error>", "application/xml", 403)
        if signature is None or asked.method != "GET" or "authorization" in asked.headers:
            return denied
        if time.time() > signature[0]:
            return denied
        if self.signed_uses:
            signature[1] -= 1
            if signature[1] < 0:
                return denied
        content = self.large.get(path)
        if content is None:
            return None
        public = (("Cache-Control", "public, max-age=31536000"),)
        return File(content, headers=public, etag=f'"{path.rpartition("/")[2]}"')


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _item(name: str, content: bytes) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "file", "oid": _git(content), "size": len(content)}
    if len(content) >= LARGE:
        sha256 = hashlib.sha256(content).hexdigest()
        item["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
        item["xetHash"] = hashlib.blake2b(content, digest_size=32).hexdigest()
    return {**item, "path": name}


def _paths(body: bytes) -> list[str]:
    """The paths that a POST names, as JSON or as a form."""
    if body.startswith(b"{"):
        paths: str | list[str] = json.loads(body)["paths"]
        return [paths] if isinstance(paths, str) else paths
    return parse_qs(body.decode()).get("paths", [])


def _json(value: Any, headers: tuple[tuple[str, str], ...] = ()) -> File:
    return File(json.dumps(value).encode(), "application/json; charset=utf-8", headers=headers)


def _moved(status: int, to: str, fields: Any = (), etag: str = "") -> File:
    note = f"Redirecting to {to.partition('?')[0]}".encode()
    return File(note, "text/plain", status, (*fields, ("Location", to)), etag=etag)


def _refused(refusal: _Refusal) -> File:
    fields = [("X-Error-Code", refusal.code), ("X-Error-Message", refusal.message)]
    fields = [pair for pair in fields if pair[1]]
    fields += [("X-Repo-Commit", refusal.commit)] if refusal.commit else []
    body = json.dumps({"error": refusal.message}).encode()
    return File(body, "application/json", refusal.status, tuple(fields))
