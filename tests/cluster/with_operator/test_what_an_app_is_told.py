"""Messages in a sidecar's answers name objects of the cluster, and no file of a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.manifests import component, deployment

if TYPE_CHECKING:
    from cluster.user import User


def test_answers_name_secrets_fields_namespaces_and_scopes(user: User) -> None:
    user.kubectl("create", "secret", "generic", "redis", "--from-literal=pass=1")
    user.apply(
        component("no-secret", secrets={"keyPrefix": ("nobody", "p")}),
        component("no-key", secrets={"keyPrefix": ("redis", "passwrd")}),
        component("others", scopes=["cart"]),
        deployment("orders"),
    )
    user.deployed("orders")

    asked = {name: user.call("orders", f"{name}/none") for name in ("no-secret", "no-key", "others")}

    for name, words in {
        "no-secret": ("'nobody'", user.namespace, "keyPrefix"),
        "no-key": ("'redis'", "'passwrd'", user.namespace, "keyPrefix"),
        "others": (user.namespace, "'orders'", "scopes"),
    }.items():
        status, text = asked[name]
        assert status in (400, 500, 503), text
        assert all(word in text for word in words), text
        assert "/components" not in text and "_kubernetes" not in text, text
