"""Signing in with Entra ID: the login is a fake of ours, and Azurite checks the token, but not who signed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from servers.azurite import ACCOUNT
from servers.entra_fake import APP, signing_in
from servers.opened_store import opened, refusal_of
from servers.tablestorage_server import TABLE, running

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.tablestorage.store import TableStore


async def test_an_application_signs_in_for_azure_or_for_cosmos_db(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        signing_in(tmp_path, monkeypatch) as (entra, certificates),
        running(tmp_path / "azurite", certificates) as server,
    ):
        place: dict[str, Any] = {"accountName": ACCOUNT, "tableName": TABLE, "serviceURL": server.url, **APP}
        for is_cosmos in (False, True):
            async with opened(TableStore({**place, "cosmosDbMode": is_cosmos})) as store:
                await store.set(Set("app||k", b"1"))
                found = await store.get(Get("app||k"))
                assert found is not None
                assert found.value == b"1"
        wanted = ["https://storage.azure.com/.default", "https://cosmos.azure.com/.default"]
        assert [each["scope"] for each in entra.sign_ins] == wanted
        wrong = await refusal_of(TableStore, {**place, "azureClientSecret": "letmein"})
        assert type(wrong) is StoreRefusedError
        assert "Entra ID did not sign the sidecar in (AADSTS7000215)" in str(wrong)
        assert "letmein" not in str(wrong)
