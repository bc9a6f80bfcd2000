"""TLS contexts of servers: for files that may change, and for leaves of an authority."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from attrs import frozen
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from aimirror.bounded import LRU
from aimirror.forward.authority import LEAF_DAYS, Authority

#: What is offered by ALPN.
PROTOCOLS = [b"http/1.1"]
#: Hosts whose leaf is kept.
MAX_LEAVES = 256
#: A leaf is replaced when less than this is left of its life.
RENEWED = timedelta(days=LEAF_DAYS / 2)
#: Seconds between two looks at files that may have changed.
LOOK_EVERY = 1.0

#: OpenSSL's SSL_MODE_ENABLE_PARTIAL_WRITE, which pyOpenSSL sets and gives no name: a call encrypts
#: one record of 16 KiB.  Nothing here wants less than all of it encrypted, as it goes to memory.
_PARTIAL_WRITE = 1

#: For TLS 1.2; 1.3 has none that is weak.  Forward secrecy and no CBC: no RSA key exchange, which a
#: later theft of the key would open.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class BadCertificate(Exception):
    """Certificate and key can't be used; the text names the file."""


def _context(key: crypto.PKey, chain: list[crypto.X509]) -> SSL.Context:
    options = CertificateOptions(
        privateKey=key,
        certificate=chain[0],
        extraCertChain=chain[1:],
        raiseMinimumTo=TLSVersion.TLSv1_2,
        acceptableProtocols=PROTOCOLS,
        acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(_CIPHERS),
    )
    context: SSL.Context = options.getContext()
    if hasattr(context, "clear_mode"):  # older ones take as many calls as there are records
        context.clear_mode(_PARTIAL_WRITE)
    return context


def read_context(cert: Path, key: Path) -> SSL.Context:
    """The context of a certificate file, with its chain, and a key file; raises BadCertificate."""
    try:
        blocks = _PEM.findall(cert.read_bytes())
        chain = [crypto.load_certificate(crypto.FILETYPE_PEM, pem) for pem in blocks]
        if not chain:
            raise BadCertificate(f"{cert}: no certificate in it")
        # An empty passphrase: OpenSSL would ask on the terminal otherwise.
        secret = crypto.load_privatekey(crypto.FILETYPE_PEM, key.read_bytes(), b"")
        return _context(secret, chain)
    except OSError as error:
        raise BadCertificate(f"{error.filename}: {error.strerror}") from None
    except (crypto.Error, SSL.Error, ValueError, TypeError):
        raise BadCertificate(f"{cert} and {key} are not a certificate and its key") from None


@implementer(IOpenSSLServerConnectionCreator)
class FileContexts:
    """The context of two files, read again when one of them has changed.

    Files that can't be used leave the last good ones in place.  Raises BadCertificate when made.
    """

    _log = Logger()

    def __init__(self, cert: Path, key: Path, seconds: Callable[[], float]) -> None:
        self._cert = cert
        self._key = key
        self._seconds = seconds
        self._looked = seconds()
        self._version = self._stamp()
        self._context = read_context(cert, key)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection under the newest certificate (IOpenSSLServerConnectionCreator)."""
        now = self._seconds()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._look()
        return SSL.Connection(self._context, None)

    def _look(self) -> None:
        version = self._stamp()
        if version == self._version:
            return
        self._version = version
        try:
            self._context = read_context(self._cert, self._key)
            self._log.info("{cert} has changed: in use from now on", cert=str(self._cert))
        except BadCertificate as bad:
            self._log.error("the former certificate stays in use: {problem}", problem=str(bad))

    def _stamp(self) -> tuple[object, ...]:
        return _identity(self._cert), _identity(self._key)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


@frozen
class _Kept:
    context: SSL.Context
    until: datetime


@implementer(IOpenSSLServerConnectionCreator)
class _Fixed:
    """Connections of one context."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection (IOpenSSLServerConnectionCreator)."""
        return SSL.Connection(self._context, None)


class LeafContexts:
    """Contexts by host, each with a leaf of the authority that is renewed in time."""

    def __init__(self, authority: Authority, now: Callable[[], datetime]) -> None:
        self._authority = authority
        self._now = now
        self._root = crypto.X509.from_cryptography(authority.certificate)
        self._kept: LRU[str, _Kept] = LRU(MAX_LEAVES)

    def covers(self, host: str) -> bool:
        """Whether the authority may vouch for a host now."""
        return self._authority.covers(host, self._now())

    def creator(self, host: str) -> IOpenSSLServerConnectionCreator:
        """What makes TLS connections that show a leaf for ``host``."""
        now = self._now()
        kept = self._kept.get(host)
        if kept is None or kept.until <= now:
            kept = self._made(host, now)
            self._kept.put(host, kept)
        return _Fixed(kept.context)

    def _made(self, host: str, now: datetime) -> _Kept:
        leaf = self._authority.leaf(host, now)
        chain = [crypto.X509.from_cryptography(leaf.certificate), self._root]
        key = crypto.PKey.from_cryptography_key(leaf.key)
        return _Kept(_context(key, chain), now + RENEWED)
