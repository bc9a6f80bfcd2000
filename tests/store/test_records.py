from __future__ import annotations

import json
import stat
from hashlib import sha256
from pathlib import Path

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.entries import Entry
from aimirror.http.headers import Headers
from aimirror.store.layout import entry_name
from aimirror.store.records import VERSION, dump, load, read_sidecar, write_sidecar

text = st.text(max_size=20)
headers = st.lists(st.tuples(text, text), max_size=4).map(Headers)
times = st.floats(0, 1e12, allow_nan=False)
entries = st.builds(
    Entry,
    key=text,
    scope=text,
    variant=text,
    status=st.integers(100, 599),
    headers=headers,
    selecting=headers,
    requested_at=times,
    received_at=times,
    blob=st.sampled_from(["", "0f" * 32]),
    size=st.integers(0, 1 << 60),
    rule=text,
    immutable=st.booleans(),
    invalidated=st.booleans(),
    pinned=st.booleans(),
)


class RecordTests(SynchronousTestCase):
    """Entries as JSON."""

    @settings(max_examples=50, deadline=None)
    @given(entries)
    def test_round_trip(self, entry: Entry) -> None:
        """Every field comes back as it was, from one line of ASCII."""
        line = dump(entry)
        self.assertTrue(line.isascii() and "\n" not in line)
        self.assertEqual(load(line), entry)

    @settings(max_examples=50, deadline=None)
    @given(entries)
    def test_as_json(self, entry: Entry) -> None:
        """It is what the library's encoder makes of the fields, and so is what the name is of."""
        fields = attrs.asdict(entry, recurse=False)
        values = {n: v.items if isinstance(v, Headers) else v for n, v in fields.items()}
        wanted = json.dumps({"version": VERSION, **values}, separators=(",", ":"))
        self.assertEqual(dump(entry), wanted)
        identity = json.dumps([entry.key, entry.scope, entry.variant])
        self.assertEqual(entry_name(entry), sha256(identity.encode()).hexdigest())

    @settings(max_examples=50, deadline=None)
    @given(st.recursive(st.none() | st.booleans() | st.floats() | text, st.lists))
    def test_garbage(self, value: object) -> None:
        """What is not an entry is a ValueError, whatever JSON it is."""
        for wrong in (value, {"key": value} if not isinstance(value, str) else {}):
            self.assertRaises(ValueError, load, json.dumps(wrong))

    def test_wrong_fields(self) -> None:
        """A field of the wrong type and a blob that is no sha256 are refused."""
        for change in ({"size": "1"}, {"pinned": 1}, {"blob": "../../etc"}, {"headers": [1]}):
            self.assertRaises(ValueError, load, json.dumps({"key": "a", **change}))

    def test_first_version(self) -> None:
        """An entry for all is one only where its record's version looked who had opened it."""
        old = json.loads(dump(Entry(key="a", blob="0f" * 32)))
        del old["version"]
        self.assertRaises(ValueError, load, json.dumps(old))
        own = {**old, "scope": "s"}
        self.assertEqual(load(json.dumps(own)).scope, "s")

    def test_other_versions(self) -> None:
        """Fields of a later version are ignored, missing ones have their defaults."""
        self.assertEqual(load('{"version":2,"key":"a","later":1}'), Entry(key="a"))

    def test_sidecar(self) -> None:
        """A sidecar is written whole, in a folder made for it, for this user alone."""
        path = Path(self.mktemp()) / "ab" / "x.json"
        for size in (1, 2):
            write_sidecar(path, Entry(key="k", size=size))
            self.assertEqual(read_sidecar(path), Entry(key="k", size=size))
        self.assertEqual(list(path.parent.iterdir()), [path])
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
