from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.prefetch import _files
from aimirror.admin.prefetch_lists import BadList, package_lock
from aimirror.http.json_text import member, members, parse_json

DEEP = '{"a": ' + "[" * 100_000


class JsonTests(SynchronousTestCase):
    def test_values(self) -> None:
        """Text and bytes are read alike."""
        for text in ('{"a": [1]}', b'{"a": [1]}', bytearray(b'{"a": [1]}')):
            self.assertEqual(parse_json(text), {"a": [1]})

    def test_no_values(self) -> None:
        """What is none, or too deep, is a ValueError and nothing else."""
        for text in ("", "{", b"\xff", DEEP, DEEP.encode()):
            self.assertRaises(ValueError, parse_json, text)

    def test_member(self) -> None:
        """What is looked for in a document is there, or nothing is, whatever the document holds."""
        self.assertEqual(member(b'{"a": {"b": 1}}', "a", "b"), 1)
        for text in ("", "[]", "{", DEEP, '{"a": []}', '{"a": {"c": 1}}'):
            self.assertIsNone(member(text, "a", "b"))
            self.assertEqual(members(text, "a", "b"), {})
        self.assertEqual(members('{"a": {"b": 1}}', "a"), {"b": 1})

    def test_deep_lists(self) -> None:
        """Lists of what to fetch, and the pages that they lead to, are told to be bad."""
        for read in (package_lock, _files):
            self.assertRaises(BadList, read, DEEP)
