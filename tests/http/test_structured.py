"""aimirror.http.structured: RFC 8941 section 3.2 and 4.2."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.structured import Item, Token, parse_dictionary

#: (text, members or None when malformed).
DICTIONARIES: tuple[tuple[str, dict[str, Item] | None], ...] = (
    ("", {}),
    ("max-age=60", {"max-age": 60}),
    ("a=-5, b=1.5", {"a": -5, "b": 1.5}),
    ("a,b ,\tc", {"a": True, "b": True, "c": True}),
    ("a=?0, b=?1", {"a": False, "b": True}),
    ('a="x, \\"y\\""', {"a": 'x, "y"'}),
    ("a=tok/en:1", {"a": Token("tok/en:1")}),
    ("a=:aGk=:", {"a": None}),
    ('a=(1 "x";p=2 tok);q=3, b', {"a": None, "b": True}),
    ("a=1;x;y=2, b;z", {"a": 1, "b": True}),
    ("a=1, a=2", {"a": 2}),
    ("*a.b-c_d=1", {"*a.b-c_d": 1}),
    ("a=1,", None),
    (",a=1", None),
    ("a=1,,b", None),
    ("a=1 b", None),
    ("a =1", None),
    ("a= 1", None),
    ("a=", None),
    ("A=1", None),
    ("max-age=10000, &&&&&", None),
    ("a=1.", None),
    ("a=1.2345", None),
    ("a=1234567890123456", None),
    ("a=--1", None),
    ('a="x', None),
    ('a="é"', None),
    ("a=?2", None),
    ("a=(1", None),
    ("a=(1(2))", None),
    ("a=:%:", None),
    ("a='x'", None),
    ("a;=1", None),
)


class DictionaryTests(SynchronousTestCase):
    def test_parse(self) -> None:
        """Dictionaries are read by the grammar; one error voids the whole."""
        for text, expected in DICTIONARIES:
            self.assertEqual(parse_dictionary(text), expected, text)

    @given(st.text(alphabet='ab=,;()"\\:? \t-1.*/é', max_size=30))
    @settings(max_examples=100, deadline=None)
    def test_any_text(self, text: str) -> None:
        """No text makes the parser raise or hang."""
        parse_dictionary(text)
