"""Names under which the mirror is reached that stand for a part of it.

Some clients can be given a host alone: docker for other registries than Docker Hub, programs that
put their own path behind it.  A *served name* gives such a host a default registry, or a root.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen


@frozen(kw_only=True)
class ServedName:
    """One name; ``host`` in lower case, with a port where that is to count."""

    host: str
    #: What is put before paths that do not begin with it.
    root: str = ""
    #: The registry that OCI clients mean when they name none.
    registry: str = ""

    def path(self, path: str) -> str:
        """The path of the mirror that a raw path under this name means."""
        if not self.root or path == self.root or path.startswith(f"{self.root}/"):
            return path
        return self.root + path


#: Any other name.
PLAIN = ServedName(host="")


class ServedNames:
    """The names of a configuration."""

    def __init__(self, names: Iterable[ServedName] = ()) -> None:
        self._names = {name.host: name for name in names}

    def find(self, host: str) -> ServedName:
        """The name that a Host field's value is, with or without its port."""
        if not self._names:
            return PLAIN
        lowered = host.lower()
        upstream = self._names.get(lowered)
        if upstream is None and not lowered.endswith("]"):
            upstream = self._names.get(lowered.rpartition(":")[0])
        return upstream or PLAIN
