from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.prefetch import _files
from aimirror.admin.prefetch_lists import BadList, package_lock
from aimirror.http.json_text import parse_json

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

    def test_deep_lists(self) -> None:
        """Lists of what to fetch, and the pages that they lead to, are told to be bad."""
        for read in (package_lock, _files):
            self.assertRaises(BadList, read, DEEP)
