"""How a world's indexes are read, and where they say what a file hashes to, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import frozen

from aimirror.http.headers import Headers
from aimirror.routing.digests import Digest

#: Where a digest is written: the URL of an index, and the file's name in it.
Places = Iterable[tuple[str, str]]


@frozen
class Reading:
    """How an index is read: ``read`` gives the digests by name that it, or a piece of it, says.

    A piece ends behind a ``boundary``; b"" where the index can be read as a whole alone.
    """

    read: Callable[[bytes], Mapping[str, Digest]]
    boundary: bytes = b""


def _spelled_so(path: str, prefix: str) -> str:
    return ""


def _nowhere(url: str) -> Places:
    return ()


def _nothing_said(index: bytes) -> Mapping[str, Digest]:
    return {}


def _nowhere_else(index: bytes) -> str:
    return ""


def _unsaid(url: str) -> Digest | None:
    return None


def _nothing(headers: Headers) -> Digest | None:
    return None


def _one_form(path: str, headers: Headers) -> str:
    return ""


@frozen(kw_only=True)
class Files:
    """A world whose indexes say what each file hashes to."""

    #: For a file's URL, the likeliest index first; none for what no index names.  An index may be
    #: a path, too: it is then looked for below each upstream of the world's rules.
    places: Callable[[str], Places] = _nowhere
    reading: Reading = Reading(_nothing_said)
    #: What a file's own URL says that it hashes to, where no index at hand does.
    of_url: Callable[[str], Digest | None] = _unsaid
    #: Bytes of an index for which the mirror asks where no client has; 0: it does not.
    asks: int = 0
    #: The URL of what tells more of a file than such an index does, "" for none.
    leads: Callable[[bytes], str] = _nowhere_else
    #: The usual spelling of a path below a prefix, "" for what is spelled so.
    usual: Callable[[str, str], str] = _spelled_so
    #: What the client says that it expects.
    expected: Callable[[Headers], Digest | None] = _nothing
    #: The ``Accept`` by which the upstream chooses a form of the document at a path, of all that
    #: clients may send; "" where there is one form.  Each form is kept beside the others, whether
    #: or not the upstream says that there are several (``Vary``).
    form: Callable[[str, Headers], str] = _one_form
    #: The ``Accept`` by which the mirror asks for an index itself.
    accept: str = "*/*"


def _none(url: str) -> Iterable[str]:
    return ()


@frozen(kw_only=True)
class Repository:
    """A world whose signed release names the indexes, and those the packages; all by URLs."""

    #: For a package: (start of the URLs of indexes that may name it, its name there).
    packages: Callable[[str], Places]
    lists_packages: Callable[[str], bool]
    #: For a package: URLs of release files that may lead to its index, the likeliest first; none
    #: where a package's URL does not say.
    led_by: Callable[[str], Iterable[str]] = _none
    #: For an index: (URL of the release file that may name it, its name there).
    releases: Callable[[str], Places]
    #: What is renewed together with a release file, itself included.
    signed: Callable[[str], tuple[str, ...]]
    index: Reading
    release: Reading
