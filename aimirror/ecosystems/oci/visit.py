"""One request below a repository, with what it takes to answer it."""

from __future__ import annotations

from attrs import frozen

from aimirror.http import urls
from aimirror.http.forwarding import asked_for_storing
from aimirror.http.headers import Headers
from aimirror.mirror.ecosystem import ClientRequest, Desk
from aimirror.registries.auth import Credential
from aimirror.registries.paths import Kind, Target
from aimirror.routing.rules import Route, Rule

#: The scope of what took a credential: who shares it is decided here, for each repository.
PRIVATE = "oci"
#: What goes upstream of a client's request.
_ASKED = ("accept", "accept-encoding", "user-agent")


@frozen(kw_only=True)
class Visit:
    """One GET or HEAD below a repository."""

    request: ClientRequest
    mirror: Desk
    rule: Rule
    target: Target
    who: Credential
    #: Statuses for which another upstream of the registry is asked instead.
    declines: frozenset[int] = frozenset()

    def headers(self, authorization: str) -> Headers:
        """What goes upstream; all Accept lines, for they decide which manifest comes."""
        kept = asked_for_storing(self.request.headers, compressed=False).only(*_ASKED)
        return kept.with_("Authorization", authorization) if authorization else kept

    def route(self, target: Target) -> Route:
        """Where a target of this visit's repository is, and under which name it is stored."""
        url = urls.join(self.rule.upstreams[0], target.path, target.query)
        return Route(
            rule=self.rule,
            path=self.request.path,
            urls=(url,),
            key=urls.canonical(url),
            immutable=not target.changes,
            digest=None if target.changes else target.digest,
            exact=True,
        )

    def own_scope(self, scope: str) -> str | None:
        """Whose something is that is remembered for an outage, "" for everybody's.

        None when it is not to be remembered: a login's is for the rule's ``private_grace`` alone.
        """
        if not scope:
            return ""
        return self.who.hash if self.rule.cache.private_grace else None

    @property
    def place(self) -> str:
        """Where it counts that there is no answer: the registry's API for tags, else the URL."""
        tag = self.target.kind is Kind.MANIFEST and self.target.changes
        return f"{self.rule.upstreams[0]}/v2/" if tag else self.route(self.target).urls[0]

    @property
    def reader(self) -> tuple[str, str, str]:
        """Who reads which repository at which upstream."""
        return (self.rule.upstreams[0], self.target.name, self.who.hash)
