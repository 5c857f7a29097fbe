"""Tokens for databases of AWS are those that AWS's own client makes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import botocore.session
import pytest

from pannier_crds.given_settings import GivenSettings
from pannier_sidecar.clouds.database_tokens import aws_tokens, read_profile
from pannier_sidecar.state.errors import StoreRefusedError

HOST = "shop.cluster-x.eu-central-1.rds.amazonaws.com"
KEYS = {"region": "eu-central-1", "accessKey": "AKIDEXAMPLE", "secretKey": "s3cret/canary+key"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: datetime(2026, 11, 28, 6, 30, tzinfo=UTC))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/no/such/file")


def profile(**fields: str) -> Any:
    return read_profile(GivenSettings("state.postgresql", {"useAWSIAM": True, **fields}))


async def token(service: str, url: str, parameters: dict[str, str], **fields: str) -> str:
    async with AsyncExitStack() as resources:
        tokens = await aws_tokens(profile(**fields), service, url, parameters, 5.0, resources)
        return (await tokens.get()).text.reveal()
    raise AssertionError("nothing is suppressed")


@pytest.mark.parametrize("session_token", ["", "s3ssion/t+ken=="])
@pytest.mark.parametrize("user", ["shop", "shop@x y&z"])
async def test_a_token_for_rds_is_that_of_botocore(session_token: str, user: str) -> None:
    more = {"sessionToken": session_token} if session_token else {}
    found = await token("rds-db", f"https://{HOST}:5432/", {"DBUser": user}, **KEYS, **more)
    client = botocore.session.Session().create_client(
        "rds",
        region_name=KEYS["region"],
        aws_access_key_id=KEYS["accessKey"],
        aws_secret_access_key=KEYS["secretKey"],
        aws_session_token=session_token or None,
    )
    assert found == client.generate_db_auth_token(HOST, 5432, user)


async def test_what_is_missing_is_named() -> None:
    for fields, words in (
        ({"accessKey": "a", "secretKey": "s3cret"}, "no AWS region is known; set region"),
        ({"region": "eu-central-1"}, "no AWS credentials were found; set accessKey and secretKey"),
    ):
        with pytest.raises(StoreRefusedError, match=words) as caught:
            await token("rds-db", f"https://{HOST}:5432/", {"DBUser": "u"}, **fields)
        assert "s3cret" not in str(caught.value)
