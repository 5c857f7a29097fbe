"""From a Secret and a time to the Secret that should exist, and real handshakes with its content."""

import base64
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from unit.tables import each_row

from pannier_operator.settings import CertificateSettings
from pannier_operator.webhook.certificates import decide, expiry_of
from pannier_operator.webhook.material import Keep, Material, Renew, names_of

# The handshakes are real ones, against the clock of this machine.
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
NAMES = names_of("pannier-operator", "pannier-system", "cluster.local")
SETTINGS = CertificateSettings()
Secret = dict[str, Any]


def ask(
    secret: Mapping[str, Any] | None,
    now: datetime = NOW,
    names: tuple[str, ...] = NAMES,
    settings: CertificateSettings = SETTINGS,
) -> Keep | Renew:
    return decide(secret, names, now, namespace="pannier-system", settings=settings)


def renewed(secret: Mapping[str, Any] | None, now: datetime = NOW, **asked: Any) -> Secret:
    decision = ask(secret, now, **asked)
    assert isinstance(decision, Renew)
    return decision.manifest


def kept(secret: Mapping[str, Any], now: datetime = NOW, **asked: Any) -> Keep:
    decision = ask(secret, now, **asked)
    assert isinstance(decision, Keep)
    return decision


def entry(secret: Secret, name: str) -> bytes:
    return base64.b64decode(secret["data"][name])


def authorities(secret: Secret) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(entry(secret, "ca.crt"))


def leaf(secret: Secret) -> x509.Certificate:
    return x509.load_pem_x509_certificate(entry(secret, "tls.crt"))


def shake_hands(served: Material, trusted: bytes, name: str, folder: Path) -> None:
    """A TLS handshake in memory, as the API server makes it. Raises ssl.SSLError."""
    (folder / "tls.crt").write_bytes(served.certificate)
    (folder / "tls.key").write_bytes(served.key)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    client_side = ssl.create_default_context(cadata=trusted.decode())
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert client.version() == "TLSv1.3"


# --- making -----------------------------------------------------------------------------------------------------------


def test_names_are_those_of_the_service() -> None:
    assert NAMES == (
        "pannier-operator.pannier-system.svc",
        "pannier-operator.pannier-system.svc.cluster.local",
    )


def test_without_a_secret_one_is_created_and_then_kept() -> None:
    decision = ask(None)
    assert isinstance(decision, Renew)
    assert decision.why == "there is no authority that can be read"
    manifest = decision.manifest
    assert manifest["metadata"]["name"] == "pannier-operator-certificate"
    assert manifest["metadata"]["namespace"] == "pannier-system"
    assert "resourceVersion" not in manifest["metadata"]
    assert set(manifest["data"]) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    keep = kept(manifest)
    assert keep.until == NOW + 60 * DAY
    assert keep.material.expires == NOW + 90 * DAY


@pytest.mark.parametrize("name", NAMES)
def test_callers_that_trust_the_bundle_connect_by_each_name(name: str, tmp_path: Path) -> None:
    material = kept(renewed(None)).material
    shake_hands(material, base64.b64decode(material.ca_bundle), name, tmp_path)


def test_callers_do_not_connect_by_another_name(tmp_path: Path) -> None:
    material = kept(renewed(None)).material
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(material, material.authorities, "other.pannier-system.svc", tmp_path)


def test_nothing_of_a_key_is_shown() -> None:
    decision = ask(None)
    assert isinstance(decision, Renew)
    assert "PRIVATE" not in repr(kept(decision.manifest))
    assert "data" not in repr(decision)


def test_two_replicas_make_different_authorities() -> None:
    assert authorities(renewed(None)) != authorities(renewed(None))


# --- renewing ---------------------------------------------------------------------------------------------------------


def test_a_leaf_is_kept_for_two_thirds_of_its_life_and_then_renewed_by_the_same_authority(tmp_path: Path) -> None:
    first = renewed(None)
    kept(first, NOW + 60 * DAY - timedelta(seconds=1))
    decision = ask(first, NOW + 60 * DAY)
    assert isinstance(decision, Renew)
    assert decision.why == "the certificate is due for renewal"
    second = decision.manifest
    assert second["data"]["ca.crt"] == first["data"]["ca.crt"]
    assert second["data"]["ca.key"] == first["data"]["ca.key"]
    assert leaf(second).not_valid_after_utc == NOW + 150 * DAY
    assert second["data"]["tls.key"] != first["data"]["tls.key"]


def test_a_new_authority_is_trusted_before_it_signs(tmp_path: Path) -> None:
    settings = CertificateSettings(lifetime=3 * 86400.0, authority_lifetime=9 * 86400.0)
    then = NOW - timedelta(hours=1)
    first = renewed(None, then - 6 * DAY, settings=settings)
    first = renewed(first, then - 4 * DAY, settings=settings)
    first = renewed(first, then - 2 * DAY, settings=settings)
    served_first = kept(first, then - 2 * DAY, settings=settings).material

    announced = ask(first, then, settings=settings)
    assert isinstance(announced, Renew)
    assert announced.why == "the authority is due for renewal"
    new, old = authorities(announced.manifest)
    assert [old] == authorities(first)
    assert announced.manifest["data"]["tls.crt"] == first["data"]["tls.crt"]
    keep = kept(announced.manifest, then, settings=settings)
    assert keep.until == NOW
    shake_hands(served_first, keep.material.authorities, NAMES[0], tmp_path)

    second = renewed(announced.manifest, NOW, settings=settings)
    leaf(second).verify_directly_issued_by(new)
    assert authorities(second) == [new, old]
    # A replica or an API server that has not yet read the new Secret still works with the others.
    served_second = kept(second, NOW, settings=settings).material
    shake_hands(served_second, keep.material.authorities, NAMES[0], tmp_path)
    shake_hands(served_first, served_second.authorities, NAMES[0], tmp_path)


def test_an_old_authority_is_dropped_when_it_has_ended() -> None:
    settings = CertificateSettings(lifetime=3 * 86400.0, authority_lifetime=9 * 86400.0)
    secret = renewed(None, settings=settings)
    for days in range(40):
        now = NOW + days * DAY
        for _ in range(3):
            decision = ask(secret, now, settings=settings)
            if isinstance(decision, Keep):
                break
            secret = decision.manifest
        assert all(authority.not_valid_after_utc > now for authority in authorities(secret)[1:])
        assert len(authorities(secret)) <= 2


def test_lifetimes_of_minutes_never_leave_a_moment_without_a_trusted_certificate() -> None:
    """Steps of ten seconds through 40 minutes; callers know the bundle of the step before."""
    settings = CertificateSettings(lifetime=180.0, authority_lifetime=600.0)
    secret = renewed(None, settings=settings)
    known = authorities(secret)
    serials = set()
    for step in range(240):
        now = NOW + timedelta(seconds=10 * step)
        decision = ask(secret, now, settings=settings)
        if isinstance(decision, Renew):
            secret = decision.manifest
        served = leaf(secret)
        serials.add(served.serial_number)
        assert served.not_valid_before_utc <= now < served.not_valid_after_utc
        assert any(_signed(authority, served) and authority.not_valid_after_utc > now for authority in known)
        known = authorities(secret)
    assert len(serials) > 15


def _signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:
        return False
    return True


def test_a_shorter_lifetime_takes_effect_at_once() -> None:
    first = renewed(None, NOW - 10 * DAY)
    kept(first)
    shorter = replace(SETTINGS, lifetime=86400.0)
    second = renewed(first, settings=shorter)
    assert expiry_of(entry(second, "tls.crt")) == NOW + DAY


def test_a_longer_lifetime_leaves_the_certificate_of_a_short_one_no_moment_longer() -> None:
    minute = replace(SETTINGS, lifetime=60.0)
    secret = renewed(None, settings=minute)
    later = NOW + timedelta(seconds=30)
    keep = kept(secret, later)
    assert keep.until == NOW + timedelta(seconds=40)
    anew = renewed(secret, keep.until)
    assert leaf(anew).not_valid_after_utc == keep.until + 90 * DAY


def test_a_certificate_that_ends_before_its_new_authority_is_announced_is_kept_to_its_end() -> None:
    hour = replace(SETTINGS, lifetime=3600.0)
    almost = NOW + timedelta(minutes=59)
    secret = renewed(renewed(None, settings=hour), almost, settings=replace(hour, authority_lifetime=3600.0))
    assert kept(secret, almost, settings=hour).until == NOW + timedelta(hours=1)


def test_a_kept_certificate_has_a_next_decision_that_is_always_in_the_future() -> None:
    secret = renewed(None)
    now = NOW
    for _ in range(200):
        decision = ask(secret, now)
        if isinstance(decision, Renew):
            secret = decision.manifest
            decision = kept(secret, now)
        assert decision.until > now
        now = decision.until
    assert now > NOW + 20 * 365 * DAY


# --- what may be wrong ------------------------------------------------------------------------------------------------


def test_another_service_name_means_another_certificate_of_the_same_authority() -> None:
    first = renewed(None)
    names = names_of("other", "pannier-system", "example.org")
    decision = ask(first, names=names)
    assert isinstance(decision, Renew)
    assert decision.why == "the certificate is not for other.pannier-system.svc, other.pannier-system.svc.example.org"
    assert decision.manifest["data"]["ca.crt"] == first["data"]["ca.crt"]
    kept(decision.manifest, names=names)


def test_an_expired_certificate_is_replaced_at_once() -> None:
    decision = ask(renewed(None), NOW + 91 * DAY)
    assert isinstance(decision, Renew)
    assert decision.why == "the certificate is no longer valid"


def test_an_operator_that_was_off_for_decades_starts_again() -> None:
    decision = ask(renewed(None), NOW + 30 * 365 * DAY)
    assert isinstance(decision, Renew)
    assert decision.why == "the authority is no longer valid"
    assert len(authorities(decision.manifest)) == 1
    kept(decision.manifest, NOW + 30 * 365 * DAY)


def test_a_certificate_of_another_authority_is_replaced() -> None:
    secret, other = renewed(None), renewed(None)
    secret["data"]["tls.crt"], secret["data"]["tls.key"] = other["data"]["tls.crt"], other["data"]["tls.key"]
    decision = ask(secret)
    assert isinstance(decision, Renew)
    assert decision.why == "no authority that is trusted has signed the certificate"
    assert authorities(decision.manifest) == authorities(secret)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def another_kind_of_key() -> str:
    key = Ed25519PrivateKey.generate()
    return encoded(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def a_locked_key() -> str:
    key = Ed25519PrivateKey.generate()
    return encoded(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")).decode())


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
@each_row(
    "content",
    [
        None,
        "",
        "not base64!",
        "ü",
        7,
        {},
        encoded("not PEM"),
        encoded("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        encoded("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        another_kind_of_key(),
        a_locked_key(),
        encoded("\x00\xff"),
    ],
)
def test_unreadable_content_is_replaced(name: str, content: object) -> None:
    secret = renewed(None)
    secret["data"][name] = content
    second = renewed(secret)
    kept(second)


@pytest.mark.parametrize("data", [None, {}, {"ca.crt": None}, {"something": "else"}])
def test_a_secret_without_content_is_filled(data: object) -> None:
    kept(renewed({"metadata": {"name": "x"}, "data": data}))


def test_a_lost_key_of_the_authority_leaves_the_old_leaf_trusted(tmp_path: Path) -> None:
    """Replicas continue to use the loaded certificate while the new authority is announced."""
    first = renewed(None)
    served = kept(first).material
    del first["data"]["ca.key"]
    second = renewed(first)
    assert second["data"]["tls.crt"] == first["data"]["tls.crt"]
    shake_hands(served, kept(second).material.authorities, NAMES[0], tmp_path)


def test_a_secret_damaged_again_and_again_stays_small() -> None:
    secret = renewed(None)
    for _ in range(10):
        del secret["data"]["ca.key"]
        secret = renewed(secret)
    assert len(authorities(secret)) == 4


def test_a_replace_has_the_version_that_was_read_and_keeps_what_others_wrote() -> None:
    found = {
        "metadata": {
            "name": "pannier-operator-certificate",
            "resourceVersion": "17",
            "uid": "u",
            "labels": {"team": "a"},
            "annotations": {"backup": "no"},
            "managedFields": [{}],
        },
        "type": "kubernetes.io/tls",
        "data": {},
    }
    manifest = renewed(found)
    assert manifest["type"] == "kubernetes.io/tls"
    assert manifest["metadata"] == {
        "name": "pannier-operator-certificate",
        "namespace": "pannier-system",
        "resourceVersion": "17",
        "uid": "u",
        "labels": {
            "team": "a",
            "app.kubernetes.io/managed-by": "pannier-operator",
            "pannier.dev/outlives-release": "true",
        },
        "annotations": {"backup": "no"},
    }


def test_a_secret_without_our_label_gets_it_and_keeps_its_certificate() -> None:
    secret = renewed(None)
    leaf_before = entry(secret, "tls.crt")
    del secret["metadata"]["labels"]["pannier.dev/outlives-release"]

    mended = renewed(secret)

    assert mended["metadata"]["labels"]["pannier.dev/outlives-release"] == "true"
    assert entry(mended, "tls.crt") == leaf_before
    kept(mended)


def test_the_expiry_of_something_else_is_an_error() -> None:
    with pytest.raises(ValueError):
        expiry_of(b"not PEM")
