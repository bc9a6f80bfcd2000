"""ModelScope's own library through the mirror: cold, again, offline, and with damaged weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from aimirror.testing.behaviour import pattern
from aimirror.testing.site import Asked, File
from tests.clients.worlds import WorldTests, find_python

#: Downloads a whole repository.
SCRIPT = """
import sys
from modelscope_hub import HubApi
HubApi().download_repo("owner/name", "model", local_dir=sys.argv[1])
"""
FILES = {"config.json": b'{"a": 1}', "weights/model.bin": pattern(3_000_000, 4)}


class ModelScopeTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        self.files = dict(FILES)
        self.upstream.fallback = self.hub
        self.start({"preset": "modelscope", "upstream": self.upstream.url})

    def hub(self, asked: Asked) -> File | None:
        """Lists what there was at first, sends what there is now, small files with a cookie."""
        path, _, query = asked.target.partition("?")
        if path == "/api/v1/models/owner/name/repo/files":
            files = [
                {
                    "Path": name,
                    "Name": name.rpartition("/")[2],
                    "Type": "blob",
                    "Size": len(data),
                    "Sha256": hashlib.sha256(data).hexdigest(),
                }
                for name, data in FILES.items()
            ]
            value = {"Code": 200, "Success": True, "Data": {"Files": files, "TotalCount": 2}}
            return File(json.dumps(value).encode(), "application/json")
        for name, data in self.files.items():
            if query.endswith("FilePath=" + name.replace("/", "%2F")):
                return File(data, headers=(("Set-Cookie", "acw_tc=1"),))
        return None

    def download(self, name: str, fails: bool = False) -> Path:
        home = self.fresh(name)
        run = self.assertFails if fails else self.assertRuns
        command = [find_python("modelscope"), "-c", SCRIPT, str(home / "out")]
        run(command, home, MODELSCOPE_ENDPOINT=self.mirror, HOME=str(home))
        return home / "out"

    def assertWhole(self, folder: Path) -> None:
        for name, data in FILES.items():
            self.assertTrue((folder / name).read_bytes() == data, name)

    def test_thrice(self) -> None:
        """A repository comes whole; again without a byte of a file; and with no hub."""
        self.assertWhole(self.download("first"))
        self.settle()
        sent = {path: n for path, n in self.upstream.sent.items() if path.endswith("/repo")}
        self.assertWhole(self.download("second"))
        again = {path: n for path, n in self.upstream.sent.items() if path.endswith("/repo")}
        self.assertEqual(again, sent)
        self.upstream.stop()
        self.assertWhole(self.download("dead"))

    def test_damaged(self) -> None:
        """Weights that are not what the list says are neither given out whole nor kept."""
        self.files["weights/model.bin"] = pattern(3_000_000, 5)
        self.download("damaged", fails=True)
        self.settle()
        blobs = self.folder.rglob("blobs/*/*")
        self.assertEqual([each for each in blobs if each.stat().st_size > 1_000_000], [])
