"""TITLE that is not there."""

import pytest
from servers.opened_store import nothing_left
from servers.processes import free_port

from pannier_sidecar.state.errors import StoreUnavailableError
from pannier_sidecar.stores.NAME.store import CLASSStore


async def test_NAME_that_is_not_there_is_said_to_be_away() -> None:
    async with nothing_left():
        with pytest.raises(StoreUnavailableError, match="the connection is refused; check host"):
            await CLASSStore({"host": f"127.0.0.1:{free_port()}"}).open()
