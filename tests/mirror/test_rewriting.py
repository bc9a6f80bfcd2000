"""Rewriting of links: what is one, what is not, and that the place of a cut never matters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.mirror.link_targets import Link
from aimirror.mirror.rewriting import Rewriter, rewritten_etag

FILES = Link("https://files.pythonhosted.org", "http://127.0.0.1:8081")
NPM = Link("https://registry.npmjs.org", "http://mirror/registry/npm")
TORCH = Link("https://download.pytorch.org/whl", "http://mirror/torch")
NIGHTLY = Link("https://download.pytorch.org/whl/nightly", "http://mirror/nightly")
LOCAL = Link("http://localhost:9000", "https://m")
LINKS = (FILES, NPM, TORCH, NIGHTLY, LOCAL)
PATHS = (("/whl", "/torch"), ("/whl/cu", "/cu"))

BOUNDARIES = b"/?#\"'<>\\ \t\r\n\f\v),;&"


class Reference:
    """The same, one position after the other, in the order of the rules."""

    def __init__(self, links: Sequence[Link], paths: Sequence[tuple[str, str]]) -> None:
        self.links = sorted(links, key=lambda link: -len(link.old))
        self.paths = sorted(paths, key=lambda pair: -len(pair[0]))

    def rewrite(self, data: bytes) -> bytes:
        text, out, i = data.decode("latin-1"), "", 0
        while i < len(text):
            stop, new = self.link(text, i) or self.path(text, i) or (i + 1, text[i])
            out += new
            i = stop
        return out.encode("latin-1")

    def link(self, text: str, i: int) -> tuple[int, str] | None:
        for link in self.links:
            for scheme in ("https", "http", ""):
                if scheme:
                    if text[i : i + len(scheme) + 1].lower() != f"{scheme}:":
                        continue
                    if i and re.match(r"[A-Za-z0-9_+.-]", text[i - 1]):
                        continue
                    after = i + len(scheme) + 1
                elif i and text[i - 1] in "\"'=":
                    after = i
                else:
                    continue
                for stop, escaped in self.slashes(text, after):
                    end = self.host(text, stop, scheme, link.old)
                    if end is not None:
                        return end, link.new.replace("/", "\\/") if escaped else link.new
        return None

    @staticmethod
    def slashes(text: str, i: int) -> list[tuple[int, bool]]:
        found = re.compile(r"\\?/(\\?)/").match(text, i)
        return [(found.end(), bool(found[1]))] if found else []

    def host(self, text: str, i: int, scheme: str, old: str) -> int | None:
        url = urlsplit(old)
        default = {"http": 80, "https": 443}
        ports = {url.port}
        if url.port is None:
            ports |= {default[scheme]} if scheme else {80, 443}
        for port in ports:
            authority = (url.hostname or "") + (f":{port}" if port else "")
            if text[i : i + len(authority)].lower() == authority:
                end = self.slashed(text, i + len(authority), url.path)
                if end is not None:
                    return end
        return None

    @staticmethod
    def slashed(text: str, i: int, path: str) -> int | None:
        for char in path:
            if char == "/" and text[i : i + 1] == "\\":
                i += 1
            if text[i : i + 1] != char:
                return None
            i += 1
        return i if i == len(text) or text[i].encode("latin-1") in BOUNDARIES else None

    def path(self, text: str, i: int) -> tuple[int, str] | None:
        left = r"(?s:.*(?<![A-Za-z0-9_-])(?:href|src)\s{0,4}=\s{0,4}[\"']|.*\"\s{0,4}:\s{0,4}\")\Z"
        if text[i] not in "\\/" or not re.match(left, text[:i], re.IGNORECASE | re.ASCII):
            return None
        escaped = text[i] == "\\"
        for old, new in self.paths:
            if old:
                end = self.slashed(text, i, old)
            else:
                found = re.compile(r"\\?/(?!\\?/)").match(text, i)
                end, new = (found.end() if found else None), f"{new}/"
            if end is not None:
                return end, new.replace("/", "\\/") if escaped else new
        return None


#: Pieces of which hard texts are made, so that near misses and borders come often.
PIECES = [
    *(b"https:", b"http:", b"HTTPS:", b"//", b"\\/\\/", b"/\\/", b"/", b"\\/", b"\\"),
    *(b"files.pythonhosted.org", b"Files.PythonHosted.ORG", b"registry.npmjs.org", b"localhost"),
    *(b"download.pytorch.org", b"/whl", b"\\/whl", b"/WHL", b"/nightly", b"/cu", b"118"),
    *(b":443", b":80", b":9000", b":", b'"', b"'", b"=", b"href", b'href="', b"src = '", b" "),
    *(b'"url": "', b'"u":"', b"      ", b"x", b".evil", b"@", b"(", b")", b"<", b">", b"#", b"?"),
    *(b"\xff", b"\xe4\xb8\xad", b"\x00", b"\n", b"&", b";", b",", b"git+", b"https://", b"-", b"_"),
    *(b"https://files.pythonhosted.org", b"http://localhost:9000", b'"//registry.npmjs.org'),
    *(b'href="/whl', b'"url":"\\/whl', b"https:\\/\\/download.pytorch.org\\/whl", b"//localhost"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=25).map(b"".join)
PATH_SETS = st.sampled_from([(), PATHS, (("", "/root"),), (*PATHS, ("", "/root"))])


class RewriterTests(SynchronousTestCase):
    """One link at a time."""

    def check(self, cases: dict[str, str], *links: Link, paths: object = ()) -> None:
        assert isinstance(paths, tuple)
        rewriter = Rewriter(links or LINKS, paths)
        for text, expected in cases.items():
            self.assertEqual(rewriter.rewrite(text.encode()), expected.encode(), text)

    def same(self, *texts: str, paths: object = ()) -> None:
        self.check({text: text for text in texts}, paths=paths)

    def test_index_page(self) -> None:
        """A link keeps its path, its digest and everything around it."""
        self.check(
            {
                '<a href="https://files.pythonhosted.org/packages/a/b.whl#sha256=00" '
                'data-requires-python="&gt;=3.9">b.whl</a>': '<a href="http://127.0.0.1:8081/'
                'packages/a/b.whl#sha256=00" data-requires-python="&gt;=3.9">b.whl</a>'
            }
        )

    def test_for_people(self) -> None:
        """Links to pages for people stay, whatever their host; downloads beside them do not."""
        link = "https://files.pythonhosted.org/a"
        for text in (
            '{"homepage":"%s"}',
            '{"home_page" : "%s"}',
            '{"bugs": {"url": "%s"}}',
            '{"bugs":{"email":"a@b.example","url":"%s"}}',
            '{"repository":{"type":"git","url":"%s","directory":"x"}}',
            '{"funding":["%s"]}',
            '{"project_urls": {"Home": "http://x.example", "Source": "%s"}}',
        ):
            self.same(text % link)
            data = (text % link).encode()
            rewriter = Rewriter(LINKS)
            pieces = [rewriter.feed(data[k : k + 1]) for k in range(len(data))]
            self.assertEqual(b"".join([*pieces, rewriter.end()]), data)
        for text in (
            '{"bugs":{},"url":"%s"}',
            '{"tarball":"%s","homepage":"x"}',
            '{"urls":[{"url":"%s"}]}',
            '{"repository_url":"%s"}',
        ):
            self.check({text % link: text % "http://127.0.0.1:8081/a"})

    def test_members(self) -> None:
        """With members, their values alone are links, also where a stream is cut."""
        link, led = "https://files.pythonhosted.org/a", "http://127.0.0.1:8081/a"
        text = '{"dist":{"tarball" : "%s","url":"%s"},"readme":"see %s","x-tarball":"%s"}'
        data = (text % (link, link, link, link)).encode()
        wanted = (text % (led, link, link, link)).encode()
        rewriter = Rewriter(LINKS, (), ("tarball", "other"))
        self.assertEqual(rewriter.rewrite(data), wanted)
        pieces = [rewriter.feed(data[k : k + 1]) for k in range(len(data))]
        self.assertEqual(b"".join([*pieces, rewriter.end()]), wanted)

    def test_every_boundary(self) -> None:
        """What ends a host or a path ends a target."""
        for byte in BOUNDARIES:
            data = b"https://files.pythonhosted.org" + bytes([byte])
            self.assertEqual(
                Rewriter(LINKS).rewrite(data), b"http://127.0.0.1:8081" + bytes([byte])
            )
        self.check({"https://files.pythonhosted.org": "http://127.0.0.1:8081"})

    def test_other_hosts(self) -> None:
        """A longer host, another port or user information is not the target."""
        self.same(
            "https://files.pythonhosted.org.evil/",
            "https://files.pythonhosted.organisation",
            "https://files.pythonhosted.org:8443/",
            "https://files.pythonhosted.org:4430/",
            "https://files.pythonhosted.org@evil/",
            "https://user@files.pythonhosted.org/",
            "https://my.files.pythonhosted.org/",
            "https://files-pythonhosted.org/",
            "ftp://files.pythonhosted.org/",
            "https:/files.pythonhosted.org/",
            "https://localhost/",
            "https://download.pytorch.org/wheels",
            "https://download.pytorch.org/WHL/",
        )

    def test_places(self) -> None:
        """A link starts where a word does; without scheme only behind a quote or ``=``."""
        new = "http://127.0.0.1:8081/x"
        for before in ("", "=", "(", "'", '"', " ", "<", ">", "\n", ",", "/", "\u4e2d"):
            self.check({f"{before}https://files.pythonhosted.org/x": before + new})
        for before in ("x", "7", "_", "git+", "-", "."):
            self.same(f"{before}https://files.pythonhosted.org/x")
        for before in ("=", "'", '"'):
            self.check({f"{before}//files.pythonhosted.org/x": before + new})
        self.same("//files.pythonhosted.org/x", "a//files.pythonhosted.org/x")

    def test_case_and_ports(self) -> None:
        """Scheme, letter case of the host and a default port make no difference."""
        for base in (
            *("http://files.pythonhosted.org", "HTTPS://FILES.PythonHosted.org"),
            *("https://files.pythonhosted.org:443", "http://files.pythonhosted.org:80"),
        ):
            self.check({f"{base}/X": "http://127.0.0.1:8081/X"})
        self.same("https://files.pythonhosted.org:80/", "http://files.pythonhosted.org:443/")
        self.check({"https://localhost:9000/": "https://m/", '"//localhost:9000/': '"https://m/'})
        told = Link("https://Host:443/", "http://m/")
        self.check({"http://host/x": "http://m/x", "https://host:443/": "http://m/"}, told)

    def test_longest_first(self) -> None:
        """The most specific target wins, whatever the order."""
        cases = {
            "https://download.pytorch.org/whl/nightly/x": "http://mirror/nightly/x",
            "https://download.pytorch.org/whl/nightlyx": "http://mirror/torch/nightlyx",
            "https://download.pytorch.org/whl": "http://mirror/torch",
        }
        self.check(cases, TORCH, NIGHTLY)
        self.check(cases, NIGHTLY, TORCH)

    def test_escaped(self) -> None:
        """Slashes escaped in JSON stay escaped in what replaces them."""
        self.check(
            {
                r'{"tarball":"https:\/\/registry.npmjs.org\/x"}': (
                    r'{"tarball":"http:\/\/mirror\/registry\/npm\/x"}'
                ),
                r'"https:\/\/download.pytorch.org\/whl\/nightly"': r'"http:\/\/mirror\/nightly"',
                r'"\/\/registry.npmjs.org\/x"': r'"http:\/\/mirror\/registry\/npm\/x"',
                r'"https://registry.npmjs.org\n"': r'"http://mirror/registry/npm\n"',
            }
        )

    def test_root_relative(self) -> None:
        """Paths in attributes and JSON members move, with a boundary, longest first."""
        self.check(
            {
                '<a href="/whl/x">': '<a href="/torch/x">',
                "<img SRC = '/whl'>": "<img SRC = '/torch'>",
                '{"url": "/whl/x"}': '{"url": "/torch/x"}',
                r'{"url":"\/whl\/x"}': r'{"url":"\/torch\/x"}',
                r'{"url":"\/whl\/cu\/x"}': r'{"url":"\/cu\/x"}',
                'href="/whl/cu118"': 'href="/torch/cu118"',
            },
            paths=PATHS,
        )
        self.same(
            *('href="/wheel/x"', 'href="/whlx"', 'data-href="/whl/x"', '["/whl/x"]', "/whl/x"),
            *('href="//whl/x"', 'title="/whl/x"', 'href="x/whl/x"', "href=/whl/x", '"a" "/whl"'),
            paths=PATHS,
        )

    def test_root_itself(self) -> None:
        """The empty prefix moves every root-relative link and nothing else."""
        paths = (("", "/nvidia"),)
        self.check(
            {
                'href="/a/"': 'href="/nvidia/a/"',
                'href="/"': 'href="/nvidia/"',
                r'"url":"\/a"': r'"url":"\/nvidia\/a"',
                'href="//files.pythonhosted.org/a"': 'href="http://127.0.0.1:8081/a"',
            },
            paths=paths,
        )
        self.same('href="//a/"', 'href=""', 'href="a/"', r'"a":"\/\/b"', r'"a":"\n"', paths=paths)

    def test_refused(self) -> None:
        """What is no base is named in the error."""
        for old in ("files.pythonhosted.org", "ftp://h", "https://", "https://u@h", "https://h/?q"):
            with self.assertRaisesRegex(ValueError, re.escape(repr(old))):
                Rewriter([Link(old, "http://m")])
        with self.assertRaisesRegex(ValueError, "'whl'"):
            Rewriter([], [("whl", "/torch")])

    def test_nothing_to_do(self) -> None:
        """Without links nothing is held back."""
        rewriter = Rewriter([])
        self.assertEqual((rewriter.feed(b"https://x"), rewriter.end()), (b"https://x", b""))


class StreamTests(SynchronousTestCase):
    """Cuts and bounds."""

    @given(TEXTS, PATH_SETS)
    @settings(max_examples=300, deadline=None)
    def test_reference(self, data: bytes, paths: tuple[tuple[str, str], ...]) -> None:
        """The slow reading of the rules comes to the same."""
        expected = Reference(LINKS, paths).rewrite(data)
        self.assertEqual(Rewriter(LINKS, paths).rewrite(data), expected)

    @given(TEXTS, PATH_SETS, st.lists(st.integers(0, 400), max_size=12))
    @settings(max_examples=200, deadline=None)
    def test_cuts(self, data: bytes, paths: tuple[tuple[str, str], ...], cuts: list[int]) -> None:
        """However a body is cut, the sum of what comes out is the same."""
        rewriter = Rewriter(LINKS, paths)
        places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        chunks = [data[a:b] for a, b in pairwise(places)]
        expected = rewriter.rewrite(data)
        self.assertEqual(b"".join(map(rewriter.feed, chunks)) + rewriter.end(), expected)

    @given(TEXTS, PATH_SETS)
    @settings(max_examples=50, deadline=None)
    def test_single_bytes(self, data: bytes, paths: tuple[tuple[str, str], ...]) -> None:
        """The finest cut of all."""
        rewriter = Rewriter(LINKS, paths)
        out = b"".join(rewriter.feed(data[i : i + 1]) for i in range(len(data))) + rewriter.end()
        self.assertEqual(out, rewriter.rewrite(data))

    def test_every_cut(self) -> None:
        """Each single cut of a text with all kinds of links."""
        data = (
            rb'{"a": "https://files.pythonhosted.org:443/x", "b": "//registry.npmjs.org", '
            rb'"c":"https:\/\/download.pytorch.org\/whl\/nightly\/y", "d"    :    "\/whl\/cu\/z",'
            rb' href    =    "/whl" data-href    =    "\/whl", xhttps://files.pythonhosted.org/x,'
            rb"https:\/\/download.pytorch.org:443\/whl\/nightlyx xhttps:\/\/registry.npmjs.org"
        )
        expected = Reference(LINKS, PATHS).rewrite(data)
        rewriter = Rewriter(LINKS, PATHS)
        for cut in range(len(data) + 1):
            out = rewriter.feed(data[:cut]) + rewriter.feed(data[cut:]) + rewriter.end()
            self.assertEqual(out, expected, cut)

    def test_held_back(self) -> None:
        """Of an endless body never more than the longest target and a few bytes is kept."""
        longest = max(len(link.old) for link in LINKS)
        rewriter = Rewriter(LINKS, PATHS)
        given_out = 0
        for fed in range(100, 10_000, 100):
            given_out += len(rewriter.feed(b'"href=https:/' * 7 + b"123456789"))
            self.assertLessEqual(fed - given_out, longest + 32)
        self.assertEqual(given_out + len(rewriter.end()), fed)

    def test_again(self) -> None:
        """After its end a rewriter starts from nothing: the next body is behind no word."""
        rewriter = Rewriter(LINKS)
        rewriter.feed(b"x")
        rewriter.end()
        out = rewriter.feed(b"https://files.pythonhosted.org/") + rewriter.end()
        self.assertEqual(out, b"http://127.0.0.1:8081/")


class ETagTests(SynchronousTestCase):
    """The tag of a rewritten body."""

    @given(st.text("abc,- /\\\xe9", max_size=20), st.booleans(), st.text(max_size=10))
    @settings(max_examples=50, deadline=None)
    def test_another(self, opaque: str, weak: bool, base: str) -> None:
        """It is weak, and another one than the upstream's."""
        etag = f'{"W/" if weak else ""}"{opaque}"'
        made = rewritten_etag(etag, base)
        assert made is not None
        self.assertTrue(made.startswith('W/"'))
        self.assertNotEqual(made.removeprefix("W/"), etag.removeprefix("W/"))

    def test_by_base(self) -> None:
        """Clients by different bases have different tags, as their links differ."""
        self.assertNotEqual(rewritten_etag('"a"', "http://a"), rewritten_etag('"a"', "http://b"))

    def test_none(self) -> None:
        """Without a valid tag there is none to make."""
        self.assertIsNone(rewritten_etag(None, "http://a"))
        self.assertIsNone(rewritten_etag('"a", "b"', "http://a"))
