from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.exchanges.versions import Version, skipped, version
from aimirror.http.headers import Headers
from aimirror.http.validator import Validator

NOW = 1_700_000_000.0
TAG = ("ETag", '"a"')
DATE = ("Date", "Tue, 14 Nov 2023 22:13:20 GMT")
OLD = ("Last-Modified", "Tue, 14 Nov 2023 22:13:18 GMT")
YOUNG = ("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
KNOWN = Version(100, Validator('"a"'))
BY_DATE = Version(100, Validator("", OLD[1]))


def part(said: str, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (("Content-Range", f"bytes {said}"), *more)


class VersionTests(SynchronousTestCase):
    def test_certain(self) -> None:
        """Only what can be told from every other version is gone on with."""
        for status, fields, length, certain in (
            (200, (TAG,), 100, True),
            (200, (TAG,), None, False),
            (200, (TAG,), 0, False),
            (404, (TAG,), 100, False),
            (200, (("ETag", 'W/"a"'), OLD, DATE), 100, False),
            (200, (), 100, False),
            (200, (OLD, DATE), 100, True),
            (200, (YOUNG, DATE), 100, False),
            (200, (OLD,), 100, False),
            (200, (TAG, ("Content-Encoding", "gzip")), 100, False),
            (200, (TAG, ("Content-Encoding", "identity")), 100, True),
        ):
            found = version(status, Headers(fields), length, NOW)
            self.assertEqual(found is not None, certain, (status, fields, length))


class SkippedTests(SynchronousTestCase):
    def test_judged(self) -> None:
        """An answer goes on only where it broke off, in the same version, uncoded."""
        for known, status, fields, length, drop in (
            (KNOWN, 206, part("40-99/100", TAG), 60, 0),
            (KNOWN, 206, part("40-99/100"), 60, 0),
            (KNOWN, 206, part("40-49/100", TAG), 10, 0),
            (KNOWN, 206, part("40-99/100", TAG), None, 0),
            (KNOWN, 206, part("40-99/100", TAG), 59, None),
            (KNOWN, 206, part("41-99/100", TAG), 59, None),
            (KNOWN, 206, part("40-99/101", TAG), 60, None),
            (KNOWN, 206, part("40-99/*", TAG), 60, None),
            (KNOWN, 206, part("nonsense", TAG), 60, None),
            (KNOWN, 206, (TAG,), 60, None),
            (KNOWN, 206, part("40-99/100", ("ETag", '"b"')), 60, None),
            (KNOWN, 206, part("40-99/100", TAG, ("Content-Encoding", "gzip")), 60, None),
            (KNOWN, 200, (TAG,), 100, 40),
            (KNOWN, 200, (), 100, None),
            (KNOWN, 200, (TAG,), None, None),
            (KNOWN, 200, (TAG,), 101, None),
            (KNOWN, 200, (("ETag", '"b"'),), 100, None),
            (KNOWN, 404, (TAG,), 100, None),
            (BY_DATE, 200, (OLD,), 100, 40),
            (BY_DATE, 200, (YOUNG,), 100, None),
        ):
            found = skipped(known, 40, status, Headers(fields), length)
            self.assertEqual(found, drop, (known, status, fields, length))
