from __future__ import annotations

import base64
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.headers import Headers
from aimirror.routing.digests import ALGORITHMS, Digest, DigestSource, Source, expected, parse

HEX = "0123456789abcdef" * 4


class ParseTests(SynchronousTestCase):
    @settings(max_examples=50, deadline=None)
    @given(st.sampled_from(["sha256", "sha512"]), st.binary(min_size=64, max_size=64))
    def test_spellings(self, algorithm: str, raw: bytes) -> None:
        """Hex and base64, bare, quoted or labelled, all give the same digest."""
        raw = raw[: ALGORITHMS[algorithm]]
        b64, dashed = base64.b64encode(raw).decode(), f"{algorithm[:3]}-{algorithm[3:]}"
        for text in (
            raw.hex(),
            raw.hex().upper(),
            f'"{raw.hex()}"',
            b64,
            f"{algorithm}:{raw.hex()}",
            f"{dashed.upper()}={b64}",
            f"{dashed}=:{b64}:",
            f"unixsum=30637, {dashed}=:{b64}:;q=1",
        ):
            self.assertEqual(parse(algorithm, text), Digest(algorithm, raw.hex()), text)

    def test_other_algorithm(self) -> None:
        """A value labelled with another algorithm or of another length is no digest."""
        for text in (
            f"sha512:{HEX}",
            HEX[:40],
            "W/" + HEX,
            "",
            "sha256:",
            f"sha256:{HEX}0",
            "é" * 64,
        ):
            self.assertIsNone(parse("sha256", text), text)

    @settings(max_examples=50, deadline=None)
    @given(st.sampled_from(sorted(ALGORITHMS)), st.text())
    def test_any_text(self, algorithm: str, text: str) -> None:
        """Whatever a field holds, the answer is None or a digest of the right length."""
        found = parse(algorithm, text)
        self.assertTrue(found is None or len(found.hex) == 2 * ALGORITHMS[algorithm])


class ExpectedTests(SynchronousTestCase):
    def test_blob(self) -> None:
        """A registry's blob path names the sha256."""
        for colon in (":", "%3A"):
            found = expected((), f"/v2/library/nginx/blobs/sha256{colon}{HEX}", "")
            self.assertEqual(found, Digest("sha256", HEX))

    def test_pypi(self) -> None:
        """A PyPI file path names the BLAKE2b-256, but not that of the sidecars beside it."""
        folder = f"/packages/{HEX[:2]}/{HEX[2:4]}/{HEX[4:]}"
        for name in ("a-1-py3-none-any.whl", "a-1.tar.gz", "a-1.zip"):
            self.assertEqual(expected((), f"{folder}/{name}", ""), Digest("blake2b-256", HEX))
        for name in ("a-1-py3-none-any.whl.metadata", "a-1.tar.gz.asc", "x/a-1.zip"):
            self.assertIsNone(expected((), f"{folder}/{name}", ""))

    def test_path_groups(self) -> None:
        """The groups of a path pattern, joined, are the digest."""
        source = DigestSource(
            algorithm="sha1",
            source=Source.PATH,
            pattern=re.compile("/([0-9a-f]{2})/([0-9a-f]{38})/"),
        )
        self.assertEqual(
            expected((source,), f"/x/{HEX[:2]}/{HEX[2:40]}/f", ""), Digest("sha1", HEX[:40])
        )
        self.assertIsNone(expected((source,), "/x/f", ""))

    def test_known_fields(self) -> None:
        """The sha256 of the whole file is found where servers are known to say it."""
        raw = base64.b64encode(bytes.fromhex(HEX)).decode()
        for name, value in (
            ("Repr-Digest", f"sha-512=:AAAA:, sha-256=:{raw}:"),
            ("Digest", f"MD5=AAAA,SHA-256={raw}"),
            ("X-Checksum-Sha256", HEX),
        ):
            found = expected((), "/f", "", Headers([(name, value)]))
            self.assertEqual(found, Digest("sha256", HEX), name)
        for name, value in (("Digest", "sha-256=x"), ("Content-Digest", f"sha-256=:{raw}:")):
            self.assertIsNone(expected((), "/f", "", Headers([(name, value)])), name)

    def test_query_and_header(self) -> None:
        """Digests are found in a query parameter and, once there is a response, in its header."""
        query = DigestSource(algorithm="sha256", source=Source.QUERY, name="sum")
        self.assertEqual(expected((query,), "/f", f"a=1&sum=sha256%3A{HEX}"), Digest("sha256", HEX))
        header = DigestSource(algorithm="sha256", source=Source.HEADER, name="X-Linked-Etag")
        self.assertIsNone(expected((header,), "/f", ""))
        answered = Headers([("x-linked-etag", f'"{HEX}"')])
        self.assertEqual(expected((header,), "/f", "", answered), Digest("sha256", HEX))

    def test_order(self) -> None:
        """The rule's own source goes before what the path is known to say."""
        query = DigestSource(algorithm="md5", source=Source.QUERY, name="md5")
        found = expected((query,), f"/blobs/sha256:{HEX}", f"md5={HEX[:32]}")
        self.assertEqual(found, Digest("md5", HEX[:32]))
