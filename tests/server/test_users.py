"""Logins of the forward proxy."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import bcrypt
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.fair_queue import TooBusy
from aimirror.server.users import (
    AT_ONCE,
    KNOWN_SECONDS,
    LOOK_EVERY,
    MAX_WAITING,
    WRONG_SECONDS,
    BadUsers,
    Users,
    read_users,
)

COST = 4  # the least: these are tests


def line(name: str, password: str) -> str:
    return f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST)).decode()}\n"


def basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.clock = Clock()
        self.hashed = 0
        self.stamp = 0
        self.write("# users\n\n" + line("anna", "pass:word"))

    def write(self, text: str) -> None:
        self.stamp += 1
        self.file.write_text(text)
        os.utime(self.file, (self.stamp, self.stamp))

    def users(self) -> Users:
        def now(function: object, *arguments: object) -> Deferred[object]:
            self.hashed += 1
            return succeed(function(*arguments))

        return Users(self.file, now, self.clock.seconds)

    def admits(self, users: Users, value: str | None) -> bool:
        return self.successResultOf(Deferred.fromCoroutine(users.admits(value)))


class AdmitsTests(Case):
    def test_logins(self) -> None:
        """The right name and password, and nothing else."""
        users = self.users()
        for value, wanted in (
            (basic("anna:pass:word"), True),
            (basic("anna:pass:word").replace("Basic", "bASIC"), True),
            (basic("anna:wrong"), False),
            (basic("anna:"), False),
            (basic("anna"), False),
            (basic("bert:pass:word"), False),
            (basic("anna:" + "x" * 100), False),
            ("Bearer x", False),
            ("Basic ???", False),
            ("Basic", False),
            ("", False),
            (None, False),
        ):
            self.assertEqual(self.admits(users, value), wanted, value)

    def test_hashed_once(self) -> None:
        """A login is hashed once in a while, a wrong one and an unknown name more often."""
        users = self.users()
        for _ in range(3):
            self.admits(users, basic("anna:pass:word"))
        self.assertEqual(self.hashed, 1)
        for _ in range(2):
            self.admits(users, basic("anna:wrong"))
            self.admits(users, basic("bert:pass:word"))
        self.assertEqual(self.hashed, 3)
        self.clock.advance(WRONG_SECONDS)
        self.admits(users, basic("anna:wrong"))
        self.admits(users, basic("bert:pass:word"))
        self.assertEqual(self.hashed, 5)
        self.clock.advance(KNOWN_SECONDS)
        self.admits(users, basic("anna:pass:word"))
        self.assertEqual(self.hashed, 6)

    def test_another_password(self) -> None:
        """Who was wrong is let in at once by the right password."""
        users = self.users()
        self.assertFalse(self.admits(users, basic("anna:wrong")))
        self.assertTrue(self.admits(users, basic("anna:pass:word")))

    def test_busy(self) -> None:
        """Guessing is bounded: a few hashes at a time, and so many that wait."""
        started: list[object] = []

        def never(*_: object) -> Deferred[object]:
            started.append(None)
            return Deferred()

        users = Users(self.file, never, self.clock.seconds)

        def ask(login: str, client: str) -> Deferred[bool]:
            return Deferred.fromCoroutine(users.admits(basic(login), client))

        flood = [ask(f"u{number}:x", "192.0.2.1") for number in range(AT_ONCE + MAX_WAITING)]
        for each in flood:
            self.assertNoResult(each)
        self.assertEqual(len(started), AT_ONCE)
        self.failureResultOf(ask("one:more", "192.0.2.1"), TooBusy)
        self.assertNoResult(ask("anna:pass:word", "192.0.2.2"))  # another client is not kept out
        self.failureResultOf(flood[-1], TooBusy)


class FileTests(Case):
    def test_changed(self) -> None:
        """A user who is taken out is out, at once for logins known before, too."""
        users = self.users()
        self.assertTrue(self.admits(users, basic("anna:pass:word")))
        self.write(line("bert", "x"))
        self.clock.advance(LOOK_EVERY)
        self.assertFalse(self.admits(users, basic("anna:pass:word")))
        self.assertTrue(self.admits(users, basic("bert:x")))

    def test_spoilt(self) -> None:
        """A file that can't be used leaves the former users."""
        users = self.users()
        self.write("anna")
        self.clock.advance(LOOK_EVERY)
        self.assertTrue(self.admits(users, basic("anna:pass:word")))

    def test_mistakes(self) -> None:
        """A mistake is told by line, without its hash."""
        for text in ("anna:$apr1$geheim", "anna", ":$2y$x", "anna:geheim"):
            self.file.write_text("# x\n" + text)
            with self.assertRaises(BadUsers) as caught:
                read_users(self.file)
            self.assertIn("line 2", str(caught.exception))
            self.assertNotIn("geheim", str(caught.exception))
        self.assertRaises(BadUsers, read_users, self.file / "none")
