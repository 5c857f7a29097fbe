"""A TITLE server that cannot be reached."""

import pytest
from servers.opened_store import nothing_left
from servers.processes import free_port

from pannier_sidecar.state.errors import StoreUnavailableError
from pannier_sidecar.stores.NAME.store import CLASSStore


async def test_NAME_that_cannot_be_reached_is_reported_as_unavailable() -> None:
    async with nothing_left():
        with pytest.raises(StoreUnavailableError, match="the connection is refused; check host"):
            await CLASSStore({"host": f"127.0.0.1:{free_port()}"}).open()
