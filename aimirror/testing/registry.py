"""A scripted registry: an origin whose ``/v2/`` wants tokens, and whose CDN is strict.

Images are resources of the origin.  ``/_origin/policy`` takes a Policy as JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote

from attrs import Factory, frozen

from aimirror.testing.answers import Answer, Request, simple
from aimirror.testing.origin import CONTROL, Origin

#: Below it lie blobs to which the registry redirects.
CDN = "/cdn/"


@frozen(kw_only=True)
class Policy:
    """Who may read what."""

    #: "token", "basic" or "" for everybody.
    auth: str = ""
    #: Name -> password.
    users: dict[str, str] = Factory(dict)
    #: Repository -> the users that may read it; what is not listed is public.
    private: dict[str, list[str]] = Factory(dict)
    #: Seconds that a token says it lives.
    life: int = 300
    #: Tokens of other generations are refused, as if they had expired.
    generation: int = 1
    #: Answer everything below /v2/ with this status.
    status: int = 0
    #: "METHOD path" -> the status of its answers.
    statuses: dict[str, int] = Factory(dict)
    #: What such an answer says, in the format of the specification's errors.
    reason: str = ""


def digest_of(content: bytes) -> str:
    """The name of some bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry(Origin):
    """An origin that is a registry."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.policy = Policy()

    def respond(self, request: Request, connection_of: Callable[[str], int]) -> Answer:
        """What to answer, once it is known who asks."""
        path = request.path
        if path == f"{CONTROL}policy":
            self.policy = Policy(**json.loads(request.body))
            return simple(200)
        if path == "/token":
            self.requests.append(request)
            self.count(path).requests += 1
            return self._token(request)
        if path.startswith(CDN) and "authorization" in request.headers:
            return simple(400, "only one authentication mechanism is allowed")
        if path.startswith(CDN) and request.method == "HEAD":
            return simple(403, "signed for GET")
        if path == "/v2" or path.startswith("/v2/"):
            refusal = self._refusal(request)
            if refusal is not None:
                self.requests.append(request)
                self.count("refused").requests += 1
                return refusal
            if path == "/v2/":
                return simple(200, "{}")
        return super().respond(request, connection_of)

    def _refusal(self, request: Request) -> Answer | None:
        policy = self.policy
        status = policy.statuses.get(f"{request.method} {request.path}", policy.status)
        if status and policy.reason:
            text = json.dumps({"errors": [{"code": "DENIED", "message": policy.reason}]})
            return simple(status, text, ("Content-Type", "application/json"))
        if status:
            return simple(status, "", ("Retry-After", "7"))
        if not policy.auth:
            return None
        user, error = self._user(request)
        name = request.path.removeprefix("/v2/").rsplit("/", 2)[0]
        readers = policy.private.get(name)
        if user is not None and (readers is None or user in readers or request.path == "/v2/"):
            return None
        host = request.headers.get("Host")
        challenge = 'Basic realm="registry"'
        if policy.auth == "token":
            text = f'Bearer realm="http://{host}/token",service="scripted, with a comma"'
            challenge = f'{text},scope="repository:{name}:pull"{error}'
        return simple(401, "", ("WWW-Authenticate", challenge))

    def _user(self, request: Request) -> tuple[str | None, str]:
        """Who asks ("" for anybody with a token), None for nobody; and what is wrong."""
        scheme, _, value = (request.headers.get("Authorization") or "").partition(" ")
        if self.policy.auth == "basic":
            return (self._known(value) if scheme == "Basic" else None), ""
        if scheme != "Bearer":
            return None, ""
        try:
            values = json.loads(base64.urlsafe_b64decode(value))
        except ValueError:
            return None, ',error="invalid_token"'
        if values["generation"] != self.policy.generation:
            return None, ',error="invalid_token"'
        name = request.path.removeprefix("/v2/").rsplit("/", 2)[0]
        if name and request.path != "/v2/" and name not in values["names"]:
            return None, ',error="insufficient_scope"'
        return values["user"], ""

    def _known(self, basic: str) -> str | None:
        try:
            user, _, password = base64.b64decode(basic).decode().partition(":")
        except ValueError:
            return None
        return user if self.policy.users.get(user) == password else None

    def _token(self, request: Request) -> Answer:
        scheme, _, value = (request.headers.get("Authorization") or "").partition(" ")
        user = self._known(value) if scheme == "Basic" else ""
        if user is None:
            return simple(401, "", ("WWW-Authenticate", 'Basic realm="token"'))
        scopes = parse_qs(request.query).get("scope", [])
        names = [scope.split(":")[1] for scope in scopes]
        values = {"user": user, "names": names, "generation": self.policy.generation}
        token = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
        body = json.dumps({"token": token, "expires_in": self.policy.life})
        return simple(200, body, ("Cache-Control", "no-store"))


def described(
    name: str, manifest: bytes, media_type: str, *tags: str, **behaviour: Any
) -> dict[str, dict[str, Any]]:
    """The script that serves a manifest under its digest and its tags."""
    digest = digest_of(manifest)
    script = {
        "text": manifest.decode(),
        "media_type": media_type,
        "headers": [("Docker-Content-Digest", digest)],
        **behaviour,
    }
    return {f"/v2/{name}/manifests/{quote(each, safe=':')}": script for each in (digest, *tags)}


def main() -> None:
    """Run as a program until killed; prints one line when it listens."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    registry = Registry(reactor)
    ports = [registry.listen(int(port)) for port in sys.argv[1:] or ["0"]]
    sys.stdout.write(f"listening {' '.join(map(str, ports))}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main()
