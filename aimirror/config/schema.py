"""A small schema language: readers turn plain YAML values to typed ones, or say what is allowed.

A *scalar* reads one value, *many* a list, a *record* a mapping by a table of *keys*; each is a
*reader*.  ``At`` is where in which file a value stands, so that every mistake can name it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from attrs import evolve, frozen

from aimirror.config.errors import ConfigError

S = TypeVar("S")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: Characters of a value or key that an error shows.
_SHOWN = 60


@frozen
class At:
    """The place of a value: the file's name for messages, the key path within it."""

    file: str
    #: What relative paths are relative to, and the user's own cache folder.
    folder: Path
    cache_home: Path
    path: str = ""

    def key(self, name: str) -> At:
        """The place of a mapping's value."""
        return evolve(self, path=f"{self.path}.{name}" if self.path else name)

    def item(self, index: int) -> At:
        """The place of a list's value."""
        return evolve(self, path=f"{self.path}[{index}]")

    def fault(self, problem: str, allowed: str) -> ConfigError:
        """The error to raise for the value here."""
        where = f"{self.file}: {self.path}" if self.path else self.file
        return ConfigError(" ".join(f"{where}: {problem}; allowed: {allowed}".split()))


class Reader(Protocol[T_co]):
    """Reads one value; ``allowed`` says in words which."""

    @property
    def allowed(self) -> str:
        """What may stand here."""

    def read(self, value: object, at: At) -> T_co:
        """The typed value; raises ConfigError."""


class Refusal(ValueError):
    """A value that does not fit; the text, if any, says more than that."""


class Conflict(Exception):
    """Raised by a record's ``check``: the value of ``key`` does not go with the others."""

    def __init__(self, key: str, problem: str, allowed: str) -> None:
        super().__init__(problem)
        self.key = key
        self.problem = problem
        self.allowed = allowed


@frozen
class Scalar(Generic[T]):
    """One value, converted by a function that raises Refusal."""

    allowed: str
    convert: Callable[[object, At], T]
    #: Whether the value may hold a password, and is never shown.
    secret: bool = False

    def read(self, value: object, at: At) -> T:
        """See Reader."""
        try:
            return self.convert(value, at)
        except Refusal as refusal:
            detail = f" ({refusal})" if str(refusal) else ""
            problem = f"{'***' if self.secret else shown(value)} is not allowed{detail}"
            raise at.fault(problem, self.allowed) from None


@frozen
class Many(Generic[T]):
    """A list of at least ``least`` values; with ``or_one`` a bare value is a list of one."""

    each: Reader[T]
    or_one: bool = False
    least: int = 0

    @property
    def allowed(self) -> str:
        """What may stand here."""
        one = f"{self.each.allowed}, or " if self.or_one else ""
        return f"{one}a list of: {self.each.allowed}"

    def read(self, value: object, at: At) -> tuple[T, ...]:
        """See Reader."""
        if not isinstance(value, list):
            if not self.or_one:
                raise at.fault(f"{shown(value)} is not a list", self.allowed)
            return (self.each.read(value, at),)
        if len(value) < self.least:
            raise at.fault("the list is empty", self.allowed)
        return tuple(self.each.read(item, at.item(i)) for i, item in enumerate(value))


@frozen
class Either(Generic[S, T]):
    """The first scalar for values of Python type ``kind``, the second for all others."""

    kind: type
    first: Scalar[S]
    second: Scalar[T]

    @property
    def allowed(self) -> str:
        """What may stand here."""
        return f"{self.first.allowed}, or {self.second.allowed}"

    def read(self, value: object, at: At) -> S | T:
        """See Reader."""
        if isinstance(value, self.kind):
            return self.first.read(value, at)
        return evolve(self.second, allowed=self.allowed).read(value, at)


@frozen
class Made(Generic[S, T]):
    """What ``make`` turns another reader's value into."""

    reader: Reader[S]
    make: Callable[[S], T]

    @property
    def allowed(self) -> str:
        """What may stand here."""
        return self.reader.allowed

    def read(self, value: object, at: At) -> T:
        """See Reader."""
        return self.make(self.reader.read(value, at))


@frozen
class Named(Generic[T]):
    """A mapping from names to records, which are made with their ``name``."""

    name: Scalar[str]
    each: Record[T]

    @property
    def allowed(self) -> str:
        """What may stand here."""
        return f"a mapping from {self.name.allowed} to {self.each.allowed}"

    def read(self, value: object, at: At) -> tuple[T, ...]:
        """See Reader."""
        if not isinstance(value, dict):
            raise at.fault(f"{shown(value)} is not a mapping", self.allowed)
        return tuple(self._one(name, given, at.key(_plain(name))) for name, given in value.items())

    def _one(self, name: object, given: object, at: At) -> T:
        read = self.name.read(name, at)
        each = evolve(self.each, make=partial(self.each.make, name=read))
        return each.read({} if given is None else given, at)


@frozen
class Key:
    """One key of a record; a key that is absent or null leaves the default of ``make``."""

    name: str
    reader: Reader[object]
    #: The parameter of ``make``; "" when it is the key's name.
    parameter: str = ""
    required: bool = False
    #: A value to read in place of an absent one, where ``make`` has no default.
    default: object = None


@frozen
class Record(Generic[T]):
    """A mapping by a table of keys, handed to ``make`` as keyword arguments.

    ``check`` raises Conflict when the values of what was made don't go together.
    """

    what: str
    make: Callable[..., T]
    keys: tuple[Key, ...]
    check: Callable[[T], None] = lambda made: None

    @property
    def allowed(self) -> str:
        """What may stand here."""
        return f"{self.what} with the keys {', '.join(key.name for key in self.keys)}"

    def read(self, value: object, at: At) -> T:
        """See Reader."""
        if not isinstance(value, dict):
            raise at.fault(f"{shown(value)} is not a mapping", self.allowed)
        self._refuse_unknown(value, at)
        made = self.make(**dict(self._arguments(value, at)))
        try:
            self.check(made)
        except Conflict as conflict:
            raise at.key(conflict.key).fault(conflict.problem, conflict.allowed) from None
        return made

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Key, Callable[..., object]]]:
        """Every key of this record and of those within, by path, with what makes its record."""
        for key in self.keys:
            path = f"{prefix}{key.name}"
            yield path, key, self.make
            reader: object = key.reader
            suffix = "."
            while isinstance(reader, Many | Made | Named):
                if isinstance(reader, Made):
                    reader = reader.reader
                else:
                    suffix = "[]." if isinstance(reader, Many) else "[name]."
                    reader = reader.each
            if isinstance(reader, Record):
                yield from reader.walk(path + suffix)

    def _refuse_unknown(self, value: dict[object, object], at: At) -> None:
        names = [key.name for key in self.keys]
        for name in value:
            if name in names:
                continue
            close = difflib.get_close_matches(str(name)[:_SHOWN], names, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise at.key(_plain(name)).fault(f"unknown key{hint}", ", ".join(names))

    def _arguments(self, value: dict[object, object], at: At) -> Iterator[tuple[str, object]]:
        for key in self.keys:
            given = value.get(key.name)
            given = key.default if given is None else given
            if given is not None:
                yield key.parameter or key.name, key.reader.read(given, at.key(key.name))
            elif key.required:
                raise at.key(key.name).fault("missing", key.reader.allowed)


def shown(value: object) -> str:
    """A value as an error shows it: short, on one line, without a URL's credentials."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else str(value).lower()
    if isinstance(value, int) and value.bit_length() > _SHOWN:
        return "a number that large"
    if isinstance(value, str):
        value = re.sub(r"//.*@", "//***@", value, flags=re.DOTALL)
    return _cut(repr(value))


def _plain(name: object) -> str:
    return _cut(name if isinstance(name, str) and name.isprintable() else repr(name))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
