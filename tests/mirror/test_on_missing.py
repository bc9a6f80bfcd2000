"""Upstreams that have different packages: private ones first, and no namesake for them."""

from __future__ import annotations

from aimirror.download.tasks import Reason
from aimirror.http.egress import Outgoing
from aimirror.interfaces import UpstreamError
from aimirror.routing.choices import OnMissing
from tests.mirror.support import MirrorCase, Played

PRIVATE, PUBLIC = "https://private.test", "https://public.test"
LOGIN = "Authorization: Basic YTpi"


class NextTests(MirrorCase):
    def setUp(self) -> None:
        super().setUp()
        self.private: int | Reason = 200
        self.use(
            upstreams=(PRIVATE, PUBLIC), on_missing=OnMissing.NEXT, names=("acme-*", "@acme/*")
        )
        self.upstream.handler = self.answer

    def answer(self, outgoing: Outgoing) -> Played | Exception:
        if outgoing.url.startswith(PUBLIC):
            return Played(200, "Cache-Control: max-age=60", body=b"public")
        if isinstance(self.private, Reason):
            return UpstreamError(self.private)
        return Played(self.private, "Cache-Control: max-age=60", body=b"private")

    def hosts(self) -> list[str]:
        return [sent.outgoing.url.split("/")[2] for sent in self.upstream.sent]

    def test_first_has_it(self) -> None:
        """What the first has is never looked for at the next."""
        self.assertEqual(self.get("/simple/a/")[2], b"private")
        self.assertEqual(self.hosts(), ["private.test"])

    def test_missing(self) -> None:
        """What the first does not have is the next one's."""
        for status in (404, 410):
            self.private = status
            self.assertEqual(self.get(f"/simple/b{status}/")[2], b"public")

    def test_failing(self) -> None:
        """A first one that fails, or wants a login, might have it: the next one is not asked."""
        for index, problem in enumerate((401, 403, 500, 429, Reason.TLS)):
            self.private = problem
            status = self.get(f"/simple/c{index}/")[0]
            self.assertGreaterEqual(status, 400)
        self.assertNotIn("public.test", self.hosts())

    def test_own_names(self) -> None:
        """Names that belong to the first are not told to anybody else, missing or not."""
        self.private = 404
        for path in ("/simple/acme-tools/", "/simple/Acme_Tools/", "/@acme%2ftools"):
            self.assertEqual(self.get(path)[0], 404, path)
        self.assertNotIn("public.test", self.hosts())

    def test_login_stays(self) -> None:
        """The login goes to the first alone."""
        self.private = 404
        self.get("/simple/d/", LOGIN)
        told = {
            s.outgoing.url.split("/")[2]: "authorization" in s.headers for s in self.upstream.sent
        }
        self.assertEqual(told, {"private.test": True, "public.test": False})
