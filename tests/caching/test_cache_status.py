"""aimirror.caching.cache_status: RFC 9211, RFC 9111 sections 4 and 5.1."""

from twisted.trial.unittest import SynchronousTestCase

from aimirror.caching.cache_status import Handling, cache_status, serve
from aimirror.caching.entries import Entry
from aimirror.caching.reuse import Forward
from aimirror.http.dates import format_date
from aimirror.http.headers import Headers

NOW = 1_750_000_000.0
#: RFC 9211 section 2.
MEMBERS = (
    (Handling(), "aimirror; hit"),
    (Handling(ttl=376.9), "aimirror; hit; ttl=376"),
    (Handling(ttl=-12.1, detail="stale"), 'aimirror; hit; ttl=-13; detail="stale"'),
    (Handling(forward=Forward.URI_MISS), "aimirror; fwd=uri-miss"),
    (Handling(forward=Forward.URI_MISS, stored=True), "aimirror; fwd=uri-miss; stored"),
    (
        Handling(forward=Forward.URI_MISS, stored=True, collapsed=True),
        "aimirror; fwd=uri-miss; stored; collapsed",
    ),
    (Handling(forward=Forward.VARY_MISS), "aimirror; fwd=vary-miss"),
    (Handling(forward=Forward.METHOD), "aimirror; fwd=method"),
    (Handling(forward=Forward.BYPASS), "aimirror; fwd=bypass"),
    (Handling(forward=Forward.REQUEST), "aimirror; fwd=request"),
    (
        Handling(forward=Forward.STALE, forward_status=304, ttl=600),
        "aimirror; fwd=stale; fwd-status=304; ttl=600",
    ),
    (Handling(detail='a "b" \\ é\n'), 'aimirror; hit; detail="a \\"b\\" \\\\ ??"'),
    (Handling(detail="x" * 300), f'aimirror; hit; detail="{"x" * 200}"'),
)


class CacheStatusTests(SynchronousTestCase):
    def test_members(self) -> None:
        """The member is a token with the parameters that apply, well quoted."""
        for handling, expected in MEMBERS:
            self.assertEqual(cache_status(handling), expected)

    def test_serve(self) -> None:
        """A stored response carries one whole Age, and its Date and Expires untouched."""
        fields = [
            ("Date", format_date(NOW)),
            ("Age", "30"),
            ("age", "40"),
            ("Expires", format_date(NOW + 5)),
            ("X", "1"),
        ]
        stored = Entry(key="u", headers=Headers(fields), requested_at=NOW, received_at=NOW)
        found = serve(stored, NOW + 3.7)
        self.assertEqual(found.get_all("Age"), ("33",))
        for name in ("Date", "Expires", "X"):
            self.assertEqual(found.get_all(name), stored.headers.get_all(name))

    def test_very_old(self) -> None:
        """An Age beyond what all recipients can hold is capped."""
        stored = Entry(key="u", headers=Headers([("Age", "99999999999")]), received_at=NOW)
        self.assertEqual(serve(stored, NOW + 5).get("Age"), str(2**31))
