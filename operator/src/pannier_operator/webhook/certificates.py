"""The webhooks' certificates: our own authority and a leaf, kept in one Secret that all replicas share.

`decide` returns what should be in that Secret. It reads no clock and writes nothing; only keys and serial numbers are
random. A new authority is trusted before it is used: first it joins `ca.crt` beside the old one while the old leaf
stays, and only a later call has it sign a leaf. So no caller meets a certificate that it does not trust yet.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pannier_operator.delivery.app_secret import MANAGED_BY_LABEL, MANAGER, OUTLIVES_RELEASE_LABEL
from pannier_operator.webhook.material import Keep, Material, Renew

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_operator.objects.kinds import ObjectMeta, Secret
    from pannier_operator.settings import CertificateSettings

RENEWED_AFTER: Final = 2 / 3
"""Fraction of a lifetime after which the authority, and a leaf, is renewed. The last third is there to notice that
renewal fails.
"""
_SKEW: Final = timedelta(minutes=5)
"""Certificates are backdated by this, for machines whose clocks are behind ours."""
_ANNOUNCED_FOR: Final = timedelta(hours=1)
"""How long a new authority is trusted before it signs; a tenth of a leaf's lifetime if that is less."""
_MAX_AUTHORITIES: Final = 4
"""Authorities in `ca.crt`; two are usual. The limit bounds the growth of a Secret that is damaged again and again."""
_LABELS: Final = {MANAGED_BY_LABEL: MANAGER, OUTLIVES_RELEASE_LABEL: "true"}
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.ExtensionNotFound)


@dataclass(frozen=True)
class _Signed:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def issued(self) -> datetime:
        return self.certificate.not_valid_before_utc + _SKEW

    def lifetime(self, asked: float) -> timedelta:
        """Return its own lifetime, or the configured one if that is shorter by now."""
        return min(self.certificate.not_valid_after_utc - self.issued, timedelta(seconds=asked))

    def due_at(self, lifetime: float) -> datetime:
        """Return when to renew it."""
        return self.issued + self.lifetime(lifetime) * RENEWED_AFTER


@dataclass(frozen=True)
class _Contents:
    """The readable contents of a Secret."""

    authorities: tuple[x509.Certificate, ...] = ()
    authority: _Signed | None = None
    leaf: _Signed | None = None


def decide(
    secret: Secret | None,
    names: Sequence[str],
    now: datetime,
    *,
    namespace: str,
    settings: CertificateSettings,
) -> Keep | Renew:
    """Decide whether the Secret (None: there is none) can stay as it is, and what it should become if not.

    `now` has a time zone. What cannot be read in the Secret is replaced.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    contents = _read(secret)
    authority, why_new_authority = _authority_for(contents, now, settings)
    leaf, why_new_leaf = _leaf_for(contents, authority, names, now, settings)
    trusted = _trusted(authority, contents, now)
    if why := why_new_authority or why_new_leaf or _why_new_labels(secret):
        return Renew(_manifest(secret, namespace, settings.secret, _data(trusted, authority, leaf)), why)
    until = min(
        _leaf_due_at(leaf, authority, settings),
        authority.due_at(settings.authority_lifetime),
        *(each.not_valid_after_utc for each in trusted),
    )
    authorities = b"".join(map(_pem, trusted))
    expires = leaf.certificate.not_valid_after_utc
    return Keep(Material(_pem(leaf.certificate), _key_pem(leaf.key), authorities, expires), until)


def _why_new_labels(secret: Secret | None) -> str:
    labels = ((secret or {}).get("metadata") or {}).get("labels") or {}
    return "" if _LABELS.items() <= labels.items() else "it lacks a label"


def expiry_of(certificate: bytes) -> datetime:
    """Return when a certificate (PEM; the first in it) expires. Raises ValueError."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def _authority_for(contents: _Contents, now: datetime, settings: CertificateSettings) -> tuple[_Signed, str]:
    """Return the authority that signs from now on, and the reason if it is a new one."""
    authority = contents.authority
    if authority is None:
        why = "there is no authority that can be read"
    elif not _is_valid(authority.certificate, now):
        why = "the authority is no longer valid"
    elif authority.due_at(settings.authority_lifetime) <= now:
        why = "the authority is due for renewal"
    else:
        return authority, ""
    return _new_authority(now, settings.authority_lifetime), why


def _leaf_for(
    contents: _Contents, authority: _Signed, names: Sequence[str], now: datetime, settings: CertificateSettings
) -> tuple[_Signed, str]:
    """Return the leaf to serve from now on, and the reason if it is a new one."""
    leaf = contents.leaf
    if leaf is None:
        why = "there is no certificate that can be read"
    elif not _is_valid(leaf.certificate, now):
        why = "the certificate is no longer valid"
    elif _names_in(leaf.certificate) != set(names):
        why = f"the certificate is not for {', '.join(names)}"
    elif not any(_is_valid(one, now) and _has_signed(one, leaf.certificate) for one in contents.authorities):
        why = "no authority that is trusted has signed the certificate"
    elif _leaf_due_at(leaf, authority, settings) <= now:
        why = "the certificate is due for renewal"
    else:
        return leaf, ""
    return _new_leaf(authority, names, now, settings.lifetime), why


def _leaf_due_at(leaf: _Signed, authority: _Signed, settings: CertificateSettings) -> datetime:
    """Return when the leaf is renewed: not before the authority has been announced long enough, and never after it
    expires.
    """
    announced = min(_ANNOUNCED_FOR, leaf.lifetime(settings.lifetime) / 10)
    due = max(leaf.due_at(settings.lifetime), authority.issued + announced)
    return min(due, leaf.certificate.not_valid_after_utc)


def _trusted(authority: _Signed, contents: _Contents, now: datetime) -> list[x509.Certificate]:
    """Return the authority that signs, then older ones that are valid: replicas may still serve their leaves."""
    older = [one for one in contents.authorities if one != authority.certificate and _is_valid(one, now)]
    return [authority.certificate, *older][:_MAX_AUTHORITIES]


# --- making -----------------------------------------------------------------------------------------------------------


def _new_authority(now: datetime, lifetime: float) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = _named(f"Pannier webhook authority {serial >> 96:x}")  # unlike others, so that a bundle shows which is which
    certificate = (
        _builder(name, name, key, serial, now, now + timedelta(seconds=lifetime))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Signed(certificate, key)


def _new_leaf(authority: _Signed, names: Sequence[str], now: datetime, lifetime: float) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    end = min(now + timedelta(seconds=lifetime), issuer.not_valid_after_utc)
    certificate = (
        _builder(_named("Pannier webhooks"), issuer.subject, key, x509.random_serial_number(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    return _Signed(certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, serial: int, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - _SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


# --- the Secret -------------------------------------------------------------------------------------------------------


def _read(secret: Secret | None) -> _Contents:
    """Return what can be read of a Secret; the rest is treated as absent."""
    data = (secret or {}).get("data") or {}
    authorities = _certificates(data.get("ca.crt"))
    leaves = _certificates(data.get("tls.crt"))
    return _Contents(
        authorities,
        _pair(authorities, _key(data.get("ca.key"))),
        _pair(leaves, _key(data.get("tls.key"))),
    )


def _pair(certificates: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey | None) -> _Signed | None:
    """Return the first certificate with its key, if the key belongs to it."""
    if not certificates or key is None:
        return None
    try:
        matches = certificates[0].public_key() == key.public_key()
    except _UNREADABLE:
        return None
    return _Signed(certificates[0], key) if matches else None


def _certificates(entry: object) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(_decoded(entry)))
    except _UNREADABLE:
        return ()


def _key(entry: object) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(_decoded(entry), password=None)
    except _UNREADABLE:
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _decoded(entry: object) -> bytes:
    if not isinstance(entry, str):
        raise TypeError("a Secret's data is text")
    try:
        return base64.b64decode(entry, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _names_in(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except _UNREADABLE:
        return set()
    return set(names.value.get_values_for_type(x509.DNSName))


def _has_signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (*_UNREADABLE, InvalidSignature):
        return False
    return True


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def _data(trusted: Sequence[x509.Certificate], authority: _Signed, leaf: _Signed) -> dict[str, str]:
    entries = {
        "ca.crt": b"".join(map(_pem, trusted)),
        "ca.key": _key_pem(authority.key),
        "tls.crt": _pem(leaf.certificate),
        "tls.key": _key_pem(leaf.key),
    }
    return {name: base64.b64encode(entry).decode("ascii") for name, entry in entries.items()}


def _manifest(secret: Secret | None, namespace: str, name: str, data: dict[str, str]) -> Secret:
    """Return a Secret with that data. Metadata that others have written stays."""
    found: Secret = secret or {}
    metadata: ObjectMeta = (found.get("metadata") or {}).copy()
    metadata.pop("managedFields", None)
    labels = {**(metadata.get("labels") or {}), **_LABELS}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata, "name": name, "namespace": namespace, "labels": labels},
        "type": found.get("type") or "Opaque",
        "data": data,
    }


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
