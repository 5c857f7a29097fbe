"""Who may connect to the API's Unix socket: in a pod the app, which is another user; elsewhere its own user alone."""

import stat
from pathlib import Path

import pytest

from pannier_sidecar import listening
from pannier_sidecar.settings import Settings


@pytest.mark.parametrize(("mode", "others_may_write"), [("kubernetes", True), ("standalone", False)])
def test_only_in_a_pod_may_other_users_connect(mode: str, others_may_write: bool, tmp_path: Path) -> None:
    changes = {"app.id": "a", "place.mode": mode, "listen.unix_socket_folder": tmp_path, "listen.serves_metrics": False}
    with listening.bind(Settings().changed(changes)) as listeners:
        permissions = stat.S_IMODE(listeners.unix_paths[0].stat().st_mode)
        assert bool(permissions & stat.S_IWOTH) == others_may_write
