"""What a component does not claim, or turns out not to keep, is refused and not sent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from servers.opened_store import refusal_of
from servers.scripted_component import (
    BULK_GET,
    DELETE,
    FEATURES,
    GET,
    INIT,
    MULTI_MAX_SIZE,
    PING,
    SET,
    TRANSACT,
    V1,
    V1ALPHA,
    Refusal,
    ScriptedComponent,
    features,
    listing,
    of_etag,
    scripted,
    scripted_store,
)

from pannier_crds.secret import Secret
from pannier_sidecar.protobuf import encode
from pannier_sidecar.state.errors import (
    ETagMismatchError,
    NotSupportedError,
    StoreRefusedError,
    TransactionTooLargeError,
)
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature, StoredValue
from pannier_sidecar.stores.pluggable import messages
from pannier_sidecar.stores.pluggable.messages import STATE, TRANSACTIONS
from pannier_sidecar.stores.pluggable.store import PluggableStore

VALUE = encode(messages.GetResponse(b"1", messages.Etag("7")))


async def refusal(call: Any) -> str:
    with pytest.raises(NotSupportedError) as caught:
        await call
    return str(caught.value)


def checking(body: bytes, context: Any) -> bytes:
    """Refuse an ETag that nothing has."""
    if b"never-made" in body:
        of_etag(grpc.StatusCode.FAILED_PRECONDITION).end(context)
    return b""


async def test_it_gets_its_settings_and_its_name_with_every_call(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "colour": "red",
        "password": Secret("hidden"),
        "keyPrefix": "name",
        "primaryEncryptionKey": "00",
    }
    async with scripted_store(tmp_path, {GET: VALUE}, **settings) as (component, store):
        await store.get(Get("a||k", strong=True, metadata={"partitionKey": "p"}))
        sent = component.request(INIT, messages.InitRequest).metadata.properties
        assert sent == {"colour": "red", "password": "hidden"}
        assert component.request(GET, messages.GetRequest) == messages.GetRequest("a||k", {"partitionKey": "p"}, 2)
        assert {fields["x-component-instance"] for _, _, fields in component.asked} == {"statestore"}


async def test_without_etags_what_needs_them_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    answers = {FEATURES: features("QUERY_API"), SET: b"", DELETE: b"", GET: b""}
    async with scripted_store(tmp_path, answers) as (component, store):
        assert store.features == frozenset()
        calls = {
            "etag": (store.set(Set("k", b"1", "7")), "keeps no ETags (feature ETAG), so it can't do a write with"),
            "delete": (store.delete(Delete("k", "7")), "keeps no ETags (feature ETAG), so it can't do a write with"),
            "first-write": (store.set(Set("k", b"1", if_absent=True)), "so it can't do first-write; use last-write"),
            "ttl": (store.set(Set("k", b"1", ttl=5)), "lets nothing expire (feature TTL); leave ttlInSeconds out"),
            "empty": (store.set(Set("k", b"")), "an empty value would look like none; write more"),
            "transaction": (store.transact([Set("k", b"1")]), "has no transactions"),
        }
        for name, (call, words) in calls.items():
            with subtests.test(name):
                assert words in await refusal(call)
        assert SET not in component.paths and DELETE not in component.paths
        await store.set(Set("k", b"\x00\xff", strong=True))
        sent = component.request(SET, messages.SetRequest)
        assert (sent.value, sent.etag, sent.options) == (b"\x00\xff", None, messages.StateOptions(2, 2))
        component.answers[GET] = encode(messages.GetResponse(b"1"))
        assert await store.get(Get("k")) == StoredValue(b"1", "")


OVERWRITTEN: dict[str, tuple[Callable[[PluggableStore], Any], str]] = {
    "set": (lambda store: store.set(Set("k", b"1", "7")), "does not check ETags"),
    "delete": (lambda store: store.delete(Delete("k", "7")), "does not check ETags"),
    "create": (lambda store: store.set(Set("k", b"1", if_absent=True)), "overwrites a key that first-write"),
    "keep": (lambda store: store.delete(Delete("k", if_absent=True)), "deletes a key although first-write"),
    "together": (lambda store: store.transact([Set("k", b"1", "7"), Set("l", b"1")]), "a part of a transaction"),
}


async def test_a_component_that_overwrites_is_found_out_before_the_write(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """It claims ETAG, and writes whatever the precondition."""
    for name, (call, words) in OVERWRITTEN.items():
        with subtests.test(name):
            answers = {GET: VALUE, SET: b"", DELETE: b"", TRANSACT: b""}
            async with scripted_store(tmp_path, answers) as (component, store):
                said = await refusal(call(store))
                assert words in said and "so the write was not sent" in said
                sent = written_to(component)
                assert sent and all(b"pannier-rule-check" in body for body in sent)
                assert await refusal(call(store)) == said
                assert written_to(component) == sent


def written_to(component: ScriptedComponent) -> list[bytes]:
    return [body for path, body, _ in component.asked if path in (SET, DELETE, TRANSACT)]


async def test_rules_are_tried_once_for_each_connection(tmp_path: Path) -> None:
    def tried() -> int:
        return sum(b"rule-check" in body for body in written_to(component))

    async with scripted_store(tmp_path, {GET: VALUE, SET: checking, DELETE: checking}) as (component, store):
        for _ in range(3):
            await store.set(Set("k", b"1", "7"))
        once = tried()
        component.stop()
        component.start()
        await store.set(Set("k", b"1", "7"))
        assert tried() == 2 * once > 0
        assert component.paths.count(INIT) == 2


async def test_what_it_serves_counts_beside_what_it_claims(tmp_path: Path) -> None:
    async with scripted_store(tmp_path, {V1: listing(STATE)}) as (_, store):
        assert Feature.TRANSACTIONAL not in store.features
        assert "has no transactions" in await refusal(store.transact([Set("k", b"1")]))


async def test_it_is_asked_for_the_largest_transaction_before_the_first_one(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    size = encode(messages.MultiMaxSizeResponse(2))
    unlimited = encode(messages.MultiMaxSizeResponse(-1))
    rows: list[tuple[str, dict[str, Any], bool, int]] = [
        ("a largest transaction", {MULTI_MAX_SIZE: size}, True, 1),
        ("no largest transaction", {MULTI_MAX_SIZE: unlimited}, False, 1),
        ("no call for it", {MULTI_MAX_SIZE: Refusal(grpc.StatusCode.UNIMPLEMENTED)}, False, 1),
        ("a call that fails", {MULTI_MAX_SIZE: Refusal(grpc.StatusCode.UNKNOWN)}, False, 1),
        ("an answer that is none", {MULTI_MAX_SIZE: b"\xff"}, False, 1),
        ("no service for it", {V1: listing(STATE, TRANSACTIONS), MULTI_MAX_SIZE: size}, False, 0),
    ]
    three = [Set(key, b"1") for key in "abc"]
    for name, answers, is_refused, asked in rows:
        with subtests.test(name):
            async with scripted_store(tmp_path, {GET: VALUE, TRANSACT: b"", **answers}) as (component, store):
                await store.get(Get("k"))
                assert MULTI_MAX_SIZE not in component.paths
                for _ in range(2):
                    if is_refused:
                        with pytest.raises(TransactionTooLargeError) as caught:
                            await store.transact(three)
                        assert caught.value.limit == 2
                    else:
                        await store.transact(three)
                    await store.transact(three[:2])
                assert component.paths.count(MULTI_MAX_SIZE) == asked
                assert component.paths.count(TRANSACT) == (2 if is_refused else 4)


async def test_another_process_is_asked_again_for_the_largest_transaction(tmp_path: Path) -> None:
    answers = {MULTI_MAX_SIZE: encode(messages.MultiMaxSizeResponse(1)), TRANSACT: b""}
    two = [Set("a", b"1"), Set("b", b"1")]
    async with scripted_store(tmp_path, answers) as (component, store):
        with pytest.raises(TransactionTooLargeError):
            await store.transact(two)
        component.stop()
        component.answers[MULTI_MAX_SIZE] = encode(messages.MultiMaxSizeResponse(2))
        component.start()
        await store.transact(two)


async def test_both_versions_of_reflection_find_it(tmp_path: Path, subtests: pytest.Subtests) -> None:
    missing = Refusal(grpc.StatusCode.UNIMPLEMENTED)
    with subtests.test("v1alpha"):
        async with scripted_store(tmp_path, {V1: missing, V1ALPHA: listing(STATE)}) as (component, _):
            assert component.paths[:3] == [V1, V1ALPHA, INIT]
    for name, answers, words in (
        ("none", {V1: missing}, "has no server reflection; register it"),
        ("another service", {V1: listing("dapr.proto.components.v1.PubSub")}, "so it is no state store"),
    ):
        with subtests.test(name), scripted(tmp_path, answers) as component:
            error = await refusal_of(PluggableStore, component.settings())
            assert isinstance(error, StoreRefusedError) and words in str(error)
            assert INIT not in component.paths


async def test_calls_that_it_does_not_serve(tmp_path: Path) -> None:
    answers = {GET: VALUE, PING: Refusal(grpc.StatusCode.UNIMPLEMENTED)}
    async with scripted_store(tmp_path, answers) as (component, store):
        await store.ping()  # it answered
        assert await store.bulk_get([Get("a"), Get("b"), Get("a")]) == [StoredValue(b"1", "7")] * 3
        assert component.paths.count(GET) == 2 and BULK_GET not in component.paths


async def test_a_bulk_get_has_an_entry_for_each_key(tmp_path: Path) -> None:
    item, etag = messages.BulkStateItem, messages.Etag("7")
    items = [item("b", b"2", etag), item("a", error="a secret of the component"), item("c", b"3")]
    async with scripted_store(tmp_path, {BULK_GET: encode(messages.BulkGetResponse(items))}) as (component, store):
        failed, found, without, absent = await store.bulk_get([Get(key) for key in "abcd"])
        assert found == StoredValue(b"2", "7") and absent is None
        assert "could not read it" in str(failed) and "secret" not in str(failed)
        assert "claims to keep ETags, but it gave none for a value" in str(without)
        component.answers[BULK_GET] = encode(messages.BulkGetResponse([item("e", b"2", etag)]))
        (error,) = await store.bulk_get([Get("a")])
        assert "answered with a key that was not asked for" in str(error)


async def test_expiry_is_that_of_the_request_alone(tmp_path: Path) -> None:
    async with scripted_store(tmp_path, {SET: b""}) as (component, store):
        await store.set(Set("k", b"1", ttl=7, metadata={"TTLInSeconds": "-1", "contentType": "text/plain"}))
        sent = component.request(SET, messages.SetRequest)
        assert sent.metadata == {"contentType": "text/plain", "ttlInSeconds": "7"}
        assert sent.content_type == "text/plain"
        await store.set(Set("k", b"1", metadata={"ttlInSeconds": "7"}))
        assert component.request(SET, messages.SetRequest).metadata == {}


async def test_mismatches_name_the_key(tmp_path: Path) -> None:
    mismatch = of_etag(grpc.StatusCode.FAILED_PRECONDITION)
    invalid = of_etag(grpc.StatusCode.INVALID_ARGUMENT)

    def all_or_none(body: bytes, context: Any) -> bytes:
        return checking(body, context) if b"rule-check" in body else mismatch.end(context)

    answers = {GET: VALUE, SET: checking, DELETE: checking, TRANSACT: all_or_none}
    async with scripted_store(tmp_path, answers) as (component, store):
        await store.set(Set("k", b"1", "7"))  # its rules have been tried
        for refused, words in ((mismatch, "possible etag mismatch"), (invalid, "invalid etag value")):
            component.answers[SET] = refused
            with pytest.raises(ETagMismatchError, match=f"^{words}.*key k does not have ETag 7; read it again"):
                await store.set(Set("k", b"1", "7"))
        with pytest.raises(ETagMismatchError, match="key other has ETag 7, not 8"):
            await store.transact([Set("k", b"1", "7"), Set("other", b"1", "8")])
