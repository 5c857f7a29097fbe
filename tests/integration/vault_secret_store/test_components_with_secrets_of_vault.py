"""A store whose password is in Vault (a fake): it waits for Vault, and follows its rotation without a failed call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers.pannier_process import Pannier
from servers.processes import wait_until
from servers.rotated_secret import NEW, OLD, rotated, serving, store
from servers.vault_fake import VaultFake, vault

Serve = Callable[..., Pannier]
VAULT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: vault}}
spec:
  type: secretstores.hashicorp.vault
  version: v1
  metadata:
  - {{name: vaultAddr, value: "{url}"}}
  - {{name: vaultToken, secretKeyRef: {{name: TOKEN, key: TOKEN}}}}
  - {{name: refreshInterval, value: 200ms}}
  - {{name: timeout, value: 2s}}
auth: {{secretStore: env}}
"""
ENV = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: env}
spec: {type: secretstores.local.env, version: v1}
"""


@pytest.fixture
def fake() -> Iterator[VaultFake]:
    with vault() as running:
        running.secrets = {"secret/dapr/redis": {"password": OLD}}
        yield running


@pytest.fixture
def folder(tmp_path: Path, fake: VaultFake) -> Path:
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "env.yaml").write_text(ENV)
    url = fake.url.replace("127.0.0.1", "localhost")  # so that Pannier.port() does not find it in the log
    (folder / "vault.yaml").write_text(VAULT.format(url=url))
    (folder / "store.yaml").write_text(store("127.0.0.1:1", "vault"))
    return folder


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    with serving(folder) as start:
        yield lambda *more: start(*more, environment={"TOKEN": "root"})


def test_a_password_is_rotated_without_a_failed_call(serve: Serve, folder: Path, fake: VaultFake) -> None:
    def put(password: str) -> None:
        fake.secrets["secret/dapr/redis"] = {"password": password}

    with rotated(folder, serve, "vault", put) as pannier:
        assert json.loads(pannier.call("/v1.0/secrets/vault/redis")[1]) == {"password": NEW}

        fake.answer = (503, b"")  # what was read before stays in use
        calls = len(fake.paths)
        wait_until(lambda: len(fake.paths) > calls + 2, "Vault is asked again")
        status, body = pannier.call("/v1.0/secrets/vault/redis")
        assert (status, json.loads(body)["errorCode"]) == (500, "ERR_SECRET_GET")
        assert pannier.call("/v1.0/state/orders/k")[0] == 200
        fake.secrets.clear()
        fake.answer = None
        pannier.until(lambda: "has no secret 'redis'" in pannier.out, "the secret is missing")
        calls = len(fake.paths)
        wait_until(lambda: len(fake.paths) > calls + 2, "Vault is asked again")
        assert pannier.call("/v1.0/state/orders/k")[0] == 200


def test_a_component_waits_for_vault_and_others_do_not(serve: Serve, folder: Path, fake: VaultFake) -> None:
    fake.is_silent = True
    pannier = serve()
    assert pannier.call("/v1.0/state/plain/k")[0] == 204
    status, body = pannier.call("/v1.0/state/orders/k")
    assert status == 503 and "it waits for the secret 'redis'" in body
    pannier.until(lambda: "did not answer within 2 s" in pannier.call("/v1.0/healthz?verbose")[1], "the reason")
    fake.answer = (403, NEW.encode())
    fake.is_silent = False
    pannier.until(lambda: "refused (403)" in pannier.call("/v1.0/healthz?verbose")[1], "another reason")
    fake.answer = None
    # the password is there now, so the next reason is Redis, which does not run
    pannier.until(lambda: "Redis" in pannier.call("/v1.0/state/orders/k")[1], "the store is opened")
    fake.secrets.clear()
    (folder / "store.yaml").write_text(store("127.0.0.1:2", "vault"))
    pannier.until(lambda: "has no secret 'redis'" in pannier.err, "the secret is missing")
    assert pannier.call("/v1.0/state/plain/k")[0] == 204
    assert "s3cret-canary" not in pannier.out + pannier.err
