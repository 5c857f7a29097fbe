"""Signing in with Entra ID: the login is a fake of ours, and Azurite checks the token, but not who signed it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.azurite import ACCOUNT
from servers.blobstorage_server import CONTAINER, running
from servers.entra_fake import APP, EntraFake, signing_in
from servers.opened_store import opened, refusal_of

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.blobstorage.store import BlobStore


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EntraFake, dict[str, Any]]]:
    """An account that takes tokens, and Entra ID."""
    with (
        signing_in(tmp_path, monkeypatch) as (entra, certificates),
        running(tmp_path / "azurite", certificates) as server,
    ):
        place = {"accountName": ACCOUNT, "containerName": CONTAINER, "timeout": 30.0}
        yield entra, {**place, "endpoint": f"https://{server.address}"}


async def test_an_application_signs_in_once_for_many_calls(place: tuple[EntraFake, dict[str, Any]]) -> None:
    entra, settings = place
    async with opened(BlobStore({**settings, **APP})) as store:
        await store.set(Set("app||k", b"1"))
        found = await store.get(Get("app||k"))
        assert found is not None
        assert found.value == b"1"
        assert (await store.keys("app||", 10, None)).keys == ["app||k"]
    assert [each["scope"] for each in entra.sign_ins] == ["https://storage.azure.com/.default"]


async def test_a_login_or_a_token_that_is_refused_says_what_to_change(place: tuple[EntraFake, dict[str, Any]]) -> None:
    entra, settings = place
    wrong = await refusal_of(BlobStore, {**settings, **APP, "azureClientSecret": "letmein"})
    assert type(wrong) is StoreRefusedError
    assert "Entra ID did not sign the sidecar in (AADSTS7000215)" in str(wrong)
    assert "letmein" not in str(wrong)
    entra.audience = "https://vault.azure.net"
    foreign = await refusal_of(BlobStore, {**settings, **APP})
    assert type(foreign) is StoreRefusedError
    assert "the roles of an identity" in str(foreign)
