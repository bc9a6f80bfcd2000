"""All nodes at a glance, those among them that do not answer."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.commands.common import Complaint
from aimirror.commands.link import NotRunning
from aimirror.commands.nodes import lines, nodes


def overview(**behind: Any) -> dict[str, Any]:
    cluster = {"self": "a:1", "nodes": [{"node": n, "away": False} for n in ("a:1", "b:1", "c:1")]}
    return {
        "version": "1.0",
        "uptime": 7200,
        "totals": {"hits": 3, "misses": 1, "served": 5_000_000, "fetched": 0},
        "cache": {"bytes": 1_000_000},
        "downloads": [{}],
        "behind": {"cluster": cluster, "tier": None, **behind},
    }


class FakeLink:
    """A node's API; ``answers`` are those of all nodes, a failure among them."""

    def __init__(self, answers: dict[str, Any], name: str = "a:1") -> None:
        self.answers = answers
        self.url = f"http://{name}"
        self._name = name

    def at(self, authority: str, silence: float) -> FakeLink:
        return FakeLink(self.answers, authority)

    def get(self, name: str) -> Any:
        answer = self.answers[self._name]
        if isinstance(answer, Exception):
            raise answer
        return answer


class NodesTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Each node has a line; who does not answer has the reason on it."""
        tier = {"state": "open", "waiting": 12}
        link: Any = FakeLink(
            {
                "a:1": overview(),
                "b:1": overview(tier=tier),
                "c:1": NotRunning("nothing listens on http://c:1"),
            }
        )
        table = lines(nodes(link, overview()))
        self.assertEqual(len(table), 5)
        self.assertIn("75 %", table[1])
        self.assertTrue(table[1].endswith("-"), table[1])
        self.assertTrue(table[2].endswith("open, 12 to send"), table[2])
        self.assertEqual(table[3], "c:1  no answer: nothing listens on http://c:1")
        self.assertEqual(table[4], "2 of 3 nodes")

    def test_refused(self) -> None:
        """A node that wants a token says so; the others are told all the same."""
        link: Any = FakeLink(dict.fromkeys(("a:1", "b:1"), overview()))
        link.answers["c:1"] = Complaint("http://c:1: the administrators' token is wanted")
        self.assertIn(
            "c:1  no answer: the administrators' token is wanted", lines(nodes(link, overview()))
        )

    def test_alone(self) -> None:
        """A node without others says that it is one."""
        link: Any = FakeLink({})
        failure = self.assertRaises(Complaint, nodes, link, overview(cluster=None))
        self.assertIn("cluster.peers", str(failure))
