"""Tests of fields as a value."""

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.headers import Headers

FIELDS = Headers([("Age", "1"), ("ETag", '"a"'), ("age", "2")])


def names(fields: Headers) -> list[str]:
    return [name for name, _ in fields]


class HeadersTests(SynchronousTestCase):
    def test_derived(self) -> None:
        """What is read from fields is read once; another reader gets its own, not that one's."""
        read: list[Headers] = []

        def first(fields: Headers) -> str:
            read.append(fields)
            return fields.get("etag") or ""

        fields = Headers(FIELDS)
        self.assertEqual([fields.derived(first), fields.derived(first)], ['"a"', '"a"'])
        self.assertEqual(len(read), 1)
        self.assertEqual(fields.derived(names), ["Age", "ETag", "age"])

    def test_with_all(self) -> None:
        """Several fields get one value each, or none, whatever case their names have."""
        made = FIELDS.with_all({"AGE": "3", "etag": None, "Via": "x"})
        self.assertEqual(made.items, (("AGE", "3"), ("Via", "x")))

    def test_end_to_end(self) -> None:
        """What has nothing of one hop stays itself; what Connection names goes with it."""
        self.assertIs(FIELDS.end_to_end(), FIELDS)
        one_hop = Headers([*FIELDS, ("Connection", "X-One"), ("x-one", "1"), ("TE", "gzip")])
        self.assertEqual(one_hop.end_to_end(), FIELDS)
        self.assertEqual(names(FIELDS.end_to_end(frozenset({"etag"}))), ["Age", "age"])
