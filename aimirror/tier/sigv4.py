"""Signatures and credentials for S3; these by botocore, which knows where each cloud keeps them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import lru_cache
from time import gmtime, strftime
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from aimirror.http.headers import Headers

#: Seconds for which credentials are used before botocore is asked again whether they hold.
REFRESH = 60.0
#: Seconds for which a URL that was signed can be used.
URL_SECONDS = 3600
#: In place of a digest that is not signed.
UNSIGNED = "UNSIGNED-PAYLOAD"
#: Ports that a request's Host does not name.
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class NoCredentials(Exception):
    """There is nothing to sign with; the text says what is missing."""


@frozen
class Secret:
    """Access key, secret key and session token."""

    access: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Secret({self.access!r}, '***')"


def find() -> Callable[[], Secret]:
    """Look for credentials (environment, files, roles); what gives them when asked.

    Blocks, and so does the result.  Raises NoCredentials.
    """
    try:
        from botocore.session import Session
    except ImportError:
        raise NoCredentials("the tier needs botocore: pip install 'aimirror[s3]'") from None
    credentials: Any = Session().get_credentials()
    if credentials is None:
        raise NoCredentials(
            "no credentials for the tier: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
            " ~/.aws/credentials, or a role"
        )

    def current() -> Secret:
        frozen_ = credentials.get_frozen_credentials()
        return Secret(frozen_.access_key, frozen_.secret_key, frozen_.token)

    return current


class Signer:
    """Signs requests for one region.

    ``lookup`` is ``find`` or its like; it, and what it gives, are called by ``to_thread``.
    """

    def __init__(
        self,
        region: str,
        seconds: Callable[[], float],
        to_thread: Callable[..., Deferred[Any]],
        lookup: Callable[[], Callable[[], Secret]] = find,
    ) -> None:
        self._region = region
        self._seconds = seconds
        self._to_thread = to_thread
        self._lookup = lookup
        self._source: Callable[[], Secret] | None = None
        self._secret: Secret | None = None
        self._until = 0.0

    async def secret(self) -> Secret:
        """The credentials that hold now; raises NoCredentials."""
        if self._secret is None or self._seconds() >= self._until:
            if self._source is None:
                self._source = await self._to_thread(self._lookup)
            self._secret = await self._to_thread(self._source)
            self._until = self._seconds() + REFRESH
        assert self._secret is not None
        return self._secret

    async def headers(self, method: str, url: str, fields: Headers, sha256: str) -> Headers:
        """The fields of a request with its signature; ``sha256`` is that of its body (hex)."""
        return signed(await self.secret(), self._region, method, url, fields, sha256)

    async def presigned(self, url: str) -> str:
        """A URL with which anybody can GET an object for a while."""
        return presigned(await self.secret(), self._region, url)


def signed(
    secret: Secret, region: str, method: str, url: str, fields: Headers, sha256: str
) -> Headers:
    """The fields of a request with its signature (Signature Version 4 for S3).

    Not by botocore: that takes as long as the whole rest of a look into the store.  ``url`` is
    encoded as it is to be sent, and has its query in order.
    """
    date = strftime("%Y%m%dT%H%M%SZ", gmtime())
    more = [("x-amz-content-sha256", sha256), ("x-amz-date", date)]
    if secret.token:
        more.append(("x-amz-security-token", secret.token))
    fields = Headers([*fields.items, *more])
    names, canonical = _canonical(method, url, fields, sha256)
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{_hashed(canonical)}"
    signature = hmac.digest(_signing_key(secret.secret, scope), text.encode(), "sha256").hex()
    credential = f"AWS4-HMAC-SHA256 Credential={secret.access}/{scope}"
    named = f"SignedHeaders={names}, Signature={signature}"
    return fields.with_("Authorization", f"{credential}, {named}")


def _canonical(method: str, url: str, fields: Headers, sha256: str) -> tuple[str, str]:
    """The names of the fields that are signed, and the request as it is signed."""
    scheme, _, rest = url.partition("://")
    authority, _, target = rest.partition("/")
    path, _, query = target.partition("?")
    host = authority.removesuffix(_DEFAULT_PORTS.get(scheme, ":"))
    amz = sorted((n.lower(), v) for n, v in fields.items if n.lower().startswith("x-amz-"))
    pairs = [("host", host), *amz]
    lines = "".join(f"{name}:{value}\n" for name, value in pairs)
    names = ";".join(name for name, _ in pairs)
    return names, f"{method}\n/{path}\n{query}\n{lines}\n{names}\n{sha256}"


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(8)
def _signing_key(secret: str, scope: str) -> bytes:
    """The key for ``day/region/service/aws4_request``."""
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key


def presigned(secret: Secret, region: str, url: str) -> str:
    """A URL with which anybody can GET an object for ``URL_SECONDS``."""
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    request = AWSRequest("GET", url)
    S3SigV4QueryAuth(_credentials(secret), "s3", region, URL_SECONDS).add_auth(request)
    return str(request.url)


def _credentials(secret: Secret) -> Any:
    from botocore.credentials import Credentials

    return Credentials(secret.access, secret.secret, secret.token)
