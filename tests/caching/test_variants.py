"""aimirror.caching.variants: RFC 9111 section 4.1."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching import variants
from aimirror.caching.entries import Entry
from aimirror.caching.variants import matches, select, variant
from aimirror.http.dates import format_date
from aimirror.http.headers import Headers

NOW = 1_750_000_000.0
Items = list[tuple[str, str]]
#: RFC 9111 section 4.1: (Vary, first request, second request, whether they match).
PAIRS: tuple[tuple[list[str], Items, Items, bool], ...] = (
    ([], [("Foo", "1")], [("Foo", "2")], True),
    ([""], [("Foo", "1")], [], True),
    (["Foo"], [("Foo", "1")], [("Foo", "1")], True),
    (["Foo"], [("Foo", "1")], [("foo", "1")], True),
    (["foo"], [("FOO", "1")], [("Foo", "1")], True),
    (["Foo"], [("Foo", "1")], [("Foo", "2")], False),
    (["Foo"], [("Foo", "1")], [], False),
    (["Foo"], [], [("Foo", "1")], False),
    (["Foo"], [("Foo", "")], [], False),
    (["Foo"], [("Foo", "a")], [("Foo", "A")], False),
    (["Foo"], [("Foo", "1"), ("Other", "2")], [("Foo", "1"), ("Other", "3")], True),
    (["Foo, Bar"], [("Foo", "1"), ("Bar", "2")], [("Bar", "2"), ("Foo", "1")], True),
    (["Foo, Bar"], [("Foo", "1"), ("Bar", "2")], [("Foo", "2"), ("Bar", "2")], False),
    (["Foo", "Bar"], [("Foo", "1"), ("Bar", "2")], [("Foo", "1"), ("Bar", "3")], False),
    (["Foo, Bar"], [("Foo", "1")], [], False),
    (["Foo, Bar"], [("Foo", "1")], [("Bar", "1")], False),
    (["Foo, Bar, Baz"], [("Foo", "1"), ("Baz", "3")], [("Foo", "1"), ("Baz", "3")], True),
    (["Foo, Foo"], [("Foo", "1")], [("Foo", "1")], True),
    (["Foo"], [("Foo", "1,2")], [("Foo", " 1, 2 ")], True),
    (["Foo"], [("Foo", "1, 2")], [("Foo", "1"), ("Foo", "2")], True),
    (["Foo"], [("Foo", "1, 2")], [("Foo", "2, 1")], False),
    (["Foo"], [("Foo", '"a, b"')], [("Foo", '"a,b"')], False),
    (["Foo"], [("Foo", "a b")], [("Foo", "ab")], False),
    (["Accept-Language"], [("Accept-Language", "en, de")], [("Accept-Language", "de, en")], True),
    (["Accept-Language"], [("Accept-Language", "en, de")], [("Accept-Language", "eN,De")], True),
    (
        ["Accept-Language"],
        [("Accept-Language", "en, de")],
        [("Accept-Language", " en ,   de")],
        True,
    ),
    (["Accept-Language"], [("Accept-Language", "en, de")], [("Accept-Language", "en")], False),
    (
        ["Accept-Language"],
        [("Accept-Language", "en, de;q=0.5")],
        [("Accept-Language", "de;q=0.5, en")],
        True,
    ),
    (
        ["Accept-Language"],
        [("Accept-Language", "en;q=0.5, de")],
        [("Accept-Language", "en, de;q=0.5")],
        False,
    ),
    (
        ["Accept-Encoding"],
        [("Accept-Encoding", "gzip, br")],
        [("Accept-Encoding", "BR,gzip")],
        True,
    ),
    (["Accept-Encoding"], [("Accept-Encoding", "gzip;q=1.0")], [("Accept-Encoding", "gzip")], True),
    (
        ["Accept-Encoding"],
        [("Accept-Encoding", "gzip; q=0.50")],
        [("Accept-Encoding", "gzip;Q=0.5")],
        True,
    ),
    (["Accept-Encoding"], [("Accept-Encoding", "gzip;q=0")], [("Accept-Encoding", "")], False),
    (["Accept-Encoding"], [("Accept-Encoding", "gzip;q=0")], [("Accept-Encoding", "gzip")], False),
    (["Accept-Encoding"], [("Accept-Encoding", "gzip, gzip")], [("Accept-Encoding", "gzip")], True),
    (
        ["Accept"],
        [("Accept", "text/html, a/b")],
        [("Accept", "a/b"), ("Accept", "Text/HTML")],
        True,
    ),
    (["Accept"], [("Accept", "a/b;v=1")], [("Accept", "a/b;v=2")], False),
    (["Accept"], [("Accept", "a/b; v=1;q=0.3")], [("Accept", "a/b;v=1; q=0.30")], True),
    (["Accept"], [("Accept", 'a/b;v="x;y, z"')], [("Accept", 'a/b;v="x"')], False),
    (["Accept"], [("Accept", "a/b;q=0.1, c/d;q=0.2")], [("Accept", "a/b;q=0.2, c/d;q=0.1")], False),
    (["Authorization"], [("Authorization", "x")], [("Authorization", "x")], True),
    (["Authorization"], [("Authorization", "x")], [("Authorization", "y")], False),
    (["Cookie"], [("Cookie", "x")], [], False),
)
MEDIA = ("a/b", "A/B;q=1", "c/d; q=0.5", "c/d;q=0.7", "e/*;level=1", "*/*;q=0.1")


def stored(request: Items, vary: list[str], at: float = 0, **attributes: object) -> Entry:
    found = variant(vary, Headers(request))
    assert found is not None
    fields = [("Date", format_date(NOW + at)), *(("Vary", line) for line in vary)]
    values: dict[str, object] = {"received_at": NOW + at, **attributes}
    return Entry(key="u", variant=found[0], selecting=found[1], headers=Headers(fields), **values)  # type: ignore[arg-type]


def shuffled(members: list[str]) -> st.SearchStrategy[tuple[list[str], list[str]]]:
    return st.tuples(st.just(members), st.permutations(members))


class VariantTests(SynchronousTestCase):
    def test_pairs(self) -> None:
        """Requests match as far as the selecting fields mean the same."""
        for vary, first, second, expected in PAIRS:
            found = matches(stored(first, vary), Headers(second))
            self.assertEqual(found, expected, (vary, first, second))
            back = matches(stored(second, vary), Headers(first))
            self.assertEqual(back, expected, (vary, second, first))

    def test_long(self) -> None:
        """A field as long as a head may be is compared, and not kept in memory."""
        kept = variants._remembered.cache_info().currsize
        wanted = Headers([("Accept", ",".join(f"a/{n}" for n in range(5000)))])
        other = Headers([("Accept", ",".join(f"a/{n}" for n in reversed(range(5000))))])
        self.assertEqual(variant(["Accept"], wanted), variant(["Accept"], wanted))
        self.assertEqual(variant(["Accept"], wanted)[0], variant(["Accept"], other)[0])
        self.assertEqual(variants._remembered.cache_info().currsize, kept)

    def test_star(self) -> None:
        """Vary: * has no variants, wherever the star stands."""
        for vary in (["*"], ["*, *"], ["*", "*"], [", *"], ["", "*"], ["*, Foo"], ["Foo, *"]):
            self.assertIsNone(variant(vary, Headers([("Foo", "1")])), vary)
        self.assertFalse(matches(Entry(key="u", headers=Headers([("Vary", "*")])), Headers()))

    def test_no_vary(self) -> None:
        """Without Vary there is one variant, named by the empty string."""
        self.assertEqual(variant([], Headers([("Foo", "1")])), ("", Headers()))

    def test_selecting(self) -> None:
        """The selecting fields are kept as sent."""
        request = Headers([("Accept", "b"), ("Foo", "1"), ("accept", "a")])
        found = variant(["Accept"], request)
        self.assertEqual(found, ("accept:a,b", Headers([("Accept", "b"), ("accept", "a")])))

    def test_no_secrets(self) -> None:
        """A credential named by Vary shows neither in the id nor in the selecting fields."""
        request = Headers([("Authorization", "Bearer s3cret"), ("Cookie", "s3cret")])
        self.assertNotIn("s3cret", repr(variant(["Authorization, Cookie"], request)))
        found = variant(["Authorization, Cookie"], request)
        assert found is not None
        self.assertEqual(found[1], Headers())

    def test_most_recent(self) -> None:
        """Of several matching entries the most recent is taken, whatever their order."""
        old, new = stored([("Foo", "1")], ["Foo"]), stored([], [], at=5)
        for entries in ([old, new], [new, old]):
            self.assertIs(select(entries, Headers([("Foo", "1")])), new)
        self.assertIs(select([old], Headers([("Foo", "1")])), old)
        self.assertIsNone(select([old], Headers([("Foo", "2")])))
        self.assertIsNone(select([], Headers()))

    def test_same_date(self) -> None:
        """Entries of one Date are told apart by the time of receipt."""
        first, second = stored([], [], blob="a"), stored([], [], blob="b", received_at=NOW + 1)
        self.assertIs(select([second, first], Headers()), second)

    def test_scopes(self) -> None:
        """Another credential's entry is never chosen; one's own and everybody's are."""
        theirs = stored([], [], at=9, scope="theirs")
        mine, public = stored([], [], at=5, scope="mine"), stored([], [])
        self.assertIs(select([theirs, mine, public], Headers(), "mine"), mine)
        self.assertIs(select([theirs, public], Headers(), "mine"), public)
        self.assertIs(select([theirs, mine, public], Headers()), public)
        self.assertIsNone(select([theirs], Headers()))

    @given(st.lists(st.sampled_from(MEDIA), min_size=1, max_size=6).flatmap(shuffled))
    @settings(max_examples=50, deadline=None)
    def test_order(self, orders: tuple[list[str], list[str]]) -> None:
        """The order of lines and members of Accept makes no variant of its own."""
        joined = [("Accept", ", ".join(orders[0]))]
        lines = Headers([("accept", member) for member in orders[1]])
        self.assertTrue(matches(stored(joined, ["Accept"]), lines))

    @given(st.text(alphabet='ab,;q=01." \\', max_size=30))
    @settings(max_examples=100, deadline=None)
    def test_any_value(self, value: str) -> None:
        """No Accept value makes it raise, and each matches itself."""
        items = [("Accept", value)]
        self.assertTrue(matches(stored(items, ["Accept"]), Headers(items)))
