"""The local certificate authority: made once, kept in a folder, signs short-lived leaves."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: File names in the authority's folder.
CERTIFICATE = "aimirror-ca.pem"
KEY = "aimirror-ca.key"

#: Days for which a root is valid unless told otherwise, and at most.
ROOT_DAYS = 825
MOST_ROOT_DAYS = 3650
#: Days for which a leaf is valid: some clients refuse long ones, and nobody needs them.
LEAF_DAYS = 7
#: How far in the past validity begins: clients' clocks differ.
SKEW = timedelta(hours=24)

_NAME = "aimirror local authority"
#: Each kind of name as a whole: what is not permitted in part is excluded altogether.
_EVERYTHING = (
    x509.DNSName(""),
    x509.IPAddress(ip_network("0.0.0.0/0")),
    x509.IPAddress(ip_network("::/0")),
)
_SIGNING = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class AuthorityError(Exception):
    """The authority can't be made or read; the text names the file."""


@frozen
class Leaf:
    """A certificate for one host and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


@frozen
class Authority:
    """A root certificate and its key."""

    certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        """The certificate, for clients to trust."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate as people compare it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts to which it is constrained."""
        try:
            constraints = self.certificate.extensions.get_extension_for_class(x509.NameConstraints)
        except x509.ExtensionNotFound:
            return ()
        permitted = constraints.value.permitted_subtrees or []
        return tuple(_text(name) for name in permitted)

    def covers(self, host: str, now: datetime) -> bool:
        """Whether clients that heed constraints and validity accept a leaf for this host."""
        if not self.certificate.not_valid_before_utc <= now < self.certificate.not_valid_after_utc:
            return False
        return any(host == own or host.endswith("." + own) for own in self.hosts)

    def leaf(self, host: str, now: datetime) -> Leaf:
        """A new certificate for a host, a name or an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(now + timedelta(days=LEAF_DAYS), self.certificate.not_valid_after_utc)
        # No host name: some take that for one more name, and hold constraints against it.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "served by aimirror")])
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([_general(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        return Leaf(built.sign(self._key, hashes.SHA256()), key)

    def key_pem(self) -> bytes:
        """The key, for the authority's own folder and nowhere else."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def make(hosts: Iterable[str], now: datetime, days: int = ROOT_DAYS) -> Authority:
    """A new authority that can vouch for these hosts and what is below them, and nobody else.

    The constraint (RFC 5280 section 4.2.1.10) bounds what a stolen key is good for.
    """
    names = [_constraint(host) for host in sorted(set(hosts))]
    if not names:
        raise AuthorityError("no rule has an https:// upstream: there is nothing to intercept")
    kinds = {type(name.value) for name in names}
    excluded = [every for every in _EVERYTHING if type(every.value) not in kinds]
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{_NAME} {now:%Y-%m-%d}")])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNING, critical=True)
        .add_extension(x509.NameConstraints(names, excluded or None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Authority(built.sign(key, hashes.SHA256()), key)


def store(authority: Authority, folder: Path, *, replace: bool = False) -> None:
    """Write both files, the key readable by its owner alone; raises AuthorityError."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data, mode in (
            (KEY, authority.key_pem(), 0o600),
            (CERTIFICATE, authority.pem, 0o644),
        ):
            with os.fdopen(os.open(folder / name, flags, mode), "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
    except FileExistsError as error:
        raise AuthorityError(
            f"{error.filename}: there is an authority already; --force replaces it, and clients "
            "must then trust the new one"
        ) from None
    except OSError as error:
        raise AuthorityError(f"{folder}: {error.strerror}") from None


def load(folder: Path) -> Authority:
    """Read both files; raises AuthorityError, also when others can read the key."""
    certificate, key = folder / CERTIFICATE, folder / KEY
    try:
        if key.stat().st_mode & 0o077:
            raise AuthorityError(f"{key}: others than its owner can read it; chmod 600 it")
        root = x509.load_pem_x509_certificate(certificate.read_bytes())
        secret = serialization.load_pem_private_key(key.read_bytes(), None)
    except FileNotFoundError as error:
        raise AuthorityError(f"{error.filename} is missing; make one: aimirror ca init") from None
    except OSError as error:
        raise AuthorityError(f"{error.filename}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise AuthorityError(f"{folder}: the files there are no certificate and key") from None
    if not isinstance(secret, ec.EllipticCurvePrivateKey) or secret.public_key() != (
        root.public_key()
    ):
        raise AuthorityError(f"{key} is not the key of {certificate}")
    return Authority(root, secret)


def now() -> datetime:
    """The present, as certificates count it."""
    return datetime.now(UTC)


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _constraint(host: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ip_network(host))
    except ValueError:
        return x509.DNSName(host)


def _text(name: x509.GeneralName) -> str:
    return str(name.value).partition("/")[0]
