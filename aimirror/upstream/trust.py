"""Whose certificates are believed, and which of our own is shown: names of files become TLS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.error import VerifyError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    KeyPair,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
)
from twisted.web.client import HostnameCachingHTTPSPolicy
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from aimirror.bounded import LRU
from aimirror.download.tasks import Reason
from aimirror.http.egress import Trust
from aimirror.interfaces import UpstreamError

#: Hosts whose TLS context is kept; each holds the system's certificates, read in ~20 ms.
CACHED_CONTEXTS = 64
#: Sets of files whose contexts are kept.
CACHED_TRUSTS = 64
#: A name that Twisted's own encoding takes; the right one is put in its place.
_PLAIN_NAME = "name.invalid"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class BadTrust(Exception):
    """A file can't be used; ``file`` names it, the text says why."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(why)
        self.file = file


@implementer(IOpenSSLTrustRoot)
class _Roots:
    """The system's certificates (SSL_CERT_FILE and SSL_CERT_DIR are honoured), and some more."""

    def __init__(self, more: list[Certificate], system: IOpenSSLTrustRoot) -> None:
        self._more = more
        self._system = system

    def _addCACertsToContext(self, context: SSL.Context) -> None:
        self._system._addCACertsToContext(context)
        store = context.get_cert_store()
        for certificate in self._more:
            if store is not None:
                store.add_cert(certificate.original)


class _Material:
    """What the files of a ``Trust`` hold; raises BadTrust."""

    def __init__(self, trust: Trust) -> None:
        self.roots = [each for name in trust.ca_files for each in _certificates(name)]
        self.shown: PrivateCertificate | None = None
        self.chain: list[crypto.X509] = []
        if trust.certificate:
            first, *chain = _certificates(trust.certificate)
            self.shown = _with_key(first, trust)
            self.chain = [each.original for each in chain]


def _certificates(name: str) -> list[Certificate]:
    try:
        blocks = _PEM.findall(Path(name).read_bytes())
        loaded = [Certificate.loadPEM(block) for block in blocks]
    except OSError as error:
        raise BadTrust(name, f"can't be read ({error.strerror})") from None
    except (crypto.Error, ValueError):
        raise BadTrust(name, "a certificate in it is damaged") from None
    if not loaded:
        raise BadTrust(name, "no certificate (PEM) in it")
    return loaded


def _with_key(certificate: Certificate, trust: Trust) -> PrivateCertificate:
    name = trust.key or trust.certificate
    try:
        # An empty passphrase: OpenSSL would ask on the terminal otherwise.
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, Path(name).read_bytes(), b"")
        made: PrivateCertificate = PrivateCertificate.fromCertificateAndKeyPair(
            certificate, KeyPair(key)
        )
        made.options().getContext()
    except OSError as error:
        raise BadTrust(name, f"can't be read ({error.strerror})") from None
    except (crypto.Error, SSL.Error, VerifyError, ValueError, TypeError):
        raise BadTrust(name, "no key of the certificate, or one under a password") from None
    return made


def check(trust: Trust) -> None:
    """Raises BadTrust if one of the files can't be used."""
    _Material(trust)


@implementer(IPolicyForHTTPS)
class _Policy:
    """Verifies by the system's certificates and those of files; HTTP/1.1 by ALPN."""

    def __init__(self, material: _Material, system: IOpenSSLTrustRoot) -> None:
        self._material = material
        self._roots = _Roots(material.roots, system)

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """What makes TLS connections to a host (IPolicyForHTTPS)."""
        name = hostname.decode("ascii")
        try:
            return self._options(name)
        except UnicodeError:  # a name that IDNA does not have, as my_repo or r3---sn
            options: Any = self._options(_PLAIN_NAME)
            options._hostname = options._hostnameASCII = name
            options._hostnameBytes = hostname
            made: IOpenSSLClientConnectionCreator = options
            return made

    def _options(self, name: str) -> IOpenSSLClientConnectionCreator:
        chain = self._material.chain
        return optionsForClientTLS(
            name,
            trustRoot=self._roots,
            clientCertificate=self._material.shown,
            acceptableProtocols=[b"http/1.1"],
            extraCertificateOptions={"extraCertChain": chain} if chain else None,
        )


class Policies:
    """TLS by ``Trust``, its contexts kept until one of the files changes.

    ``system`` stands for the system's certificates.
    """

    def __init__(self, system: IOpenSSLTrustRoot | Certificate | None = None) -> None:
        self._system = platformTrust() if system is None else IOpenSSLTrustRoot(system)
        self._made: LRU[Trust, tuple[object, IPolicyForHTTPS]] = LRU(CACHED_TRUSTS)

    def policy(self, trust: Trust) -> IPolicyForHTTPS:
        """How a host is verified, and what is shown to it; raises UpstreamError."""
        stamp = tuple(_stamp(name) for name in trust.files)
        made = self._made.get(trust)
        if made is not None and made[0] == stamp:
            return made[1]
        try:
            fresh = _Policy(_Material(trust), self._system)
        except BadTrust as bad:
            if made is not None:  # half written, perhaps: what was there holds
                return made[1]
            raise UpstreamError(Reason.TLS, f"{Path(bad.file).name}: {bad}") from None
        policy = HostnameCachingHTTPSPolicy(fresh, cacheSize=CACHED_CONTEXTS)
        self._made.put(trust, (stamp, policy))
        return policy


def _stamp(name: str) -> tuple[int, int, int] | None:
    try:
        status = Path(name).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
