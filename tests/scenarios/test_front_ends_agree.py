"""A value that one front end writes is read by all, with the same ETag."""

from collections.abc import Callable

import grpc
import pytest
from scenarios.grpc_client import GrpcClient
from scenarios.matrix import FRONT_ENDS, SDKS
from scenarios.state_client import Item, Kind, Refused, StateApi, delete, upsert
from scenarios.worlds import World

from pannier_sidecar.state.store import Feature


def test_a_value_written_through_one_front_end_is_read_through_the_other(
    pair: tuple[StateApi, StateApi], here: World, key: str
) -> None:
    writer, reader = pair
    expires = here.can(Feature.TTL)
    writer.save("statestore", Item(key, b'{"z": 1.10}', metadata={"ttlInSeconds": "1000"} if expires else {}))
    found = reader.get("statestore", key)
    assert found is not None
    assert found.is_like(writer.get("statestore", key))
    assert (found.value, bool(found.etag), bool(found.expires_at)) == (b'{"z": 1.10}', True, expires)


def test_an_etag_of_one_front_end_is_valid_at_the_other(pair: tuple[StateApi, StateApi], here: World, key: str) -> None:
    one, other = pair
    one.save("statestore", Item(key, b"1"))
    first = one.get("statestore", key)
    assert first is not None
    other.save("statestore", Item(key, b"2", first.etag))
    calls = [
        lambda: one.save("statestore", Item(key, b"3", first.etag)),
        lambda: one.delete("statestore", key, etag=first.etag),
    ]
    if here.can(Feature.TRANSACTIONAL):
        calls.append(lambda: one.transact("statestore", upsert(key, b"3", first.etag)))
    for call in calls:
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.kind is Kind.CONFLICT
    second = other.get("statestore", key)
    assert second is not None
    one.delete("statestore", key, etag=second.etag)
    assert other.get("statestore", key) is None


@pytest.mark.every_store
def test_bulk_reads_of_all_front_ends_agree(here: World, key: str) -> None:
    names = [f"{key}{number}" for number in range(5)]
    here.dapr_grpc.save("statestore", *[Item(name, b"%d" % number) for number, name in enumerate(names[:3])])
    first, *others = [getattr(here, name).bulk_get("statestore", names) for name in (*FRONT_ENDS, *SDKS)]
    assert [entry.key for entry in first] == names
    assert [entry.found and entry.found.value for entry in first] == [b"0", b"1", b"2", None, None]
    assert all(entries == first for entries in others)


@pytest.mark.every_store
@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_values_of_actors_are_read_by_all_front_ends(here: World, actor: str) -> None:
    here.dapr_grpc.transact_actor_state("cat", actor, upsert("hp", b"10"))
    found = here.http.get_actor_state("cat", actor, "hp")
    assert found is not None
    assert found.value == b"10"


def test_a_value_may_be_any_bytes(
    grpc_client: GrpcClient, new_key: Callable[[], str], subtests: pytest.Subtests
) -> None:
    for value in (bytes(range(256)), b"\0", b"", b"\xff" * 100_000):
        with subtests.test(value=value[:24]):
            key = new_key()
            grpc_client.save("statestore", Item(key, value))
            found = grpc_client.get("statestore", key)
            assert found is not None
            assert (found.value, bool(found.etag)) == (value, True)


def test_many_keys_are_deleted_at_once(grpc_client: GrpcClient, key: str) -> None:
    names = [f"{key}{number}" for number in range(5)]
    grpc_client.save("statestore", *[Item(name) for name in names])
    grpc_client.delete_bulk("statestore", *[Item(name) for name in names[:3]])
    grpc_client.delete_bulk("statestore")
    left = [entry.found is not None for entry in grpc_client.bulk_get("statestore", names)]
    assert left == [False, False, False, True, True]
    with pytest.raises(Refused) as refused:
        grpc_client.delete_bulk("statestore", Item(names[4], etag="4711"))
    assert refused.value.kind is Kind.CONFLICT


def test_only_layotto_takes_an_etag_of_zero_as_no_etag(here: World, key: str) -> None:
    """Its JavaScript SDK sends it if there is none."""
    client = here.layotto_grpc
    for value in (b"1", b"2"):
        client.save("statestore", Item(key, value, "0"))
    found = client.get("statestore", key)
    assert found is not None
    assert found.value == b"2"
    client.delete("statestore", key, etag="0")
    client.delete("statestore", key, etag="0")
    here.dapr_grpc.save("statestore", Item(key))
    with pytest.raises(Refused):
        here.dapr_grpc.delete("statestore", key, etag="0")


@pytest.mark.needs(Feature.TRANSACTIONAL)
def test_an_etag_of_zero_is_none_in_layottos_transactions(here: World, key: str) -> None:
    client = here.layotto_grpc
    for value in (b"1", b"2"):
        client.transact("statestore", upsert(key, value, "0"))
    client.transact("statestore", delete(key, "0"))
    assert client.get("statestore", key) is None


def test_options_that_no_enumeration_has_are_refused(grpc_client: GrpcClient, key: str) -> None:
    item = grpc_client.item(Item(key, b"1", concurrency="last-write"))
    item.options.concurrency = 7
    with pytest.raises(Refused) as refused:
        grpc_client.call("SaveState", grpc_client.new("SaveStateRequest", store_name="statestore", states=[item]))
    assert refused.value.kind is Kind.MALFORMED
    assert "concurrency is 7" in str(refused.value)


def test_other_methods_are_unimplemented_and_named(here: World) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{here.pannier.grpc_port()}") as channel:
        for path, reason in (
            ("/dapr.proto.runtime.v1.Dapr/InvokeService", "InvokeService"),
            ("/spec.proto.runtime.v1.Runtime/TryLock", "TryLock"),
            ("/no.such.Service/Call", "no.such.Service"),
        ):
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(path)(b"", timeout=30)
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert reason in error.value.details()
