"""HTTP header fields as an immutable value, and the names that several modules agree on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

#: Never forwarded by an intermediary (RFC 9110 section 7.6.1), plus the de-facto ones.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

#: Request fields that carry a user's right to read something (lower case); rules may name more.
CREDENTIALS = (
    "authorization",
    "cookie",
    # Servers' own fields for tokens and keys: GitLab's, Artifactory's, NuGet's, Vault's, those of
    # clouds and of what stands before a company's servers, and usual names of others.
    "private-token",
    "job-token",
    "deploy-token",
    "x-jfrog-art-api",
    "x-nuget-apikey",
    "x-api-key",
    "x-apikey",
    "api-key",
    "apikey",
    "x-auth",
    "x-auth-key",
    "x-auth-token",
    "x-access-token",
    "x-authorization",
    "x-client-secret",
    "x-github-token",
    "x-gitlab-token",
    "x-session-id",
    "x-session-token",
    "x-token",
    "x-vault-token",
    "x-consul-token",
    "x-goog-api-key",
    "x-goog-iam-authorization-token",
    "x-goog-iap-jwt-assertion",
    "x-serverless-authorization",
    "x-amz-security-token",
    "x-amzn-oidc-data",
    "x-functions-key",
    "x-ms-token-aad-access-token",
    "ocp-apim-subscription-key",
    "cf-access-client-id",
    "cf-access-client-secret",
    "cf-access-jwt-assertion",
    "cf-access-token",
    "access-token",
    "auth-token",
    "token",
    "dpop",
)


class Headers:
    """An ordered multi-map of header fields; names compare without case.

    Values are ``str`` decoded from latin-1, so that every byte survives the round trip.
    """

    __slots__ = ("_derived", "_made", "items")

    items: tuple[tuple[str, str], ...]

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self.items = tuple(items)
        self._made: dict[str, list[str]] | None = None
        self._derived: tuple[Callable[[Headers], Any], Any] | None = None

    def derived(self, make: Callable[[Headers], T]) -> T:
        """What ``make`` reads from these fields, read once until another reader comes."""
        derived = self._derived
        if derived is None or derived[0] is not make:
            derived = self._derived = (make, make(self))
        value: T = derived[1]
        return value

    @property
    def by_name(self) -> Mapping[str, Sequence[str]]:
        """The values of each field, by its name in lower case."""
        return self._index

    @property
    def _index(self) -> dict[str, list[str]]:
        """The values by lower-case name; made when asked for, as most copies never are."""
        index = self._made
        if index is None:
            index = self._made = {}
            for name, value in self.items:
                name = name.lower()
                if name in index:
                    index[name].append(value)
                else:
                    index[name] = [value]
        return index

    @classmethod
    def from_raw(cls, pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
        """From wire bytes."""
        return cls([(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs])

    def raw(self) -> list[tuple[bytes, bytes]]:
        """To wire bytes, in order."""
        return [(n.encode("latin-1"), v.encode("latin-1")) for n, v in self.items]

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a field, or ``default``."""
        index = self._made
        values = (self._index if index is None else index).get(name.lower())
        return values[0] if values else default

    def get_all(self, name: str) -> tuple[str, ...]:
        """All values of a field, one per field line."""
        index = self._made
        return tuple((self._index if index is None else index).get(name.lower(), ()))

    def joined(self, name: str) -> str | None:
        """All field lines as one comma-separated value (RFC 9110 section 5.3), or None."""
        index = self._made
        values = (self._index if index is None else index).get(name.lower())
        if not values:
            return None
        return values[0] if len(values) == 1 else ", ".join(values)

    def tokens(self, name: str) -> tuple[str, ...]:
        """The comma-separated members in lower case, for fields without quoted strings."""
        joined = self.joined(name)
        if not joined:
            return ()
        if "," not in joined:
            token = joined.strip().lower()
            return (token,) if token else ()
        return tuple(t for t in (part.strip().lower() for part in joined.split(",")) if t)

    def has_any(self, names: frozenset[str]) -> bool:
        """Whether one of these fields (names in lower case) is present."""
        index = self._made
        return not names.isdisjoint(self._index if index is None else index)

    def with_(self, name: str, *values: str) -> Headers:
        """A copy in which ``name`` has exactly these values (none: absent)."""
        lowered = name.lower()
        kept = [item for item in self.items if item[0].lower() != lowered]
        return Headers([*kept, *((name, value) for value in values)])

    def with_all(self, values: Mapping[str, str | None]) -> Headers:
        """A copy in which each of these fields has one value, or (None) is absent."""
        lowered = {name.lower() for name in values}
        kept = [item for item in self.items if item[0].lower() not in lowered]
        kept += [(name, value) for name, value in values.items() if value is not None]
        return Headers(kept)

    def without(self, *names: str) -> Headers:
        """A copy lacking these fields."""
        drop = {name.lower() for name in names}
        index = self._made
        if index is not None and drop.isdisjoint(index):
            return self
        return Headers([item for item in self.items if item[0].lower() not in drop])

    def only(self, *names: str) -> Headers:
        """A copy of these fields alone."""
        keep = {name.lower() for name in names}
        return Headers([item for item in self.items if item[0].lower() in keep])

    def end_to_end(self, further: frozenset[str] = frozenset()) -> Headers:
        """Without hop-by-hop fields, those that Connection names included (RFC 9110 7.6.1).

        ``further`` fields (names in lower case) go, too.
        """
        index = self._index
        if "connection" in index:
            further = further.union(self.tokens("connection"))
        elif HOP_BY_HOP.isdisjoint(index) and further.isdisjoint(index):
            return self
        return Headers(
            [
                item
                for item in self.items
                if (name := item[0].lower()) not in HOP_BY_HOP and name not in further
            ]
        )

    def __contains__(self, name: object) -> bool:
        index = self._made
        index = self._index if index is None else index
        return isinstance(name, str) and name.lower() in index

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.items == other.items

    def __hash__(self) -> int:
        return hash(self.items)

    def __repr__(self) -> str:
        shown = [(n, "***" if n.lower() in CREDENTIALS else v) for n, v in self.items]
        return f"Headers({shown!r})"
