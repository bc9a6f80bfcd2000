"""Dictionaries of structured fields (RFC 8941), as strict as the RFC is: one error voids all."""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen


@frozen
class Token:
    """A token item, told from a string item by its type."""

    text: str


#: What a member may be; None stands for the kinds that no cache directive uses
#: (byte sequences and inner lists).
Item = int | float | str | bool | Token | None

_KEY: Final = re.compile(r"[a-z*][a-z0-9_\-.*]*")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9.])")
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
_STRING: Final = re.compile(r'"(?:[ !#-\[\]-~]|\\["\\])*"')
_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")
_BYTES: Final = re.compile(r":[A-Za-z0-9+/=]*:")
_BOOLEAN: Final = re.compile(r"\?[01]")
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")
_SPACES: Final = re.compile(r" *")


class _Invalid(Exception):
    """The text is not a dictionary."""


def parse_dictionary(text: str) -> dict[str, Item] | None:
    """The members of a dictionary without their parameters; None when it breaks the grammar.

    ``text`` is all field lines joined by commas; of a repeated key the last member counts
    (RFC 8941 section 4.2.2).
    """
    try:
        return _Reader(text.strip(" ")).dictionary()
    except _Invalid:
        return None


class _Reader:
    """A position in a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def dictionary(self) -> dict[str, Item]:
        members: dict[str, Item] = {}
        while self._at < len(self._text):
            key = self._expect(_KEY)
            members[key] = self._member() if self._skip("=") else True
            self._parameters()
            if self._at < len(self._text):
                self._expect(_COMMA)
                if self._at == len(self._text):  # a trailing comma
                    raise _Invalid
        return members

    def _member(self) -> Item:
        if not self._skip("("):
            return self._item()
        while True:
            self._take(_SPACES)
            if self._skip(")"):
                return None
            self._item()
            self._parameters()
            if self._peek() not in (" ", ")"):
                raise _Invalid

    def _parameters(self) -> None:
        while self._skip(";"):
            self._take(_SPACES)
            self._expect(_KEY)
            if self._skip("="):
                self._item()

    def _item(self) -> Item:
        first = self._peek()
        if first == '"':
            return re.sub(r"\\(.)", r"\1", self._expect(_STRING)[1:-1])
        if first == "?":
            return self._expect(_BOOLEAN) == "?1"
        if first == ":":
            self._expect(_BYTES)
            return None
        if first == "-" or first.isdigit():
            decimal = self._take(_DECIMAL)
            return float(decimal) if decimal else int(self._expect(_INTEGER))
        return Token(self._expect(_TOKEN))

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _expect(self, pattern: re.Pattern[str]) -> str:
        taken = self._take(pattern)
        if not taken:
            raise _Invalid
        return taken
