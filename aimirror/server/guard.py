"""Who may ask: networks, and rates of requests."""

from __future__ import annotations

from collections.abc import Callable

from aimirror.http.egress import Network
from aimirror.http.headers import Headers
from aimirror.server.access import Networks, Rates, among, asker
from aimirror.server.head import BadRequest
from aimirror.server.tally import Tally


class Guard:
    """Looks at clients before anything is read of their requests.

    ``proxies`` are believed about whom they ask for; ``rate`` is in requests per second of one
    client, 0 without limit.
    """

    def __init__(
        self,
        networks: Networks,
        rate: float,
        proxies: tuple[Network, ...],
        tally: Tally,
        seconds: Callable[[], float],
    ) -> None:
        self._networks = networks
        self._rates = Rates(rate) if rate else None
        self._proxies = proxies
        self._tally = tally
        self._seconds = seconds

    @property
    def idle(self) -> bool:
        """Whether it would let everybody pass."""
        return self._networks == Networks() and self._rates is None

    def check(self, peer: str) -> None:
        """Raise BadRequest for a client that is not welcome, now or at all."""
        if not among(peer, self._proxies):
            self._check(peer)

    def check_forwarded(self, peer: str, headers: Headers) -> None:
        """The same for the client that a proxy of ours names."""
        if among(peer, self._proxies):
            self._check(asker(peer, headers, self._proxies))

    def _check(self, client: str) -> None:
        if not self._networks.admit(client):
            self._tally.refuse("network")
            raise BadRequest(403, "this mirror does not serve your network")
        if self._rates is not None and (wait := self._rates.wait(client, self._seconds())):
            self._tally.refuse("rate")
            raise BadRequest(429, "too many requests", wait)
