"""A user of a decentralized account logs in by a JWT and the seed of its nkey."""

import json
import os
from base64 import urlsafe_b64encode
from typing import Any

import nkeys
import pytest
from servers.jetstream_server import BUCKET, running
from servers.opened_store import nothing_left, refusal_of

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.stores.jetstream.store import JetStreamStore

pytestmark = pytest.mark.over("jetstream")


class Issuer:
    """A pair of keys that can sign JWTs in the form of NATS."""

    def __init__(self, prefix: int):
        self.seed = nkeys.encode_seed(os.urandom(32), prefix).decode()
        self._pair = nkeys.from_seed(bytearray(self.seed.encode()))
        self.public = self._pair.public_key.decode()

    def sign(self, kind: str, subject: str, **claims: Any) -> str:
        body = {"jti": "X", "iat": 1, "iss": self.public, "name": kind, "sub": subject}
        parts = [
            {"typ": "JWT", "alg": "ed25519-nkey"},
            {**body, "nats": {"type": kind, "version": 2, **claims}},
        ]
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{_encoded(self._pair.sign(signed.encode()))}"


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


async def test_a_user_with_a_jwt_is_let_in_and_one_with_another_seed_is_not(tmp_path) -> None:
    operator = Issuer(nkeys.PREFIX_BYTE_OPERATOR)
    account, system = Issuer(nkeys.PREFIX_BYTE_ACCOUNT), Issuer(nkeys.PREFIX_BYTE_ACCOUNT)
    user, other = Issuer(nkeys.PREFIX_BYTE_USER), Issuer(nkeys.PREFIX_BYTE_USER)
    limits = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
    more = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1, "wildcards": True}
    of_account = operator.sign("account", account.public, limits={**limits, **more})
    of_system = operator.sign("account", system.public, limits=limits)
    jwt = account.sign("user", user.public, subs=-1, data=-1, payload=-1)
    configuration = f"""
        operator: {operator.sign("operator", operator.public)}
        resolver: MEMORY
        system_account: {system.public}
        resolver_preload: {{ {account.public}: {of_account}, {system.public}: {of_system} }}
    """
    with running(tmp_path, configuration) as server:
        settings = {"natsURL": server.url, "bucket": BUCKET, "jwt": jwt, "seedKey": user.seed}
        async with nothing_left():
            missing = await refusal_of(JetStreamStore, settings)
            assert "make it: nats kv add states" in str(missing), "the login was accepted"
            refused = await refusal_of(JetStreamStore, {**settings, "seedKey": other.seed})
        assert type(refused) is StoreRefusedError
        assert "it refuses the login; check the login in natsURL, or jwt and seedKey" in str(refused)
