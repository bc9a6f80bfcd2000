"""Cookies of a chain of redirects."""

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.cookies import LONGEST_COOKIE, MOST_COOKIES, Cookies
from aimirror.http.headers import Headers

URL = "https://one.example:8443/a"


def after(*lines: str, url: str = URL, before: Cookies = Cookies()) -> Cookies:  # noqa: B008
    return before.after(url, Headers(("Set-Cookie", line) for line in lines))


def sent(cookies: Cookies, url: str = URL, *fields: tuple[str, str]) -> str | None:
    return cookies.added(Headers(fields), url).get("cookie")


class CookiesTests(SynchronousTestCase):
    def test_back(self) -> None:
        """Cookies go back to their host, whatever its port, without their attributes."""
        cookies = after("a=1; Path=/; HttpOnly", "b=x=y; SameSite=Lax")
        self.assertEqual(sent(cookies), "a=1; b=x=y")
        self.assertEqual(sent(cookies, "http://one.example/z"), "a=1; b=x=y")

    def test_nowhere_else(self) -> None:
        """Another host, also one below, gets none, whatever Domain says; none leaves no field."""
        cookies = after("a=1; Domain=example")
        for url in ("https://two.example/", "https://x.one.example/", "https://example/"):
            self.assertIsNone(sent(cookies, url))

    def test_secure(self) -> None:
        """One that is for TLS does not leave in clear text."""
        self.assertIsNone(sent(after("a=1; Secure"), "http://one.example/"))

    def test_changed(self) -> None:
        """A later value takes the place of an earlier one, Max-Age=0 of all."""
        cookies = after("a=2", before=after("a=1", "b=1"))
        self.assertEqual(sent(cookies), "b=1; a=2")
        self.assertEqual(sent(after("a=; Max-Age=0", before=cookies)), "b=1")

    def test_beside_the_clients(self) -> None:
        """The client's own cookies are sent on, but for those of the same name."""
        self.assertEqual(sent(after("a=2"), URL, ("Cookie", "a=1; c=3")), "c=3; a=2")

    def test_nonsense(self) -> None:
        """What is no pair, or too long, is dropped; there are no more than so many."""
        self.assertIsNone(sent(after("alone", "=1", "a=" + "x" * LONGEST_COOKIE)))
        cookies = after(*(f"c{n}=1" for n in range(MOST_COOKIES + 5)))
        self.assertEqual((sent(cookies) or "").count("="), MOST_COOKIES)
