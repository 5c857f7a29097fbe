"""Which primary counts if Sentinels do not agree."""

from typing import Any

import pytest
from hiredis import ReplyError

from pannier_sidecar.stores.redis import info
from pannier_sidecar.stores.redis.settings import Address
from pannier_sidecar.stores.redis.votes import Report, Verdict, judge, report_from

OLD, NEW = Address("old", 1), Address("new", 2)


def report(sentinel: str, primary: Address, epoch: int, sentinels: int = 3) -> Report:
    return Report(sentinel, primary, epoch, sentinels, replicas=2)


def test_the_highest_epoch_is_believed_even_of_a_single_node() -> None:
    verdict = judge([report("a", OLD, 1), report("b", OLD, 1), report("c", NEW, 2)], None)
    assert verdict is not None
    assert (verdict.primary, verdict.epoch, verdict.has_majority) == (NEW, 2, True)


def test_the_topology_is_not_forgotten_if_only_the_cut_off_node_can_be_asked() -> None:
    before = judge([report("c", NEW, 2)], None)
    verdict = judge([report("a", OLD, 1)], before)
    assert verdict is not None
    assert (verdict.primary, verdict.has_majority, verdict.replicas) == (NEW, False, 2)
    verdict = judge([], before)
    assert verdict is not None
    assert (verdict.primary, verdict.answering, verdict.sentinels) == (NEW, 0, 3)


def test_a_majority_that_agrees_on_a_lower_epoch_is_a_new_setup() -> None:
    before = Verdict(NEW, 7, 3, 3, 2, 2)
    verdict = judge([report("a", OLD, 0), report("b", OLD, 0)], before)
    assert verdict is not None
    assert (verdict.primary, verdict.epoch) == (OLD, 0)


def test_a_sentinel_known_under_two_addresses_has_one_vote() -> None:
    verdict = judge([report("a", OLD, 1), report("a", OLD, 1)], None)
    assert verdict is not None
    assert (verdict.answering, verdict.has_majority) == (1, False)


def test_no_sentinel_has_answered_yet() -> None:
    assert judge([], None) is None


def replica(flags: bytes, runid: bytes) -> list[bytes]:
    return [b"flags", flags, b"runid", runid]


@pytest.mark.parametrize(
    ("replicas", "expected", "reachable"),
    [
        ([], 0, 0),
        ([replica(b"slave", b"x"), replica(b"slave", b"y")], 2, 2),
        ([replica(b"slave", b"x"), replica(b"s_down,slave,disconnected", b"y")], 2, 1),
        ([replica(b"slave", b"x"), replica(b"slave,disconnected", b"")], 1, 1),
        ([replica(b"slave,disconnected", b"")], 1, 0),
        ([replica(b"slave", b"x"), [*replica(b"slave", b"y"), b"role-reported", b"master"]], 1, 2),
        (ReplyError("NOPERM"), 2, 2),
    ],
)
def test_replicas_that_are_down_are_expected_but_not_the_former_primary(
    replicas: Any, expected: int, reachable: int
) -> None:
    fields = {b"config-epoch": b"3", b"num-slaves": b"2", b"num-other-sentinels": b"2"}
    others = [[b"ip", b"10.0.0.1", b"port", b"26379"], {b"ip": b"10.0.0.2", b"port": b"26379"}]
    found = report_from("a", [b"h", b"1"], fields, replicas, others)
    assert (found.epoch, found.sentinels, found.replicas, found.reachable) == (3, 3, expected, reachable)
    assert found.others == (Address("10.0.0.1", 26379), Address("10.0.0.2", 26379))


def test_a_sentinel_that_reports_only_the_address_is_believed() -> None:
    refused = ReplyError("NOPERM")
    assert report_from("a", [b"h", b"1"], refused, refused, refused) == Report("a", Address("h", 1))


def test_replicas_that_are_online_and_report_their_offset_follow() -> None:
    reply = b"role:master\r\nconnected_slaves:3\r\n"
    reply += b"slave0:ip=1,port=1,state=online,offset=1,lag=0\r\n"
    reply += b"slave1:ip=1,port=2,state=online,offset=1,lag=9\r\n"
    reply += b"slave2:ip=1,port=3,state=wait_bgsave,offset=0,lag=0\r\n"
    assert (info.connected(reply), info.online_replicas(reply)) == (3, 1)
    assert info.online_replicas(b"connected_slaves:2\r\n") == 2
    assert info.online_replicas(ReplyError("NOPERM")) is None
