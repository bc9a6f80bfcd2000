"""Simple indexes through the mirror: pages, digests, sidecars, cooldown."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from aimirror.ecosystems.pypi.pages import JSON
from aimirror.ecosystems.pypi.said import READ_HERE
from aimirror.ecosystems.pypi.world import Pypi
from aimirror.http.egress import Outgoing
from aimirror.mirror.ecosystem import Ecosystem
from aimirror.routing.choices import ContentRewrite
from aimirror.routing.policies import CachePolicy
from aimirror.routing.rules import Rule
from aimirror.testing.pypi import wheel
from tests.ecosystems.support import WorldCase
from tests.mirror.support import UPSTREAM, Played, refused

HTML = "Accept: text/html"
LIKES_JSON = f"Accept: {JSON}, text/html;q=0.1"
NAME = "demo-1.0-py3-none-any.whl"
PATH = f"/files/{NAME}"
FILES = re.compile(r"\.whl")
MADE = wheel("demo", "1.0", [], 200_000)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class PypiCase(WorldCase):
    name = "pypi"

    def world(self) -> Ecosystem:
        return Pypi(self.library)

    def use(self, *more: Any, **options: Any) -> None:
        own = {"content_rewrite": ContentRewrite(targets=(UPSTREAM,)), "immutable": FILES}
        super().use(*more, **{**own, **options})
        self.page()

    def page(self, digest: str = "", uploaded: str = "2020-01-01T00:00:00Z", **file: Any) -> None:
        """The index has a page in two forms."""
        digest = digest or sha256(MADE.content)
        told = {"filename": NAME, "url": UPSTREAM + PATH, "hashes": {"sha256": digest}}
        files = [{**told, "upload-time": uploaded, **file}]
        self.forms = {
            JSON: json.dumps({"meta": {"api-version": "1.1"}, "files": files}).encode(),
            "text/html": f'<a href="{UPSTREAM}{PATH}#sha256={digest}">{NAME}</a>'.encode(),
        }
        self.answers["/simple/demo/"] = self.negotiate

    def negotiate(self, outgoing: Outgoing) -> Any:
        accept = outgoing.headers.get("accept") or ""
        kind = JSON if accept.startswith(JSON) and JSON in self.forms else "text/html"
        return 200, (f"Content-Type: {kind}", "Cache-Control: max-age=100"), self.forms[kind]

    def serve_file(self, path: str, data: bytes) -> None:
        """A file that can be had in ranges."""

        def answer(outgoing: Outgoing) -> Any:
            wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", outgoing.headers.get("range") or "")
            if wanted is None:
                return 200, ('ETag: "v"',), data
            start = int(wanted[1]) if wanted[1] else max(0, len(data) - int(wanted[2]))
            stop = int(wanted[2]) + 1 if wanted[1] and wanted[2] else len(data)
            stop = min(stop, len(data))
            told = f"Content-Range: bytes {start}-{stop - 1}/{len(data)}"
            return 206, (told, 'ETag: "v"'), data[start:stop]

        self.answers[path] = answer


class PageTests(PypiCase):
    def test_redirect(self) -> None:
        """A name that is not normalised leads to the one that is; the query stays."""
        for path, wanted in (
            ("/simple/De.Mo", "/simple/de-mo/"),
            ("/simple/demo?a", "/simple/demo/?a"),
            ("//simple/De.Mo", "/simple/de-mo/"),  # not the host "simple"
        ):
            status, headers, _ = self.get(path)
            self.assertEqual((status, headers.get("location")), (301, wanted))
        self.assertEqual(self.asked, 0)

    def test_forms(self) -> None:
        """One stored page for each form, though the index does not say that it has two."""
        for accept, kind in ((LIKES_JSON, JSON), (HTML, "text/html"), (LIKES_JSON, JSON)):
            status, headers, body = self.get("/simple/demo/", accept)
            self.assertEqual((status, headers.get("content-type")), (200, kind))
            self.assertIn("accept", headers.tokens("vary"))
            self.assertIn(NAME.encode(), body)
        self.get("/simple/demo/", f"Accept: {JSON}, */*;q=0.1")
        self.assertEqual(self.asked, 2)

    def test_json_alone(self) -> None:
        """An index that sends JSON whatever is asked has it made HTML, for who knows HTML alone."""
        self.forms.pop("text/html")
        fields = (f"Content-Type: {JSON}", "Cache-Control: max-age=100")
        self.answers["/simple/demo/"] = (200, fields, self.forms[JSON])
        for accept, kind in ((HTML, "text/html"), ("Accept: */*", JSON), (HTML, "text/html")):
            status, headers, body = self.get("/simple/demo/", accept)
            self.assertEqual((status, headers.get("content-type")), (200, kind))
            self.assertIn(NAME.encode(), body)
            self.assertNotIn(UPSTREAM.encode(), body)
        self.assertEqual(self.asked, 1)

    def test_format(self) -> None:
        """``?format=`` decides before Accept."""
        path = f"/simple/demo/?format={JSON}"
        self.answers[path] = (200, (f"Content-Type: {JSON}",), self.forms[JSON])
        for _ in range(2):
            self.assertEqual(self.get(path, HTML)[1].get("content-type"), JSON)

    def test_object_store(self) -> None:
        """A page that an object store refuses is missing, unless credentials were refused."""
        self.answers["/simple/none/"] = (403, (), b"<Error><Code>AccessDenied</Code></Error>")
        for fields, wanted in (((), 404), (("Authorization: Basic eA==",), 403)):
            for accept in (HTML, LIKES_JSON):
                self.assertEqual(self.get("/simple/none/", accept, *fields)[0], wanted)

    def test_odd_json(self) -> None:
        """A page of another shape is a failure of the index, and no hindrance to the file."""
        self.forms.pop("text/html")
        fields = (f"Content-Type: {JSON}", "Cache-Control: max-age=100")
        self.serve_file(PATH, MADE.content)
        for data in (b'{"files": [3]}', b'{"files": ' + b"[" * 100_000):
            self.answers["/simple/demo/"] = (200, fields, data)
            self.assertEqual(self.get("/simple/demo/", HTML)[0], 502)
            self.assertEqual(self.get(PATH)[0], 200)

    def test_refuses_html(self) -> None:
        """So does one that answers 406 to those who do."""

        def negotiate(outgoing: Outgoing) -> Any:
            if JSON not in (outgoing.headers.get("accept") or ""):
                return 406, (), b"no"
            return 200, (f"Content-Type: {JSON}",), self.forms[JSON]

        self.answers["/simple/demo/"] = negotiate
        for _ in range(2):
            status, headers, body = self.get("/simple/demo/", HTML)
            self.assertEqual((status, headers.get("content-type")), (200, "text/html"))
            self.assertIn(NAME.encode(), body)

    def test_young_page(self) -> None:
        """Where the rule does not obey clients, their max-age=0 asks nobody."""
        self.use(cache=CachePolicy(obey_clients=False))
        for _ in range(3):
            self.get("/simple/demo/", HTML, "Cache-Control: max-age=0")
        self.assertEqual(self.asked, 1)
        self.use(cache=CachePolicy(obey_clients=True))
        self.clock.advance(2)
        self.get("/simple/demo/", HTML, "Cache-Control: max-age=0")
        self.assertEqual(self.asked, 2)

    def test_forbidden_storing(self) -> None:
        """A page that says no-store is kept where the rule says so."""
        self.answers["/simple/demo/"] = (200, ("Cache-Control: no-store",), b"<a>")
        self.get("/simple/demo/")
        self.assertEqual(self.entries("/simple/demo/"), ())
        policy = CachePolicy(ttl=600, ignore_upstream=True, ignore_no_store=True)
        self.use(cache=policy)
        self.answers["/simple/demo/"] = (200, ("Cache-Control: no-store",), b"<a>")
        self.get("/simple/demo/")
        self.get("/simple/demo/")
        self.assertEqual((len(self.entries("/simple/demo/")), self.asked), (1, 2))

    def test_other_form(self) -> None:
        """With no index the stored form serves those who asked for another."""
        self.get("/simple/demo/", LIKES_JSON)
        for failure in (Played(503), refused()):
            self.upstream.handler = lambda outgoing, failure=failure: failure
            client = self.ask("/simple/demo/", HTML)
            for _ in range(20):  # an index that can't be reached is tried again
                client.clock.advance(1)
            client.settle()
            status, headers, body = client.answer()
            self.assertEqual((status, headers.get("content-type")), (200, "text/html"))
            self.assertIn(f"http://mirror.test{PATH}#sha256=".encode(), body)


class FileTests(PypiCase):
    def assertRefused(self) -> None:
        """What comes is cut short or not sent at all, and never stored."""
        statuses = [status for status, _, _ in self.ask(PATH).answers()]
        self.assertIn(statuses, ([], [502]))
        self.assertEqual(self.entries(PATH), ())

    def test_digest(self) -> None:
        """A file is what a stored page says, in whatever form that was stored."""
        for accept in (HTML, LIKES_JSON):
            self.page(sha256(b"other"))
            self.get("/simple/demo/", accept)
            self.answers[PATH] = (200, (), MADE.content)
            self.assertRefused()
            self.clock.advance(1000)

    def test_where_pages_are_read(self) -> None:
        """A small page is read in place, a large one in another process."""
        for filler, readers in ((10, []), (READ_HERE, ["table"])):
            self.setUp()
            self.assertEqual(self.read_apart(filler), readers)

    def read_apart(self, filler: int) -> list[str]:
        """What another process does for a file whose page has so many bytes more."""
        self.page(requires=filler * "x")
        self.serve_file(PATH, MADE.content)
        calls: list[str] = []
        apart = self.library.apart

        def counted(function: Any, source: Any, *texts: str) -> Any:
            calls.append(function.__name__)
            return apart(function, source, *texts)

        self.patch(self.library, "apart", counted)
        self.get("/simple/demo/", LIKES_JSON)
        self.assertEqual(self.get(PATH)[2], MADE.content)
        return calls

    def test_right_digest(self) -> None:
        """The right file is served and stored, and the page is not asked for again."""
        self.get("/simple/demo/", HTML)
        self.answers[PATH] = (200, (), MADE.content)
        self.assertEqual(self.get(PATH)[2], MADE.content)
        self.assertEqual(self.entries(PATH)[0].blob, sha256(MADE.content))
        self.assertEqual(self.urls(), ["GET /simple/demo/", f"GET {PATH}"])

    def test_replaced(self) -> None:
        """A file that its page says is another one by now is fetched again, and its sidecar."""
        later = wheel("demo", "1.0", ["new"], 200_000)
        for made in (MADE, later):
            sidecar = {"sha256": sha256(made.metadata)}
            self.page(sha256(made.content), **{"core-metadata": sidecar})
            for path, data in ((PATH, made.content), (PATH + ".metadata", made.metadata)):
                self.answers[path] = (200, (f'ETag: "{sha256(data)}"',), data)
            self.clock.advance(1000)
            self.get("/simple/demo/", LIKES_JSON)
            for _ in range(2):
                self.assertEqual(self.get(PATH)[2], made.content)
                self.assertEqual(self.get(PATH + ".metadata")[2], made.metadata)
        self.assertEqual(self.asked, 6)

    def test_no_digest(self) -> None:
        """A file of which no page says what it hashes to may be rebuilt under its name."""
        link = f'<a href="{UPSTREAM}{PATH}">{NAME}</a>'.encode()
        fields = ("Content-Type: text/html", "Cache-Control: max-age=100")
        self.answers["/simple/demo/"] = (200, fields, link)
        self.get("/simple/demo/", HTML)
        for build in (b"monday", b"tuesday"):
            told = ("Cache-Control: no-cache", f'ETag: "{sha256(build)}"')
            for path in (PATH, PATH + ".metadata"):
                self.answers[path] = (200, told, build)
                self.assertEqual(self.get(path)[2], build)

    def test_page_of_another_index(self) -> None:
        """A page of another index names other people's files in vain."""
        other = Rule(
            name="evil",
            upstreams=("https://evil.test",),
            path_prefix="/evil",
            strip_prefix=True,
            ecosystem="pypi",
        )
        self.use(other, content_rewrite=None)
        link = f'<a href="{UPSTREAM}{PATH}#sha256={"0" * 64}">{NAME}</a>'.encode()
        fields = ("Content-Type: text/html", "Cache-Control: max-age=100")
        self.answers["https://evil.test/demo/"] = (200, fields, link)
        self.serve_file(PATH, MADE.content)
        self.assertEqual(self.get("/evil/demo/", HTML)[0], 200)
        self.assertEqual(self.get(PATH)[2], MADE.content)

    def test_no_page(self) -> None:
        """Without a page a file is served as it comes."""
        self.answers[PATH] = (200, (), MADE.content)
        self.assertEqual(self.get(PATH)[2], MADE.content)

    def test_after_restart(self) -> None:
        """What a page says is read from the store when memory has lost it."""
        self.page(sha256(b"other"))
        self.get("/simple/demo/", HTML)
        self.use()
        self.answers[PATH] = (200, (), MADE.content)
        self.assertRefused()


class SidecarTests(PypiCase):
    def metadata(self) -> tuple[int, bytes]:
        status, _, body = self.get(PATH + ".metadata")
        return status, body

    def test_from_upstream(self) -> None:
        """A sidecar that is there is served as it is, and checked by the page."""
        self.page(**{"core-metadata": {"sha256": sha256(MADE.metadata)}})
        self.get("/simple/demo/", LIKES_JSON)
        self.answers[PATH + ".metadata"] = (200, (), MADE.metadata)
        self.assertEqual(self.metadata(), (200, MADE.metadata))
        self.assertEqual(self.entries(PATH + ".metadata")[0].blob, sha256(MADE.metadata))

    def test_made(self) -> None:
        """One that is not there is made from two ranges of the wheel, and stored."""
        self.serve_file(PATH, MADE.content)
        for _ in range(2):
            self.assertEqual(self.metadata(), (200, MADE.metadata))
        self.assertEqual(self.urls(), [f"GET {PATH}.metadata", f"GET {PATH}", f"GET {PATH}"])
        self.assertEqual(self.entries(PATH), ())

    def test_in_threads(self) -> None:
        """What may take long, with a directory of many members, keeps nobody else waiting."""
        self.serve_file(PATH, MADE.content)
        self.slow_threads = True
        client = self.ask(PATH + ".metadata")
        self.assertEqual((len(self.threads), client.answers()), (1, []))
        self.run_threads()
        client.settle()
        self.assertEqual(client.answer()[2], MADE.metadata)

    def test_from_stored(self) -> None:
        """From a stored wheel it is made without asking."""
        self.answers[PATH] = (200, (), MADE.content)
        self.get(PATH)
        self.falls()
        self.upstream.handler = lambda outgoing: Played(404)
        self.assertEqual(self.metadata(), (200, MADE.metadata))
        self.assertEqual(self.urls(), [f"GET {PATH}", f"GET {PATH}.metadata"])

    def test_without_ranges(self) -> None:
        """From an upstream without ranges the wheel is fetched, and kept."""
        self.answers[PATH] = (200, (), MADE.content)
        self.assertEqual(self.metadata(), (200, MADE.metadata))
        self.assertEqual(self.get(PATH)[1].get("x-cache"), "HIT")

    def test_not_what_the_page_says(self) -> None:
        """Made from another wheel than the index has, it is not given out."""
        self.page(**{"core-metadata": {"sha256": sha256(b"other")}})
        self.get("/simple/demo/", LIKES_JSON)
        self.serve_file(PATH, MADE.content)
        self.assertEqual(self.metadata()[0], 404)

    def test_no_wheel(self) -> None:
        """Of what is no wheel, or not there, there is none."""
        self.assertEqual(self.metadata()[0], 404)
        self.clock.advance(100)
        self.serve_file(PATH, b"x" * 100)
        self.assertEqual(self.metadata()[0], 404)


class CooldownTests(PypiCase):
    def use(self, *more: Any, **options: Any) -> None:
        super().use(*more, **{"cooldown": 86400.0 * 7, **options})

    def test_hidden(self) -> None:
        """A young file is shown to no client, in no form."""
        for uploaded, shown in (("2023-11-14T00:00:00Z", False), ("2020-01-01T00:00:00Z", True)):
            self.use()
            self.page(uploaded=uploaded)
            for accept, kind in ((LIKES_JSON, JSON), (HTML, "text/html")):
                status, headers, body = self.get("/simple/demo/", accept)
                self.assertEqual((status, headers.get("content-type")), (200, kind))
                self.assertEqual(f"http://mirror.test{PATH}".encode() in body, shown)
            self.store.drop_key(f"{UPSTREAM}/simple/demo/")

    def test_old_index(self) -> None:
        """An index that does not tell times is refused, in words."""
        del self.forms[JSON]
        status, _, body = self.get("/simple/demo/", LIKES_JSON)
        self.assertEqual(status, 403)
        self.assertIn(b"does not tell when", body)

    def test_likes_html(self) -> None:
        """An index that sends HTML wherever that is allowed is asked for JSON alone."""

        def answer(outgoing: Outgoing) -> Any:
            kind = "text/html" if "html" in (outgoing.headers.get("accept") or "") else JSON
            return 200, (f"Content-Type: {kind}",), self.forms[kind]

        self.answers["/simple/demo/"] = answer
        for accept in (LIKES_JSON, HTML):
            self.assertEqual(self.get("/simple/demo/", accept)[0], 200)

    def test_unstored(self) -> None:
        """A page that may not be stored is not passed on unread."""
        fields = (f"Content-Type: {JSON}", "Cache-Control: no-store")
        self.answers["/simple/demo/"] = (200, fields, self.forms[JSON])
        self.assertEqual(self.get("/simple/demo/")[0], 502)

    def test_rubbish(self) -> None:
        """A page that can't be read is a failure of the index."""
        self.forms[JSON] = b"{"
        self.assertEqual(self.get("/simple/demo/")[0], 502)
