"""The parts of the Redis store that decide without I/O."""

from asyncio import AbstractEventLoop, Transport, new_event_loop
from collections.abc import Callable, Iterator
from unittest.mock import create_autospec

import pytest
from hiredis import ReplyError

from pannier_sidecar.network.pipeline import ConnectionLostError
from pannier_sidecar.state.errors import StoreRefusedError, StoreUnavailableError
from pannier_sidecar.stores.redis import errors, info
from pannier_sidecar.stores.redis.connection import Connection
from pannier_sidecar.stores.redis.layout import foreign_stored_value
from pannier_sidecar.stores.redis.reconnecting import pause_before
from pannier_sidecar.stores.redis.replicas import COUNT_VALID_S, MISSED_S, MOVED_S, ReplicaCount
from pannier_sidecar.stores.redis.resp import pack, unpack
from pannier_sidecar.stores.redis.scripts import ALL, with_source
from pannier_sidecar.stores.redis.settings import read_settings


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("redis", [("redis", 6379)]),
        ("redis:1", [("redis", 1)]),
        (" a:1 , b ", [("a", 1), ("b", 6379)]),
        ("::1", [("::1", 6379)]),
        ("[::1]", [("::1", 6379)]),
        ("[::1]:7000", [("::1", 7000)]),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, addresses: list[tuple[str, int]]) -> None:
    assert list(read_settings({"redisHost": text}).addresses) == addresses


def test_a_timeout_of_none_means_the_default_because_no_call_may_hang() -> None:
    settings = read_settings({"redisHost": "h", "readTimeout": -1.0, "dialTimeout": 0, "redisMaxRetries": -1})
    assert (settings.read_timeout, settings.dial_timeout, settings.max_retries) == (3.0, 5.0, 0)


def test_settings_keep_their_secrets_when_printed() -> None:
    secrets = {"redisPassword": "pw-1", "sentinelPassword": "pw-2", "clientKey": "pw-3", "clientCert": "c"}
    assert "pw-" not in repr(read_settings({"redisHost": "h", "enableTLS": True, **secrets}))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        (
            "ERR Error running script (call to f_0ab1): @user_script:3: @user_script: 3: "
            "-OOM command not allowed when used memory > 'maxmemory'.",
            "OOM",
        ),
        (
            "ERR Error running script (call to f_0ab1): @user_script:3: -READONLY You can't write against a read only "
            "replica.",
            "READONLY",
        ),
        ("MOVED 3999 127.0.0.1:6381", "MOVED"),
        ("ERR unknown command", "ERR"),
    ],
)
def test_the_code_of_an_error_is_found_also_inside_a_script(text: str, code: str) -> None:
    assert errors.code(text) == code


@pytest.mark.parametrize(
    "text", ["LOADING Redis is loading", "CLUSTERDOWN Hash slot not served", "NOREPLICAS Not enough"]
)
def test_transient_failures_are_unavailable(text: str) -> None:
    assert type(errors.translate(ReplyError(text))) is StoreUnavailableError


@pytest.mark.parametrize("text", ["NOAUTH x", "WRONGPASS x", "NOPERM x", "OOM x", "MISCONF x"])
def test_permanent_failures_are_refused_with_advice(text: str) -> None:
    fault = errors.translate(ReplyError(text))
    assert type(fault) is StoreRefusedError
    assert str(fault).startswith(f"Redis refused: {text.partition(' ')[0]}")
    assert "; " in str(fault)


@pytest.mark.parametrize("code", ["ERR", "WRONGPASS", "NOPERM", "HUNTER22", "-hunter22", ""])
def test_the_text_of_a_reply_is_not_shown(code: str) -> None:
    reply = f"{code} the password 'hunter22' and the 'hunter' command of HUNTER22"
    assert "hunter" not in str(errors.translate(ReplyError(reply))).lower()


def test_a_json_document_of_dapr_is_read() -> None:
    found = foreign_stored_value(b"ReJSON-RL", b'{"data":{"a":1.10},"version":5,"first-write":0}', -1, "k")
    assert found is not None
    assert (found.value, found.etag) == (b'{"a":1.10}', "5")
    with pytest.raises(StoreRefusedError, match="not state"):
        foreign_stored_value(b"ReJSON-RL", b"[1]", -1, "k")


def test_pauses_double_with_full_jitter_up_to_the_longest() -> None:
    for attempt, longest in ((1, 0.02), (2, 0.04), (5, 0.32), (50, 2.0), (10**6, 2.0)):
        drawn = [pause_before(attempt, 0.01, 2.0) for _ in range(200)]
        assert 0 <= min(drawn) < longest / 4
        assert longest / 2 < max(drawn) <= longest


def test_a_script_that_is_missing_is_sent_in_full() -> None:
    for script in ALL:
        call = pack("EVALSHA", script.sha, 1, b"\r\n$7\r\nEVALSHA\r\n", b"value")
        [command] = unpack(with_source(call))
        assert command == [b"EVAL", script.source, b"1", b"\r\n$7\r\nEVALSHA\r\n", b"value"]


def test_after_a_failover_the_other_replicas_are_expected_before_they_are_there() -> None:
    replicas = ReplicaCount(is_known=True)
    replicas.note(2, 100.0)
    replicas.after_failover(101.0)
    assert not replicas.is_valid(101.0)
    assert replicas.expected == 1
    replicas.note(0, 102.0)
    assert replicas.expected == 1
    replicas.after_failover(103.0)
    assert replicas.expected == 1, "at least one, because there was one before"
    replicas.note(0, 103.0 + MISSED_S)
    assert replicas.expected == 0, "by now those who know say that there is none"


def test_a_replica_that_is_gone_is_expected_for_a_while() -> None:
    replicas = ReplicaCount(is_known=True)
    assert not replicas.is_valid(0.0)
    replicas.note(2, 100.0)
    assert replicas.is_valid(100.0 + COUNT_VALID_S - 1)
    assert not replicas.is_valid(100.0 + COUNT_VALID_S)
    replicas.note(1, 110.0)
    assert replicas.expected == 2
    replicas.note(1, 100.0 + MISSED_S)
    assert replicas.expected == 1
    replicas.note(3, 200.0)
    assert replicas.expected == 3


def test_a_single_server_is_expected_to_have_the_replicas_that_it_had() -> None:
    replicas = ReplicaCount()
    replicas.note(2, 100.0)
    replicas.after_restart(101.0)
    assert not replicas.is_valid(101.0)
    for now in (102.0, 102.0 + MISSED_S, 102.0 + 100 * MISSED_S):
        replicas.note(0, now)
        assert replicas.expected == 2


def test_more_replicas_of_a_single_server_are_expected_for_good_once_they_have_lasted() -> None:
    replicas = ReplicaCount()
    replicas.note(1, 100.0)
    replicas.note(2, 110.0)  # one connects while the one that it replaces is still counted
    replicas.note(1, 120.0)
    assert replicas.expected == 2
    replicas.note(1, 130.0 + MISSED_S)
    assert replicas.expected == 1
    replicas.note(2, 200.0)
    replicas.note(2, 200.0 + MISSED_S)
    replicas.note(1, 200.0 + 9 * MISSED_S)
    assert replicas.expected == 2


def test_a_new_replica_does_not_make_up_for_one_that_is_gone() -> None:
    replicas = ReplicaCount()
    replicas.note(1, 100.0, frozenset({b"a"}))
    replicas.note(1, 101.0, frozenset({b"b"}))
    assert replicas.expected == 2, "the one that is gone may have been promoted"
    replicas.note(1, 101.0 + MOVED_S - 1, frozenset({b"b"}))
    assert replicas.expected == 2
    replicas.note(1, 101.0 + MOVED_S, frozenset({b"b"}))
    assert replicas.expected == 1, "it is most likely the same one at another address"
    replicas.after_failover(200.0)
    replicas.note(1, 201.0, frozenset({b"c"}))
    assert replicas.expected == 1


def test_a_replica_that_is_gone_is_missed_for_longer_if_the_server_never_had_so_few() -> None:
    replicas = ReplicaCount()
    replicas.note(2, 100.0, frozenset({b"a", b"b"}))
    for now in (101.0, 101.0 + 2 * MOVED_S, 99.0 + MISSED_S):
        replicas.note(1, now, frozenset({b"c"}))
        assert replicas.expected == 3


def test_a_replica_is_expected_for_as_long_as_others_know_of_it() -> None:
    replicas = ReplicaCount(is_known=True)
    replicas.require(2)
    replicas.note(0, 100.0)
    replicas.note(0, 100.0 + 10 * MISSED_S)
    assert replicas.expected == 2
    replicas.require(1)
    assert replicas.expected == 1


def test_a_replica_that_others_now_know_at_another_address_is_expected_only_there() -> None:
    replicas = ReplicaCount(is_known=True)
    replicas.require(1, frozenset({b"a"}))
    replicas.note(1, 100.0, frozenset({b"a"}))
    replicas.note(1, 101.0, frozenset({b"b"}))
    assert replicas.expected == 2
    replicas.require(1, frozenset({b"b"}))
    assert replicas.expected == 1


def test_keys_that_were_moved_to_a_node_without_replicas_need_none() -> None:
    before, replicas = ReplicaCount(is_known=True), ReplicaCount(is_known=True)
    before.require(2)
    replicas.after_failover(100.0, before)
    assert replicas.expected == 1
    replicas.after_move()
    assert replicas.expected == 0


@pytest.mark.parametrize(
    ("lines", "is_lacking"),
    [
        ((b"old", b"first", 500, 51), False),  # the same one, further on
        ((b"old", b"first", 99, 51), True),
        ((b"new", b"old", 500, 101), False),  # a replica that had everything when it was promoted
        ((b"new", b"old", 500, 100), True),
        ((b"new", info.NO_HISTORY, 500, -1), True),  # one that was restarted and has not followed since
        ((b"new", b"first", 500, 60), True),  # the same, and it was stopped in an orderly way
        ((b"third", b"new", 500, 200), False),  # two were promoted: it may have everything
    ],
)
def test_a_server_reports_whether_it_lacks_acknowledged_writes(
    lines: tuple[bytes, bytes, int, int], is_lacking: bool
) -> None:
    text = (
        b"# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
        b"slave0:ip=10.0.0.1,port=1,state=online,offset=100,lag=0\r\n"
        b"slave1:ip=10.0.0.2,port=1,state=online,offset=140,lag=0\r\n"
        b"master_replid:%b\r\nmaster_replid2:%b\r\nmaster_repl_offset:%d\r\nsecond_repl_offset:%d\r\n"
    )
    before = info.acknowledged(text % (b"old", b"first", 150, 51))
    now = info.history(text % lines)
    assert before == info.History(b"old", 100, b"first", 50)
    assert now is not None
    assert now.lacks(before) is is_lacking


class Clock:
    """An event loop whose time passes when the test says so."""

    def __init__(self, loop: AbstractEventLoop):
        self.create_future = loop.create_future
        self.now = 0.0
        self.timer: tuple[float, Callable[[], None]] = (0.0, lambda: None)

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.timer = (self.now, callback)

    def call_at(self, when: float, callback: Callable[[], None]) -> object:
        self.timer = (when, callback)
        return create_autospec(object)

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        return self.call_at(self.now + delay, callback)

    def run_timer(self, late_by: float = 0.0) -> None:
        when, callback = self.timer
        self.now = when + late_by
        callback()


@pytest.fixture
def clock() -> Iterator[Clock]:
    loop = new_event_loop()
    yield Clock(loop)
    loop.close()


@pytest.fixture
def connection(clock: Clock) -> Connection:
    connection = Connection(clock, "h:1", 3.0)  # type: ignore[arg-type]
    transport = create_autospec(Transport)
    transport.get_write_buffer_size.return_value = 0
    transport.abort.side_effect = lambda: connection.connection_lost(None)
    connection.connection_made(transport)
    return connection


def test_a_process_that_was_stopped_reads_the_answer_before_it_gives_up_the_server(
    clock: Clock, connection: Connection
) -> None:
    answer = connection.send(b"PING", 1)
    clock.run_timer()  # it is sent
    clock.run_timer(late_by=60.0)
    assert not answer.done()
    connection.data_received(b"+PONG\r\n")
    clock.run_timer()
    assert answer.result() == b"PONG"
    assert connection.why_ended is None


def test_a_server_that_stays_silent_is_given_up(clock: Clock, connection: Connection) -> None:
    answer = connection.send(b"PING", 1)
    clock.run_timer()
    clock.run_timer()
    clock.run_timer()
    assert clock.now < 3.2
    lost = answer.exception()
    assert isinstance(lost, ConnectionLostError)
    assert lost.timed_out
    assert lost.was_sent
