"""Names and signatures of what is in the store."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from aimirror.tier import names
from aimirror.tier.keys import BadKeys, Keys
from tests.tier.support import KEYS, entry

OTHER = Keys(("x" * 32,))


class NamesTests(SynchronousTestCase):
    def packed(self, keys: Keys = KEYS) -> tuple[str, bytes]:
        return names.entry_name(entry().key), names.packed(entry(), '{"key":"u"}', keys)

    def test_round_trip(self) -> None:
        """What one of us has signed is read."""
        name, data = self.packed()
        self.assertEqual(names.unpacked(name, data, KEYS), '{"key":"u"}')
        pointer = names.pointing(entry().key, ("accept",), "v", KEYS)
        self.assertEqual(names.unpacked(name, pointer, KEYS), names.Pointer(("accept",), "v"))

    def test_foreign(self) -> None:
        """What is unsigned, signed by others, altered, or lies elsewhere counts as absent."""
        name, data = self.packed()
        told = json.loads(data)
        for bad in (
            b"",
            b"[]",
            b"{",
            json.dumps({"said": told["said"]}).encode(),
            json.dumps({**told, "mac": ""}).encode(),
            json.dumps({**told, "mac": "\ud800"}).encode(),
            json.dumps({**told, "said": told["said"] + " "}).encode(),
            self.packed(OTHER)[1],
        ):
            self.assertIsNone(names.unpacked(name, bad, KEYS), bad)
        self.assertIsNone(names.unpacked(names.entry_name("other"), data, KEYS))

    def test_rotation(self) -> None:
        """While two keys hold, what either has signed is read."""
        both = Keys((*OTHER.secrets, *KEYS.secrets))
        name, data = self.packed()
        self.assertIsNotNone(names.unpacked(name, data, both))
        self.assertIsNotNone(names.unpacked(name, self.packed(both)[1], OTHER))

    def test_shareable(self) -> None:
        """Private answers, failures and what has no body stay on the node."""
        self.assertTrue(names.shareable(entry()))
        for fields in ({"scope": "s"}, {"status": 404}, {"blob": ""}, {"invalidated": True}):
            self.assertFalse(names.shareable(entry(**fields)), fields)


class KeysTests(SynchronousTestCase):
    def test_read(self) -> None:
        """One or two keys, of some length, one a line."""
        self.assertEqual(Keys.read("a" * 32 + "\n\n" + "b" * 32 + "\n").secrets[1], "b" * 32)
        for text in ("", "short", "\n".join("abc"[n] * 32 for n in range(3))):
            with self.assertRaises(BadKeys):
                Keys.read(text)

    def test_hidden(self) -> None:
        """A key is in no text of it."""
        self.assertNotIn("kkk", repr(KEYS))
