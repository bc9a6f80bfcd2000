"""Who may use the forward proxy: a file of names and bcrypt hashes, as of ``htpasswd -B``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
from twisted.logger import Logger

from aimirror.bounded import LRU
from aimirror.server.fair_queue import FairQueue

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

#: Bytes of the file; thousands of users fit.
MAX_BYTES = 1 << 20
#: Logins that were right and are not hashed again (a hash takes some 50 ms), and for how long.
MAX_KNOWN = 1024
KNOWN_SECONDS = 300.0
#: The same of wrong ones: a program that goes on with an old password costs us no CPU.
WRONG_SECONDS = 60.0
#: Hashes computed at one time, and logins that may wait for theirs: guessing costs us CPU.
AT_ONCE = 2
MAX_WAITING = 64
#: Seconds between two looks at the file.
LOOK_EVERY = 1.0
#: Bytes of a password that bcrypt takes.
MAX_PASSWORD = 72

ToThread = Callable[..., "Deferred[Any]"]


class BadUsers(Exception):
    """The file can't be used; the text names it and the line, and no hash."""


def read_users(path: Path) -> dict[bytes, bytes]:
    """Names and hashes; raises BadUsers."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadUsers(f"{path}: {error.strerror}") from None
    if len(text) > MAX_BYTES:
        raise BadUsers(f"{path}: longer than {MAX_BYTES} bytes")
    users = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(b"#"):
            continue
        name, colon, hashed = line.partition(b":")
        if not colon or not name or not hashed.startswith((b"$2y$", b"$2b$", b"$2a$")):
            raise BadUsers(
                f"{path}, line {number}: wants name:bcrypt-hash, as htpasswd -B makes it"
            )
        users[name] = hashed
    return users


class Users:
    """Checks ``Proxy-Authorization: Basic`` (RFC 7617); raises BadUsers when made.

    The file is read again when it changes; one that can't be used leaves the last good one.
    """

    _log = Logger()

    def __init__(self, path: Path, to_thread: ToThread, seconds: Callable[[], float]) -> None:
        self._path = path
        self._to_thread = to_thread
        self._seconds = seconds
        self._looked = seconds()
        self._version = self._stamp()
        self._users = read_users(path)
        self._known: LRU[bytes, float] = LRU(MAX_KNOWN)
        #: Our memory holds no passwords, and digests that are of no use elsewhere.
        self._secret = os.urandom(32)
        self._hashing = FairQueue(AT_ONCE, MAX_WAITING)
        #: Logins that were wrong, and until when they are not hashed again.
        self._wrong: LRU[bytes, float] = LRU(MAX_KNOWN)
        #: An unknown name takes as long as a wrong password.
        self._nobody = bcrypt.hashpw(os.urandom(16), bcrypt.gensalt(10))

    async def admits(self, authorization: str | None, client: str = "") -> bool:
        """Whether a Proxy-Authorization value is right; raises TooBusy.

        ``client`` says from where it comes: of many who guess and few who know, each has his turn.
        """
        login = _login(authorization)
        if login is None:
            return False
        self._look()
        name, password = login
        hashed = self._users.get(name)
        login_now = b"\0".join((name, hashed or b"", password))
        mark = hmac.digest(self._secret, login_now, hashlib.sha256)
        now = self._seconds()
        if (self._known.get(mark) or 0.0) > now:
            return True
        if (self._wrong.get(mark) or 0.0) > now:
            return False
        right: bool = await self._hashing.run(
            client, lambda: self._to_thread(_matches, password, hashed or self._nobody)
        )
        if not right or hashed is None:
            self._wrong.put(mark, now + WRONG_SECONDS)
            return False
        self._known.put(mark, now + KNOWN_SECONDS)
        return True

    def _look(self) -> None:
        now = self._seconds()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        version = self._stamp()
        if version == self._version:
            return
        self._version = version
        try:
            self._users = read_users(self._path)
        except BadUsers as bad:
            self._log.error("the former users stay: {problem}", problem=str(bad))

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


def name_in(authorization: str | None) -> str:
    """The name of a login, "" for none."""
    login = _login(authorization)
    return "" if login is None else login[0].decode("utf-8", "replace")


def _login(authorization: str | None) -> tuple[bytes, bytes] | None:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = decoded.partition(b":")
    if not colon or len(password) > MAX_PASSWORD or b"\0" in password:
        return None
    return name, password


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:  # a hash that is cut off
        return False
