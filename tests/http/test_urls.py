from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http import urls


class ReferenceTests(SynchronousTestCase):
    def test_own_host(self) -> None:
        """However a path begins, a link to it stays with this host."""
        for path in ("//evil/foo/", "/\\evil/foo/", "///evil/foo/", "/evil/foo/"):
            self.assertEqual(urls.reference(path), "/evil/foo/")


class CanonicalTests(SynchronousTestCase):
    def test_undotted(self) -> None:
        """A segment of one dot is left out; nothing else that looks like one is."""
        for path, wanted in (
            ("/flat/./Packages", "/flat/Packages"),
            ("/././a/././b", "/a/b"),
            ("/a/.b/c./..d/%2e/e", "/a/.b/c./..d/%2e/e"),
            ("/a/./../b", "/a/../b"),
        ):
            self.assertEqual(urls.undotted(path), wanted)

    def test_origin(self) -> None:
        """Scheme and host compare without case, and a default port is none."""
        self.assertEqual(urls.canonical("HTTPS://Host.Example:443/A"), "https://host.example/A")
        self.assertEqual(urls.canonical("http://h:80"), "http://h/")
        self.assertEqual(urls.canonical("http://h:8080/a#frag"), "http://h:8080/a")
        self.assertEqual(urls.canonical("http://h:443/"), "http://h:443/")

    def test_triplets(self) -> None:
        """Percent-encodings are one in either case and never decoded; the query stays."""
        self.assertEqual(
            urls.canonical("http://h/@s%2fn%7e~?a=%2b&a=b"), "http://h/@s%2Fn%7E~?a=%2B&a=b"
        )

    def test_not_http(self) -> None:
        """Anything but an absolute http or https URL is an error."""
        for text in ("ftp://h/", "//h/x", "/x", "http://", "http:///x", ""):
            with self.assertRaises(ValueError):
                urls.canonical(text)

    def test_host(self) -> None:
        """The host name is found behind user, before port, and in brackets."""
        for text in ("http://H.x:1/p", "http://u:p@h.x/", "http://h.x?q"):
            self.assertEqual(urls.host(text), "h.x")
        self.assertEqual(urls.host("http://[::1]:80/"), "::1")


class TicketTests(SynchronousTestCase):
    def test_tickets(self) -> None:
        """A query, or a segment that somebody drew, may be for one use; names of files are not."""
        for url in (
            "https://h/file.bin?X-Amz-Signature=1",
            "https://h/dl/8f3a9c0d11e2b7465a/model.bin",
            "https://h/dl/dGhpcyBpcyBhIHRva2VuMQ",
        ):
            self.assertTrue(urls.is_ticket(url), url)
        for url in (
            "https://h/pub/debian-12.5.0-amd64-netinst.iso",
            "https://h/a/file.bin",
            "https://abcdefgh12345678abcd/file.bin",
            "https://h/releases/download/file.bin?",
        ):
            self.assertFalse(urls.is_ticket(url), url)


class JoinTests(SynchronousTestCase):
    def test_bases(self) -> None:
        """A base with or without path and trailing slash joins with one slash."""
        for base in ("https://h", "https://h/", "https://H:443//"):
            self.assertEqual(urls.join(base, "/a", ""), "https://h/a")
            self.assertEqual(urls.join(base, "", "q"), "https://h/?q")
        for base in ("https://h/b", "https://h/b/"):
            self.assertEqual(urls.join(base, "/a", "x=1"), "https://h/b/a?x=1")
            self.assertEqual(urls.join(base, "", ""), "https://h/b")

    @settings(max_examples=50, deadline=None)
    @given(st.text(alphabet="ab%2fF./~+@:é", max_size=20), st.text(alphabet="a=&%2B?/", max_size=9))
    def test_to_the_letter(self, path: str, query: str) -> None:
        """What the client wrote arrives unchanged, bytes beyond ASCII aside, at the same host."""
        joined = urls.join("https://h", f"/{path}", query)
        wanted = f"/{path}" + (f"?{query}" if query else "")
        self.assertEqual(joined, "https://h" + wanted.replace("é", "%E9"))
        self.assertEqual(urls.host(joined), "h")


class ObjectionTests(SynchronousTestCase):
    def test_refused(self) -> None:
        """Dot segments in any spelling, backslashes and control characters are refused."""
        for path in (
            "/..",
            "/a/../b",
            "/a/./b",
            "/a/.",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a/..%2fb",
            "/a%2F..",
            "/a/..;x=1/b",
            "/a\\b",
            "/a%5cb",
            "/a\nb",
            "/a%00",
            "/a%0d%0ab",
            "/a b",
            "/a#b",
            "/a?b",
            "a",
            "",
            "@evil.example/",
        ):
            self.assertIsNotNone(urls.objection(path, ""), path)
        for query in ("a\nb", "a#b", "a b"):
            self.assertIsNotNone(urls.objection("/", query), query)

    def test_kept(self) -> None:
        """Dots within a name, encoded slashes and any encoded query are ordinary."""
        for path in ("/", "//a", "/.hidden", "/a..b/c", "/...", "/@s%2Fn", "/~a/%2B;v=1", "/é"):
            self.assertIsNone(urls.objection(path, "a=%0a/../?&b=../c"), path)
