"""A Component refers to Secrets of its own namespace, whatever text it writes as their name."""

from __future__ import annotations

from typing import Any

import pytest
from unit.tables import each_row

from pannier_operator.cluster.api import ClusterApi
from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.errors import ApiRefusedError
from pannier_operator.cluster.known_secrets import KnownSecrets
from pannier_operator.objects.references import references_in


class Client:
    """An API that has every requested object."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def get(self, path: str, **query: object) -> Any:
        self.paths.append(path)
        return {"metadata": {"name": "db"}, "data": {"password": ""}}


def component(secret: str) -> Any:
    reference = {"name": secret, "key": "password"}
    metadata = [{"name": "redisPassword", "secretKeyRef": reference}]
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "statestore", "namespace": "shop"},
        "spec": {"type": "state.redis", "version": "v1", "metadata": metadata},
    }


ELSEWHERE = [
    "../../other/secrets/db",
    "..",
    ".",
    "db/../../../other/secrets/db",
    "db?x=",
    "db#",
    "db%2f..",
    "DB",
    "a\n",
]


@each_row("name", ELSEWHERE)
async def test_a_name_that_no_secret_can_have_is_not_looked_up(name: str) -> None:
    client: Any = Client()
    known = await KnownSecrets(ClusterApi(client), ClusterCache()).keys_in("shop", references_in(component(name)))
    assert known == {}
    assert client.paths == []


async def test_a_secret_of_the_namespace_is_found() -> None:
    client: Any = Client()
    known = await KnownSecrets(ClusterApi(client), ClusterCache()).keys_in(
        "shop", references_in(component("db.of-shop"))
    )
    assert known == {"db.of-shop": ("password",)}
    assert client.paths == ["/api/v1/namespaces/shop/secrets/db.of-shop"]


@pytest.mark.parametrize("namespace", ["shop/secrets/db", "../..", "shop?watch=true"])
async def test_an_impossible_name_of_a_namespace_is_not_looked_up(namespace: str) -> None:
    client: Any = Client()
    with pytest.raises(ApiRefusedError):
        await ClusterApi(client).namespace_labels(namespace)
    assert client.paths == []
