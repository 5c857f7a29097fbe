"""The library that makes certificates is loaded in a process that ends, and only where there is something to decide."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from servers.cluster_in_memory import ClusterInMemory

from pannier_operator.metrics import Metrics
from pannier_operator.settings import CertificateSettings, OperatorSettings
from pannier_operator.webhook import certificate_process, certificates, rotation
from pannier_operator.webhook.material import Keep, Renew
from pannier_operator.webhook.rotation import CertificateRotation

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ("pannier-operator.pannier-system.svc",)
SETTINGS = CertificateSettings()
NAMESPACE = OperatorSettings().operator.namespace


def test_the_operator_does_not_load_the_library() -> None:
    found = "import sys, pannier_operator.__main__; print([name for name in sys.modules if 'cryptography' in name])"
    assert subprocess.run([sys.executable, "-c", found], capture_output=True, text=True).stdout.strip() == "[]"


async def test_the_process_decides_as_the_function_does() -> None:
    renew = await certificate_process.decide(None, NAMES, NOW, namespace="x", settings=SETTINGS)
    assert isinstance(renew, Renew)

    decision = await certificate_process.decide(renew.manifest, NAMES, NOW, namespace="x", settings=SETTINGS)

    assert decision == certificates.decide(renew.manifest, NAMES, NOW, namespace="x", settings=SETTINGS)
    assert isinstance(decision, Keep)
    certificate = decision.material.certificate
    assert await certificate_process.expiry_of(certificate) == decision.material.expires == NOW + timedelta(days=90)


async def test_what_is_no_certificate_is_an_error_of_the_asker() -> None:
    with pytest.raises(ValueError):
        await certificate_process.expiry_of(b"not PEM")


@pytest.mark.parametrize("command", ["exit 3", "kill -9 $$", "exec sleep 600", "exit 0", None])
async def test_a_process_that_fails_or_does_not_answer_is_an_error_that_is_tried_again(
    command: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{command}\n" if command else "no program")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(certificate_process, "_LIMIT", 1.0)

    with pytest.raises(OSError):
        await certificate_process.decide(None, NAMES, NOW, namespace="x", settings=SETTINGS)


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the process is asked about, with the answers of the function."""
    asked: list[Any] = []

    async def decide(secret: Any, *arguments: Any, **named: Any) -> Any:
        asked.append(secret)
        return certificates.decide(secret, *arguments, **named)

    monkeypatch.setattr(rotation, "decide", decide)
    return asked


async def test_a_secret_that_has_not_changed_is_not_decided_on_again(
    decisions: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster: Any = ClusterInMemory()
    checks = CertificateRotation(cluster, OperatorSettings(), Metrics())
    await checks.first()
    before = len(decisions)

    await checks._step()
    assert len(decisions) == before

    secret = cluster.find("Secret", NAMESPACE, SETTINGS.secret)
    cluster.put({**secret, "data": {**secret["data"], "tls.key": ""}})
    await checks.first()
    await checks._step()
    assert checks.is_valid()
    assert len(decisions) > before, "it has changed"
    checks.close()


@pytest.mark.parametrize("days", [-1, 61])
async def test_another_day_is_decided_on_again(
    days: int, decisions: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster: Any = ClusterInMemory()
    checks = CertificateRotation(cluster, OperatorSettings(), Metrics())
    await checks.first()
    await checks._step()
    secret = cluster.find("Secret", NAMESPACE, SETTINGS.secret)
    before = len(decisions)

    await checks._decide(secret, datetime.now(UTC) + timedelta(days=days))

    assert len(decisions) == before + 1
    checks.close()


async def test_files_of_cert_manager_are_read_again_only_when_they_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def expiry_of(certificate: bytes) -> datetime:
        asked.append(certificate)
        return NOW

    monkeypatch.setattr(rotation, "expiry_of", expiry_of)
    checks = CertificateRotation(ClusterInMemory(), OperatorSettings(), Metrics())
    for content in (b"one", b"other"):
        (tmp_path / "tls.crt").write_bytes(content)
        (tmp_path / "tls.key").write_bytes(b"key")
        checks._material = await checks._read(tmp_path)
        checks._material = await checks._read(tmp_path)
    assert asked == [b"one", b"other"]
    checks.close()
