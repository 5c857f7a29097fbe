"""The operator's call that deletes an app's Secret, on a real API server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cluster.release import get, get_one

from pannier_operator.__main__ import log_in
from pannier_operator.cluster.api import ClusterApi
from pannier_operator.cluster.client import KubernetesClient

if TYPE_CHECKING:
    import pytest
    from cluster.user import User


def test_a_secret_that_changed_since_it_was_seen_is_not_deleted(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(user.cluster.kubeconfig))
    user.kubectl("create", "secret", "generic", "seen", "--from-literal=a=1")
    before = get_one(user.cluster, "secret", user.namespace, "seen")
    user.kubectl("label", "secret", "seen", "somebody=else")

    assert asyncio.run(delete(before)) is False
    after = get_one(user.cluster, "secret", user.namespace, "seen")
    assert after["metadata"]["labels"] == {"somebody": "else"}

    user.kubectl("delete", "secret", "seen")
    user.kubectl("create", "secret", "generic", "seen", "--from-literal=a=1")
    assert asyncio.run(delete(after)) is False, "another one of that name has come"

    assert asyncio.run(delete(get_one(user.cluster, "secret", user.namespace, "seen"))) is True
    assert "seen" not in [each["metadata"]["name"] for each in get(user.cluster, "secrets", user.namespace)]
    assert asyncio.run(delete(after)) is True, "it has gone"


async def delete(secret: dict[str, object]) -> bool:
    api = ClusterApi(KubernetesClient(log_in))
    try:
        return await api.delete_secret(secret)
    finally:
        await api.close()
