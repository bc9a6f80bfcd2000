"""The description of the API, compared with what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror import admin
from aimirror.admin.api import Api
from aimirror.admin.looks import Looks
from aimirror.admin.openapi import CALLS, document

SOURCES = [Path(admin.__path__[0], name) for name in ("api.py", "looks.py", "orders.py")]
DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


class OpenApiTests(SynchronousTestCase):
    def test_calls(self) -> None:
        """Each call of the API is described, and no other."""
        nothing: Any = SimpleNamespace()
        looks = Looks(nothing, nothing, tuple)
        api = Api(*[nothing] * 8, looks, nothing)
        self.assertEqual({(call.method, call.name) for call in CALLS}, api.names)
        paths = document()["paths"]
        described = {(way.upper(), path[1:]) for path, ways in paths.items() for way in ways}
        self.assertEqual(described, api.names)

    def test_words(self) -> None:
        """Each word that the code reads is described, and each that is described is read."""
        source = "".join(path.read_text() for path in SOURCES)
        read = set(re.findall(r"\.(?:text|texts|flag|number)\(\"(\w+)\"", source))
        described = {word for call in CALLS for word in call.words}
        self.assertEqual(described, read)

    def test_documents(self) -> None:
        """The table for people has every call, with every word."""
        rows = {}
        for line in DOCS.read_text("utf-8").splitlines():
            match = re.match(r"\| `(GET|POST) ([\w.]+)` \|(.*)", line)
            if match:
                rows[match[1], match[2]] = match[3]
        self.assertEqual(rows.keys(), {(call.method, call.name) for call in CALLS})
        for call in CALLS:
            row = rows[call.method, call.name]
            missing = [word for word in call.words if f"`{word}`" not in row]
            self.assertEqual(missing, [], call.name)

    def test_document(self) -> None:
        """It is JSON, its operations have names of their own, and what is posted is a body."""
        text = json.dumps(document())
        names = re.findall(r'"operationId": "(\w+)"', text)
        self.assertEqual(len(names), len(set(names)), names)
        purge = document()["paths"]["/purge"]["post"]
        properties = purge["requestBody"]["content"]["application/json"]["schema"]["properties"]
        self.assertIn("dry_run", properties)
