"""The names of projects and files: normalised, in paths, in file names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from urllib.parse import unquote

from aimirror.http.urls import canonical

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)
_ARCHIVE = re.compile(r"\.(?:whl|egg|zip|tgz|tar\.(?:gz|bz2|xz|Z)|exe|msi|rpm|deb|dmg)$")
#: What else lies in the folders of indexes, and is no project's name.
_OTHER = re.compile(r"\.(?:html?|json|txt|xml|md|asc|sig|metadata|attestation|provenance)$")
METADATA = ".metadata"
#: Where servers put the pages below their base: PyPI, Artifactory; devpi.
_SIMPLE = ("", "/simple", "/+simple")
#: Folders above a file that are looked through.
_DEEPEST = 8
#: Projects that a file's name may mean which are looked for; no real name allows for more.
_MOST_PROJECTS = 8


def is_archive(path: str) -> bool:
    """Whether a path is that of a distribution's file."""
    return _ARCHIVE.search(path) is not None


def normalised(name: str) -> str:
    """A project's name as pages are named (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def page_path(path: str, prefix: str = "") -> str:
    """The path under which an index has the page that a path means, "" when it means none.

    ``prefix`` is the mount, which is no project's name.
    """
    folder, _, name = path.rstrip("/").rpartition("/")
    if path.rstrip("/") == prefix or not name:
        return path.rstrip("/") + "/"
    if not _NAME.fullmatch(name) or (not path.endswith("/") and _is_file(name)):
        return ""
    return f"{folder}/{normalised(name)}/"


def projects(filename: str) -> Iterator[str]:
    """The projects that a file of this name may belong to, the most likely first.

    A wheel's name says it; older source archives have dashes in names and versions alike.
    """
    name = unquote(filename)
    if name.endswith((".whl", ".egg")):
        yield normalised(name.partition("-")[0])
        return
    parts = _ARCHIVE.sub("", name).split("-")
    for count in range(len(parts) - 1, 0, -1):
        if parts[count][:1].isdigit():
            yield normalised("-".join(parts[:count]))


def pages(file: str, bases: Iterable[str], root: str = "") -> Iterator[str]:
    """The URLs at which a page that names a file may be stored; none twice.

    ``file`` is the file's URL, ``bases`` are the URLs below which its indexes are mounted.  Pages
    lie there, or beside the files, or above them, down to ``root``.
    """
    folder, _, filename = file.partition("?")[0].rpartition("/")
    root = root.rstrip("/")
    above = [folder]
    while len(above) < _DEEPEST and above[-1].count("/") > 2 and above[-1] != root:
        above.append(above[-1].rpartition("/")[0])
    roots = (*(base.rstrip("/") for base in bases), *above)
    seen = set()
    for project in islice(projects(filename), _MOST_PROJECTS):
        own = (folder,) if normalised(folder.rpartition("/")[2]) == project else ()
        below = (f"{root}{simple}/{project}" for root in roots for simple in _SIMPLE)
        for url in (*own, *below):
            key = canonical(url + "/")
            if key not in seen:
                seen.add(key)
                yield key


def name_of(url: str) -> str:
    """One spelling of a file's URL: pages and clients encode "+" and "~" as they like."""
    return unquote(canonical(url))


def version_of(filename: str) -> str:
    """The version in a file's name (PEP 427, PEP 625)."""
    if filename.endswith((".whl", ".egg")):
        return filename.split("-")[1] if filename.count("-") else ""
    return _ARCHIVE.sub("", filename).rpartition("-")[2]


def _is_file(name: str) -> bool:
    return is_archive(name) or _OTHER.search(name) is not None
