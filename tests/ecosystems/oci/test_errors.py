"""Errors in the format of the distribution API."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.oci.errors import error_body, error_code, error_fields
from aimirror.http.headers import Headers
from aimirror.registries.paths import Kind


class ErrorTests(SynchronousTestCase):
    def test_codes(self) -> None:
        """Each status has the code by which clients decide how to go on."""
        for status, kind, code in (
            (404, Kind.MANIFEST, "MANIFEST_UNKNOWN"),
            (404, Kind.BLOB, "BLOB_UNKNOWN"),
            (404, Kind.TAGS, "NAME_UNKNOWN"),
            (404, None, "NAME_UNKNOWN"),
            (401, Kind.BLOB, "UNAUTHORIZED"),
            (403, Kind.BLOB, "DENIED"),
            (429, Kind.BLOB, "TOOMANYREQUESTS"),
            (503, Kind.BLOB, "UNAVAILABLE"),
            (418, Kind.BLOB, "UNKNOWN"),
        ):
            self.assertEqual(error_code(status, kind), code)

    def test_body_and_fields(self) -> None:
        """The body is the specification's; of the upstream's fields the time to wait stays."""
        body = json.loads(error_body("DENIED", "no"))
        self.assertEqual(body, {"errors": [{"code": "DENIED", "message": "no"}]})
        upstream = Headers([("Retry-After", "5"), ("Set-Cookie", "x"), ("ETag", "y")])
        fields = error_fields(upstream)
        self.assertEqual(fields.get("retry-after"), "5")
        self.assertNotIn("set-cookie", fields)
        self.assertEqual(fields.get("content-type"), "application/json")
