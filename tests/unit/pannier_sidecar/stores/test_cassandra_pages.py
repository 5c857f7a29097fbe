"""Pages of a table's columns that have no end are not all asked for."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.stores.cassandra import schema
from pannier_sidecar.stores.cassandra.settings import read_settings


class Session:
    """Stands for the driver's, with a server that has always one more column."""

    def prepare(self, _: str) -> None:
        pass

    def execute(self, *_: Any) -> Iterator[tuple[str, ...]]:
        return ((f"column{number}", "text", "regular") for number in count())


def test_a_list_of_columns_that_never_ends_is_refused() -> None:
    with pytest.raises(StoreRefusedError, match="is not one for state"):
        schema.ensure(Session(), read_settings({"hosts": "a"}))  # type: ignore[arg-type]
