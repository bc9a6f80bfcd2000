"""Simple indexes: names, negotiated types, digests on pages, what is too young."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.ecosystems.pypi import names
from aimirror.ecosystems.pypi import pages as pypi
from aimirror.ecosystems.pypi.pages import JSON
from aimirror.routing.digests import Digest

A, B = "a" * 64, "b" * 64
PAGE = "https://pypi.test/simple/demo/"
FILES = "https://files.test/packages"

PIP = f"{JSON}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
UV = f"{JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
POETRY = f"{JSON}, */*;q=0.1"


def page(*files: dict[str, object], **more: object) -> bytes:
    return json.dumps({"meta": {"api-version": "1.3"}, "files": files, **more}).encode()


def file(name: str, **more: object) -> dict[str, object]:
    return {"filename": name, "url": f"{FILES}/{name}", "hashes": {"sha256": A}, **more}


class NegotiationTests(SynchronousTestCase):
    def test_clients(self) -> None:
        """What clients send comes down to what each likes best."""
        for accept in (PIP, UV, POETRY, "application/vnd.pypi.simple.latest+json"):
            self.assertTrue(pypi.asked(accept).startswith(JSON), accept)
        for accept in ("", "*/*", "text/html", "text/*, application/*;q=0.5", "x;q=y"):
            self.assertEqual(pypi.asked(accept), pypi.HTML, accept)
        html = "application/vnd.pypi.simple.v1+html"
        self.assertTrue(pypi.asked(f"{html}, text/html;q=0.9").startswith(html))
        self.assertEqual(pypi.asked(f"{JSON};q=0, text/html;q=0.1"), pypi.HTML)

    def test_read_once(self) -> None:
        """A client sends the same Accept with each request, which is not read again."""
        for look in (pypi.asked, pypi.takes_json):
            look(UV)
            read = look.cache_info().misses
            look(UV)
            self.assertEqual(look.cache_info().misses, read)

    def test_few_forms(self) -> None:
        """Clients of one kind share one stored page."""
        self.assertEqual(len({pypi.asked(each) for each in (PIP, UV, POETRY)}), 1)

    @settings(max_examples=50, deadline=None)
    @given(st.text(max_size=80))
    def test_anything(self, accept: str) -> None:
        """Any field value asks for one of three."""
        self.assertIn(pypi.asked(accept).partition(",")[0].rpartition("/")[0], {"text", JSON[:11]})


class DigestTests(SynchronousTestCase):
    def test_json(self) -> None:
        """Digests of files and sidecars, by resolved URLs."""
        found = pypi.digests(
            page(
                file("a.whl", **{"core-metadata": {"sha256": B}}),
                {"filename": "b.whl", "url": "../../x/b.whl", "hashes": {"md5": "0" * 32}},
                {"filename": "c.whl", "url": "c.whl", "hashes": {}, "core-metadata": True},
            ),
            PAGE,
        )
        self.assertEqual(
            found,
            {
                f"{FILES}/a.whl": Digest("sha256", A),
                f"{FILES}/a.whl.metadata": Digest("sha256", B),
                "https://pypi.test/x/b.whl": Digest("md5", "0" * 32),
            },
        )

    def test_html(self) -> None:
        """The same out of attributes and fragments, whatever the quoting."""
        html = (
            f'<base href="https://else.test/x/"><a href="a.whl#sha256={A}"'
            f" data-dist-info-metadata='sha256={B}' data-yanked>a</a>"
            f'<A HREF="/b%2Bc.whl#egg=b&amp;sha256={B}">b</A><a href="d.whl">d</a><a>e</a>'
        )
        found = pypi.digests(html.encode(), PAGE)
        self.assertEqual(
            found,
            {
                "https://else.test/x/a.whl": Digest("sha256", A),
                "https://else.test/x/a.whl.metadata": Digest("sha256", B),
                "https://else.test/b+c.whl": Digest("sha256", B),
            },
        )

    def test_spelling(self) -> None:
        """A file is found under each encoding of its name."""
        self.assertEqual(names.name_of("https://a.test/x%2By"), names.name_of("https://A.test/x+y"))

    def test_no_page(self) -> None:
        """JSON of another kind is refused; HTML of another kind names nothing."""
        deep = b'{"files": ' + b"[" * 100_000
        for data in (b"{", b'{"files": 3}', b'{"files": [3]}', b'{"meta": []}', deep):
            for read in (pypi.as_html, lambda d: pypi.digests(d, PAGE), lambda d: pypi.older(d, 0)):
                with self.assertRaises(ValueError):
                    read(data)
        self.assertEqual(pypi.digests(b"<html>hello", PAGE), {})


class CooldownTests(SynchronousTestCase):
    OLD, NEW = "2024-01-01T00:00:00Z", "2024-03-01T00:00:00.5+00:00"
    LINE = 1_706_000_000.0  # January 2024

    def older(self, *files: dict[str, object], **more: object) -> tuple[dict[str, object], int]:
        found = pypi.older(page(*files, **more), self.LINE)
        return json.loads(found.data), found.hidden

    def test_hidden(self) -> None:
        """Files that are too young or of unknown age go, and versions that have no other."""
        shown, hidden = self.older(
            file("d-1-py3-none-any.whl", **{"upload-time": self.OLD}),
            file("d-2-py3-none-any.whl", **{"upload-time": self.NEW}),
            file("d-1.tar.gz", **{"upload-time": self.NEW}),
            file("d-3.zip"),
            versions=["1", "2", "3", "4"],
        )
        self.assertEqual([f["filename"] for f in shown["files"]], ["d-1-py3-none-any.whl"])
        self.assertEqual((hidden, shown["versions"]), (3, ["1", "4"]))

    def test_odd(self) -> None:
        """Names and versions of another type than they should have hide nothing else."""
        _, hidden = self.older({"filename": [1]}, {"filename": 2}, versions=[[3]])
        self.assertEqual(hidden, 2)
        self.older({"filename": 2}, versions=3)

    def test_nothing_hidden(self) -> None:
        """A page of old files stays what it is, to the byte."""
        data = page(file("d-1.zip", **{"upload-time": self.OLD}))
        self.assertEqual(pypi.older(data, self.LINE).data, data)

    def test_no_zone(self) -> None:
        """A time without a zone is UTC."""
        shown, hidden = self.older(file("d-1.zip", **{"upload-time": "2024-01-23T08:53:19"}))
        self.assertEqual((len(shown["files"]), hidden), (1, 0))
        _, hidden = self.older(file("d-1.zip", **{"upload-time": "2024-01-23T08:53:21"}))
        self.assertEqual(hidden, 1)

    def test_html(self) -> None:
        """Made into HTML, a page says the same to clients and to us."""
        data = page(
            file(
                "a<b.whl", yanked="bad & old", **{"requires-python": ">=3", "core-metadata": True}
            ),
            file("c.whl", **{"core-metadata": {"sha256": B}}),
        )
        html = pypi.as_html(data)
        self.assertEqual(pypi.digests(html, PAGE), pypi.digests(data, PAGE))
        self.assertIn(
            b'<a href="de-mo/">De.mo</a>', pypi.as_html(b'{"projects": [{"name": "De.mo"}]}')
        )
        for text in (b"&gt;=3", b"bad &amp; old", b'data-core-metadata="true"', b"a&lt;b.whl</a>"):
            self.assertIn(text, html)
