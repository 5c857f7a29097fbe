"""An API server that was restored from a backup continues from an earlier version, and the operator accepts that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cluster.manifests import component, deployment
from cluster.one_node.backup import Backup

if TYPE_CHECKING:
    from cluster.user import User


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
    for number in range(20):
        user.kubectl("annotate", "--overwrite", "namespace", user.namespace, f"example.com/change={number}")

    backup.restore()

    user.until(lambda: user.tries("apply", "-f", "-", input=component("after")).returncode == 0, "webhooks answer")
    user.until(lambda: user.call("orders", "after/none")[0] == 204, "what is applied then is served")
    user.is_ready("after")
    user.until(lambda: user.call("orders", "late/none")[0] == 400, "what the backup does not hold is served no more")
    assert user.call("orders", "statestore/none")[0] == 204
