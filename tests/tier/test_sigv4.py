"""Signatures: the same as botocore's, which S3 takes."""

from __future__ import annotations

import datetime
from hashlib import sha256
from importlib.util import find_spec
from time import gmtime
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.headers import Headers
from aimirror.tier import sigv4
from aimirror.tier.sigv4 import Secret, signed

NOW = 1_700_000_000
EMPTY = sha256(b"").hexdigest()
SUM = Headers([("x-amz-checksum-sha256", "YWJj+/="), ("x-amz-sdk-checksum-algorithm", "SHA256")])


class SignedTests(SynchronousTestCase):
    if find_spec("botocore") is None:
        skip = "botocore is not installed"

    def setUp(self) -> None:
        from botocore import auth

        moment = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
        self.patch(auth, "get_current_datetime", lambda: moment)
        self.patch(sigv4, "gmtime", lambda: gmtime(NOW))

    def botocores(self, secret: Secret, method: str, url: str, fields: Headers) -> dict[str, Any]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        class Auth(S3SigV4Auth):  # type: ignore[misc]
            def payload(self, request: object) -> str:
                return EMPTY

        request = AWSRequest(method, url, dict(fields))
        credentials = Credentials(secret.access, secret.secret, secret.token)
        Auth(credentials, "s3", "eu-central-1").add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}

    def test_as_botocore(self) -> None:
        """Names, queries, ports and tokens are signed as botocore signs them."""
        for secret in (Secret("a", "b"), Secret("a", "b/+", "token==")):
            for method, url, fields in (
                ("GET", "http://s3.test:9000/bucket/p/entries/ab/abc.json", Headers()),
                ("GET", "https://s3.test:443/bucket/a%20b~c", Headers()),
                ("HEAD", "http://s3.test:80/bucket/x", Headers()),
                ("PUT", "http://[::1]:9000/bucket/x", SUM),
                ("PUT", "http://s3.test/b/x?partNumber=2&uploadId=a%2Fb", Headers()),
                ("POST", "http://s3.test/b/x?uploads=", Headers()),
                ("GET", "http://s3.test/b/?list-type=2&max-keys=9&prefix=p%2F", Headers()),
            ):
                ours = signed(secret, "eu-central-1", method, url, fields, EMPTY)
                theirs = self.botocores(secret, method, url, fields)
                self.assertEqual(ours.get("authorization"), theirs["authorization"], url)
                self.assertEqual({n.lower(): v for n, v in ours.items}, theirs)

    def test_only_what_counts(self) -> None:
        """What may change on the way to the store is not signed."""
        fields = Headers([("Accept-Encoding", "identity"), ("Range", "bytes=0-1")])
        said = signed(Secret("a", "b"), "r", "GET", "http://s3.test/b/x", fields, EMPTY)
        self.assertIn(
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date,", said.get("authorization") or ""
        )
