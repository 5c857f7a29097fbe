"""Who may connect to the API's Unix socket: in a pod the app, which is another user; elsewhere only its own user."""

import os
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
        assert permissions == (0o777 if others_may_write else 0o600)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_nobody_else_may_connect_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    changes = {"app.id": "a", "listen.unix_socket_folder": tmp_path / "new", "listen.serves_metrics": False}
    before = os.umask(umask)
    try:
        with listening.bind(Settings().changed(changes)) as listeners:
            assert [stat.S_IMODE(path.stat().st_mode) for path in listeners.unix_paths] == [0o600, 0o600]
            assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
            assert os.umask(umask) == umask, "the umask is restored"
    finally:
        os.umask(before)
