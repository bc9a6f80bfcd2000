"""The affinity key of a request: what a file and the index that proves it have in common.

Nodes that get requests by this key need nothing of each other: one download and one copy of each
file, and the index that says what a file hashes to lies where the file is asked for.  Balancers
understand few kinds of expressions, so a key is what one anchored regular expression (of the kind
that Python, PCRE and RE2 read alike) makes of path and query; the first that fits counts, and the
whole target where none does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attrs import frozen

from aimirror.routing.rules import Rule

#: Rules of the world of images whose knowledge is in a handler.
_OCI_HANDLER = "handlers.docker"
_END = "(?:[?].*)?$"
#: The rest of a target, and one that is a whole segment or ends here.
_REST = "[^?]*" + _END
_BELOW = "(?:/[^?]*)?" + _END


@frozen
class Shape:
    """One kind of path: an expression for all of ``path?query``, and the key that it gives.

    ``key`` is text with ``\\1`` and ``\\2`` for the groups.
    """

    pattern: str
    key: str

    def of(self, target: str) -> str | None:
        """The key of a target, None when it has another shape."""
        match = re.match(self.pattern, target)
        return None if match is None else match.expand(self.key)


def shapes(rules: Iterable[Rule]) -> tuple[Shape, ...]:
    """The shapes of all that these rules serve, in the order in which they are tried."""
    distinct: dict[Shape, None] = {}
    for rule in rules:
        prefix = _quoted(rule.path_prefix)
        world = "oci" if rule.handler == _OCI_HANDLER else rule.ecosystem
        for shape in _WORLDS.get(world, _none)(prefix):
            distinct.setdefault(shape)
    distinct.setdefault(Shape(rf"^(/.+)/@(?:v/|latest){_REST}", r"\1"))  # Go modules
    return tuple(distinct)


def key(known: Iterable[Shape], target: str) -> str:
    """The affinity key of a request's path and query."""
    for shape in known:
        made = shape.of(target)
        if made is not None:
            return made
    return target


def _quoted(prefix: str) -> str:
    """A prefix as an expression without a backslash, which some configurations take for theirs."""
    return re.sub(r"[^A-Za-z0-9/_~@%-]", lambda match: f"[{match[0]}]", prefix)


def _none(prefix: str) -> Iterator[Shape]:
    return iter(())


def _oci(prefix: str) -> Iterator[Shape]:
    yield Shape(rf"^{prefix}/v2/.+/(sha256:[0-9a-f]+){_END}", r"\1")
    yield Shape(rf"^{prefix}/v2/(.+)/(?:manifests|tags|referrers|blobs)/{_REST}", r"/v2/\1")


def _pypi(prefix: str) -> Iterator[Shape]:
    """Files of pypi.org have their digest in the path; those of other indexes are told by pages.

    One index may link to the files of another, so all of those have one key.
    """
    yield Shape(rf"^(/packages/[^?]+[.](?:whl|gz|zip))(?:[.]metadata|[.]asc)?{_END}", r"\1")
    if prefix not in ("", "/simple"):
        yield Shape(rf"^{prefix}/{_REST}", "python")


def _npm(prefix: str) -> Iterator[Shape]:
    yield Shape(rf"^({prefix})/-/{_REST}", r"\1/-/")
    yield Shape(rf"^({prefix}/@[^/%?]+)(?:/|%2[Ff])([^/?]+){_BELOW}", r"\1/\2")
    yield Shape(rf"^({prefix}/[^@/?][^/?]*){_BELOW}", r"\1")


def _folder(prefix: str) -> Iterator[Shape]:
    """A file belongs to what lies in its folder."""
    yield Shape(rf"^({prefix}/[^?]+)/[^/?]*{_END}", r"\1")


def _cran(prefix: str) -> Iterator[Shape]:
    yield Shape(rf"^({prefix}/src/contrib)/{_REST}", r"\1")
    yield Shape(rf"^({prefix}/bin/[^?]+/contrib/[0-9.]+)/{_REST}", r"\1")


def _mirror(prefix: str) -> Iterator[Shape]:
    """A distribution: any file may be named by any index below its root."""
    if prefix:
        yield Shape(rf"^({prefix})/{_REST}", r"\1")


def _cargo(prefix: str) -> Iterator[Shape]:
    yield Shape(rf"^{prefix}/([^/?]+)/[^/?]+(?:[.]crate|/download){_END}", r"cargo/\1")
    index = "(?:[12]|3/[^/?]|[^/?][^/?]/[^/?][^/?])"
    yield Shape(rf"^{prefix}/{index}/([^/?]+){_END}", r"cargo/\1")


def _rubygems(prefix: str) -> Iterator[Shape]:
    yield Shape(rf"^({prefix})/info/([^/?]+){_END}", r"\1/\2")
    yield Shape(rf"^({prefix})/gems/([^/?]+?)-[0-9][^/?]*[.]gem{_END}", r"\1/\2")


def _huggingface(prefix: str) -> Iterator[Shape]:
    """The same file of all revisions, since most of them share it."""
    yield Shape(rf"^({prefix}/[^?]+)/(?:resolve|blob)/[^/?]+/([^?]+){_END}", r"\1/\2")
    kinds = "(?:models|datasets|spaces)"
    yield Shape(rf"^({prefix}/api/{kinds}/[^/?]+/[^/?]+){_BELOW}", r"\1")


_WORLDS = {
    "oci": _oci,
    "pypi": _pypi,
    "npm": _npm,
    "maven": _folder,
    "conda": _folder,
    "cran": _cran,
    "apt": _mirror,
    "rpm": _mirror,
    "cargo": _cargo,
    "rubygems": _rubygems,
    "huggingface": _huggingface,
}
