"""The client of one bucket, against a store that checks signatures and digests."""

from __future__ import annotations

from aimirror.http.headers import Headers
from aimirror.tier.s3 import StoreError
from aimirror.tier.sigv4 import NoCredentials, Secret, Signer
from tests.tier.support import TierCase, at_once


class BucketTests(TierCase):
    def test_round_trip(self) -> None:
        """What was put is read, whole and in part, has its size, and is gone when deleted."""
        data = bytes(range(256)) * 10
        self.run_now(self.bucket.put("entries/aa/x.json", data))
        self.assertEqual(list(self.script.objects), ["/bucket/p/entries/aa/x.json"])
        self.assertEqual(self.run_now(self.bucket.get("entries/aa/x.json", 10_000)), data)
        part = self.run_now(self.bucket.get("entries/aa/x.json", 100, (5, 25)))
        self.assertEqual(part, data[5:25])
        self.assertEqual(self.run_now(self.bucket.size("entries/aa/x.json")), len(data))
        self.run_now(self.bucket.delete("entries/aa/x.json"))
        self.assertIsNone(self.run_now(self.bucket.get("entries/aa/x.json", 10_000)))
        self.assertIsNone(self.run_now(self.bucket.size("entries/aa/x.json")))

    def test_odd_names(self) -> None:
        """A name with characters that are quoted is signed as it is sent."""
        self.run_now(self.bucket.put("probe/a b+c=~", b"x"))
        self.assertEqual(self.run_now(self.bucket.get("probe/a b+c=~", 10)), b"x")

    def test_bounds(self) -> None:
        """No more is taken into memory than was allowed."""
        self.run_now(self.bucket.put("x", b"12345"))
        said = self.fail_now(self.bucket.get("x", 4), StoreError)
        self.assertIn("longer than 4 bytes", said)

    def test_errors(self) -> None:
        """What the store refuses, and why, is told; so is that it does not answer."""
        wrong = self.bucket_with(Secret("AKIDTEST", "wrong"))
        said = self.fail_now(wrong.get("x", 4), StoreError)
        self.assertEqual(said, "status 403 SignatureDoesNotMatch")
        self.script.status = 503
        self.assertIn("SlowDown", self.fail_now(self.bucket.put("x", b"1"), StoreError))
        self.script.away = True
        self.assertIn("refused", self.fail_now(self.bucket.put("x", b"1"), StoreError))

    def test_presigned(self) -> None:
        """A presigned URL needs no fields, and holds no secret."""
        self.run_now(self.bucket.put("x", b"12345"))
        url = self.run_now(self.bucket.presigned("x"))
        self.assertNotIn("secret-of-the-test", url)
        self.assertEqual(self.script.answer("GET", url, Headers(), b"").body, b"12345")
        self.assertEqual(self.script.answer("GET", url + "0", Headers(), b"").status, 403)

    def test_listed(self) -> None:
        """Names come below our prefix, in order, from a place on, page by page."""
        for number in range(3):
            self.run_now(self.bucket.put(f"orders/{number}", b"x"))
        self.run_now(self.bucket.put("blobs/aa/1", b"x"))
        found, more = self.run_now(self.bucket.listed("orders/", "orders/0"))
        self.assertEqual((found, more), ([("orders/1", 1), ("orders/2", 1)], False))

    def test_parts(self) -> None:
        """An upload in parts is one object, once it is ended."""
        upload = self.run_now(self.bucket.begin_parts("big"))
        for number, data in ((1, b"one"), (2, b"two")):
            url = self.bucket.part_url("big", upload, number)
            signed = self.run_now(self.bucket.signed("PUT", url, Headers(), ""))
            self.assertEqual(self.script.answer("PUT", url, signed, data).status, 200)
        self.run_now(self.bucket.end_parts("big", upload, ['"a"', '"b"']))
        self.assertEqual(self.script.objects["/bucket/p/big"], b"onetwo")


class SignerTests(TierCase):
    def test_refreshed(self) -> None:
        """Credentials are asked for again after a while: those of roles have a short life."""
        given = iter([Secret("a", "1"), Secret("b", "2")])
        signer = Signer("r", self.clock.seconds, at_once, lambda: lambda: next(given))
        self.assertEqual(self.run_now(signer.secret()).access, "a")
        self.clock.advance(59)
        self.assertEqual(self.run_now(signer.secret()).access, "a")
        self.clock.advance(2)
        self.assertEqual(self.run_now(signer.secret()).access, "b")

    def test_hidden(self) -> None:
        """A secret key is in no text of it."""
        self.assertNotIn("1234", repr(Secret("a", "1234")))

    def test_none(self) -> None:
        """Without credentials, each request says what is missing."""

        def nothing() -> object:
            raise NoCredentials("no credentials for the tier")

        signer = Signer("r", self.clock.seconds, at_once, nothing)  # type: ignore[arg-type]
        said = self.fail_now(signer.secret(), NoCredentials)
        self.assertIn("no credentials", said)
