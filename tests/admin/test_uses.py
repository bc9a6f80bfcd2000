"""Who has had how much."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.uses import MOST_CLIENTS, Clients, Uses
from aimirror.server.access_log import AccessRecord

HIT = AccessRecord("GET", "/a", "HTTP/1.1", 200, "HIT", "", "", "files")
FAILED = HIT._replace(status=502, outcome="", why="connection lost: by h.test")


class ClientsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.uses = Clients()

    def add(self, record: AccessRecord, peer: str = "192.0.2.1", sent: int = 10) -> None:
        self.uses.add(record, peer, sent, 1000.0)

    def clients(self, count: int = 50) -> dict[str, Any]:
        return {row["client"]: row for row in self.uses.told(count)}

    def test_clients(self) -> None:
        """Use is told by login, else by address, with what no upstream had to send."""
        self.add(HIT)
        self.add(HIT._replace(outcome="MISS"))
        self.add(HIT._replace(outcome="JOIN", user="alice"))
        self.add(FAILED)
        rows = self.clients()
        self.assertEqual(set(rows), {"192.0.2.1", "alice"})
        row = rows["192.0.2.1"]
        self.assertEqual((row["answers"], row["hits"], row["errors"]), (3, 1, 1))
        self.assertEqual((row["bytes"], row["saved"], row["last"]), (30, 10, 1000))
        self.assertEqual((rows["alice"]["kind"], rows["alice"]["saved"]), ("user", 10))

    def test_top_talkers(self) -> None:
        """Those with most bytes come first; the rest is one row, whose sums are right."""
        for number in range(5):
            self.add(HIT, f"192.0.2.{number}", sent=100 * number)
        rows = self.clients(count=2)
        self.assertEqual(list(rows), ["192.0.2.4", "192.0.2.3", "others"])
        self.assertEqual((rows["others"]["bytes"], rows["others"]["answers"]), (300, 3))

    def test_many_clients(self) -> None:
        """However many clients there are, the table is bounded and nothing is lost of the sums."""
        for number in range(MOST_CLIENTS + 50):
            self.add(HIT, f"c{number}", sent=1)
        rows = self.clients(count=MOST_CLIENTS)
        self.assertEqual(len(rows), MOST_CLIENTS + 1)
        self.assertEqual(rows["others"]["answers"], 50)


class UsesTests(SynchronousTestCase):
    def test_last(self) -> None:
        """Whoever comes again and again stays; the use of whoever had to go begins anew."""
        gone: list[int] = []
        uses: Uses[str] = Uses(2, lambda use: gone.append(use.answers))
        for name in "aabacbaa":
            uses.of(name).answers += 1
        self.assertEqual([(name, use.answers) for name, use in uses.items()], [("b", 1), ("a", 2)])
        self.assertEqual(gone, [1, 3, 1])
