"""An API server that was restored from a backup continues from an earlier version, and the operator accepts that."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from cluster.manifests import component, deployment
from cluster.one_node.backup import Backup
from cluster.release import get_one

if TYPE_CHECKING:
    from cluster.user import User

_CHANGES = count()


def test_components_in_the_backup_and_those_applied_afterwards_are_served(user: User) -> None:
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    try:
        backup = Backup(user.cluster)
    except LookupError as error:
        pytest.skip(str(error))
    user.apply(component("late"))
    user.until(lambda: user.call("orders", "late/none")[0] == 204, "what came after the backup is served")
    versions_go_on(user, 20)
    latest = version_of_namespace(user)

    backup.restore()

    user.until(lambda: user.tries("apply", "-f", "-", input=component("after")).returncode == 0, "webhooks answer")
    user.until(lambda: files_of(user, "orders") >= {"after.yaml"}, "what is applied then is delivered")
    user.until(lambda: "late.yaml" not in files_of(user, "orders"), "what the backup lacks is delivered no more")
    # A kubelet sees no version of a Secret below those that its watch had reached, until it lists Secrets again.
    while version_of_namespace(user) <= latest:
        versions_go_on(user, 20)
    user.apply(component("afterwards"))
    user.until(lambda: user.call("orders", "afterwards/none")[0] == 204, "what is applied then is served")
    user.is_ready("after")
    user.is_ready("afterwards")
    assert user.call("orders", "after/none")[0] == 204
    assert user.call("orders", "late/none")[0] == 400
    assert user.call("orders", "statestore/none")[0] == 204


def versions_go_on(user: User, by: int) -> None:
    """Change something often enough that resourceVersions grow by at least so many."""
    for _ in range(by):
        user.kubectl("annotate", "--overwrite", "namespace", user.namespace, f"example.com/change={next(_CHANGES)}")


def version_of_namespace(user: User) -> int:
    """The resourceVersion at which the user's namespace was last changed."""
    return int(user.kubectl("get", "namespace", user.namespace, "-o", "jsonpath={.metadata.resourceVersion}"))


def files_of(user: User, app: str) -> set[str]:
    """The names of the files that the operator has delivered to an app."""
    return set(get_one(user.cluster, "secret", user.namespace, f"{app}-pannier")["data"])
