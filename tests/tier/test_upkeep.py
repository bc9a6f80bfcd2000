"""Walks over the store."""

from __future__ import annotations

from hashlib import sha256

from aimirror.tier import names
from aimirror.tier.upkeep import verify
from tests.tier.support import KEYS, TierCase, entry


class VerifyTests(TierCase):
    def test_verify(self) -> None:
        """What is right stays; damaged blobs and entries of others are deleted."""
        good, bad = sha256(b"good").hexdigest(), sha256(b"bad").hexdigest()
        name = names.entry_name(entry().key)
        forged = names.entry_name("forged")
        for each, data in (
            (names.blob_name(good), b"good"),
            (names.blob_name(bad), b"evil"),
            (name, names.packed(entry(), "{}", KEYS)),
            (forged, b'{"said": "{}", "mac": "00"}'),
        ):
            self.run_now(self.bucket.put(each, data))
        checked = self.run_now(verify(self.bucket, KEYS))
        self.assertEqual(checked.right, 2)
        self.assertEqual(set(checked.bad), {names.blob_name(bad), forged})
        kept = {path.removeprefix("/bucket/p/") for path in self.script.objects}
        self.assertEqual(kept, {names.blob_name(good), name})
