"""A node that is to be stopped without a request lost: balancers are told to send it no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define


@define
class Draining:
    """While it is ``on``, ``/health`` says 503; all that is asked is answered all the same.

    ``answering`` counts the connections on which an answer runs.
    """

    answering: Callable[[], int]
    on: bool = False

    def told(self) -> dict[str, Any]:
        """For administrators, whose own question does not count."""
        return {"draining": self.on, "answering": max(0, self.answering() - 1)}
