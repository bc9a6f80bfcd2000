"""The worked example of docs/handlers.md in a running service."""

from __future__ import annotations

import shutil

from aimirror.testing import client
from aimirror.testing.site import File
from tests.clients.worlds import ROOT, WorldTests

VERBATIM = """
async def exec_path(request, full_path, config, http_client):
    if full_path.startswith('/verbatim/'):
        return True, Response(content="Custom response")
    if full_path.startswith('/broken/'):
        raise RuntimeError("a mistake")
    return False, None
"""


class HandlerTests(WorldTests):
    def setUp(self) -> None:
        super().setUp()
        shutil.copytree(ROOT / "docs" / "examples" / "handlers", self.folder / "handlers")
        (self.folder / "handlers" / "verbatim.py").write_text(VERBATIM)
        url = self.upstream.url
        custom = {"name": "custom-handler", "pattern": "^/custom/", "handler": "handlers.custom"}
        verbatim = {"name": "v", "pattern": "^/(verbatim|broken)/", "handler": "handlers.verbatim"}
        self.start({**custom, "upstream": url}, {**verbatim, "upstream": url})

    def test_answers(self) -> None:
        """The example answers by itself, with an upstream's help, and with the request's body."""
        self.upstream.files["/version.json"] = File(b'{"version": "1.2"}', "application/json")
        hello = self.service.get("/custom/hello?name=you")
        self.assertEqual((hello.status, hello.body), (200, b"hello you"))
        self.assertEqual(hello.headers.get("X-Handler"), "custom")
        self.assertEqual(self.service.get("/custom/version").json(), {"version": "1.2"})
        echo = client.request(self.service.port, "/custom/echo", method="POST", body=b"abc")
        self.assertEqual((echo.status, echo.body), (201, b"abc"))

    def test_leaves_the_rest(self) -> None:
        """What a handler does not answer goes to the rule's upstream."""
        self.upstream.put("/custom/file", b"from upstream")
        self.assertEqual(self.service.get("/custom/file").body, b"from upstream")

    def test_documented_form(self) -> None:
        """A handler may use Response without importing it."""
        self.assertEqual(self.service.get("/verbatim/x").body, b"Custom response")

    def test_mistakes(self) -> None:
        """A handler that raises gives a 500 and a log entry, and the service goes on."""
        for path in ("/broken/x", "/custom/version"):
            self.assertEqual(self.service.get(path).status, 500)
        self.assertIn("a mistake", self.service.program.log.read_text())
        self.assertEqual(self.service.get("/custom/hello").status, 200)
