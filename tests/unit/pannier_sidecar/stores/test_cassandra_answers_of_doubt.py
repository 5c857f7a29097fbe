"""Cassandra's errors after which a write may have happened, and those after which it has not."""

import pytest
from cassandra import ConsistencyLevel, OperationTimedOut, Unavailable, WriteTimeout, WriteType
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.stores.cassandra import errors, settings

SETTINGS = settings.read_settings({"hosts": "a, b"})


def at(level: int) -> Unavailable:
    return Unavailable("too few", level, 2, 1)


@pytest.mark.parametrize(
    "error",
    [
        at(ConsistencyLevel.ALL),
        WriteTimeout("late", WriteType.CAS, consistency=ConsistencyLevel.SERIAL),
        OperationTimedOut(),
        ConnectionShutdown("closed"),
    ],
    ids=str,
)
def test_a_write_may_have_happened(error: Exception) -> None:
    fault = errors.translate(error, SETTINGS, is_write=True, level=ConsistencyLevel.ALL)
    assert type(fault) is OutcomeUnknownError
    assert type(errors.translate(error, SETTINGS, is_write=False, level=ConsistencyLevel.ALL)) is StoreUnavailableError


@pytest.mark.parametrize(
    "error",
    [
        at(ConsistencyLevel.SERIAL),
        at(ConsistencyLevel.LOCAL_SERIAL),
        at(ConsistencyLevel.QUORUM),
        at(ConsistencyLevel.LOCAL_QUORUM),
        NoHostAvailable("none", {"a": ConnectionShutdown("closed")}),
        NoHostAvailable("none", {}),
    ],
    ids=str,
)
def test_a_write_has_not_happened(error: Exception) -> None:
    assert type(errors.translate(error, SETTINGS, is_write=True, level=ConsistencyLevel.ALL)) is StoreUnavailableError


def test_a_write_that_is_answered_by_a_quorum_may_have_happened_when_one_is_missed() -> None:
    error = at(ConsistencyLevel.QUORUM)
    fault = errors.translate(error, SETTINGS, is_write=True, level=ConsistencyLevel.QUORUM)
    assert type(fault) is OutcomeUnknownError
