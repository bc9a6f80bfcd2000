"""Signatures and credentials for S3, by botocore: it knows where each cloud keeps them."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import cache, lru_cache
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
    """The fields of a request with its signature."""
    from botocore.awsrequest import AWSRequest

    request = AWSRequest(method, url, dict(fields))
    auth = _header_auth()(_credentials(secret), "s3", region)
    auth.digest = sha256
    auth.add_auth(request)
    return Headers((str(name), str(value)) for name, value in request.headers.items())


def presigned(secret: Secret, region: str, url: str) -> str:
    """A URL with which anybody can GET an object for ``URL_SECONDS``."""
    from botocore.awsrequest import AWSRequest

    request = AWSRequest("GET", url)
    _query_auth()(_credentials(secret), "s3", region, URL_SECONDS).add_auth(request)
    return str(request.url)


def _credentials(secret: Secret) -> Any:
    from botocore.credentials import Credentials

    return Credentials(secret.access, secret.secret, secret.token)


@cache
def _header_auth() -> Any:
    """botocore's signer, with a digest that is known already."""
    from botocore.auth import S3SigV4Auth

    class Auth(_DailyKey, S3SigV4Auth):  # type: ignore[misc]
        digest = UNSIGNED

        def payload(self, request: object) -> str:
            return self.digest

    return Auth


@cache
def _query_auth() -> Any:
    from botocore.auth import S3SigV4QueryAuth

    class Auth(_DailyKey, S3SigV4QueryAuth):  # type: ignore[misc]
        pass

    return Auth


class _DailyKey:
    """Signs by a key that is derived once a day, and not for each request."""

    credentials: Any

    def signature(self, string_to_sign: str, request: Any) -> str:
        """See botocore's SigV4Auth: the third line names the day, region and service."""
        scope = string_to_sign.split("\n", 3)[2]
        key = _signing_key(self.credentials.secret_key, scope)
        return hmac.digest(key, string_to_sign.encode(), "sha256").hex()


@lru_cache(8)
def _signing_key(secret: str, scope: str) -> bytes:
    """The key for ``day/region/service/aws4_request`` (Signature Version 4)."""
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key
