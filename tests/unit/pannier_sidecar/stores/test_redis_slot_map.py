"""If the nodes of a Cluster disagree on who has a slot, the claim with the highest epoch decides."""

from hiredis import ReplyError

from pannier_sidecar.stores.redis.settings import Address
from pannier_sidecar.stores.redis.slot_map import (
    Claim,
    View,
    has_slots,
    merged,
    not_queried,
    own_slots,
    uncalled,
    view_from,
)

A, B, C = Address("a", 1), Address("b", 1), Address("c", 1)


def view(queried: Address, *claims: Claim, members: str = "abc", serves: bool = True) -> View:
    return View(queried, queried.host, serves, frozenset(members), claims, {})


def claim(node: Address, epoch: int, first: int = 0, last: int = 99) -> Claim:
    return Claim(epoch, first, last, node.host, node)


def owner(slot: int, *views: View) -> str:
    found = merged(views)
    return [each.node for each in found.claims if each.first <= slot <= each.last][-1]


def test_of_two_nodes_that_claim_a_slot_the_one_with_the_higher_epoch_has_it() -> None:
    cut_off = view(A, claim(A, 1), claim(B, 2, 100, 199), serves=False)
    others = view(B, claim(C, 7), claim(B, 2, 100, 199))
    for views in ((cut_off, others), (others, cut_off)):
        assert owner(50, *views) == "c"
        assert owner(150, *views) == "b"
        assert merged(views).serves
        assert merged(views).failing == {"a"}


def test_a_slot_that_moved_is_at_the_node_with_the_higher_epoch() -> None:
    assert owner(5, view(A, claim(A, 1)), view(B, claim(B, 9, 5, 5), claim(A, 1, 0, 4))) == "b"


def test_a_node_of_another_cluster_counts_for_nothing() -> None:
    other = view(C, claim(C, 99), members="c")
    ours = (view(A, claim(A, 1), members="ab"), view(B, claim(A, 1), members="ab"))
    assert owner(5, other, *ours) == "a"


def test_a_node_that_does_not_know_that_it_was_removed_counts_for_nothing() -> None:
    removed = view(C, claim(C, 1), members="abc")
    ours = (view(A, claim(A, 5), members="ab"), view(B, claim(A, 5), members="ab"))
    assert merged((removed, *ours)).claims == (claim(A, 5),)


def test_between_two_clusters_the_one_used_before_stays_in_use() -> None:
    views = (view(C, claim(C, 9), members="c"), view(A, claim(A, 1), members="a"))
    assert merged(views, frozenset("a")).claims == (claim(A, 1),)
    assert merged(views).claims == (claim(C, 9),)


def test_no_node_serves_if_all_say_so() -> None:
    assert not merged((view(A, claim(A, 1), serves=False),)).serves


def test_answers_are_read() -> None:
    nodes = (
        b"n1 10.0.0.1:7000@17000 myself,master - 0 0 3 connected 0-99 [100->-n2]\n"
        b"n2 10.0.0.2:7000@17000,host2 master - 0 1 4 connected 100-199\n"
        b"n3 10.0.0.3:7000@17000 slave,fail n2 0 1 4 disconnected\n"
        b"\n"
    )
    slots = [[0, 99, [b"", 7000, b"n1"]], [100, 199, [b"10.0.0.2", 7000, b"n2"]], [200, 299, [b"?", 7000, b"n4"]]]
    found = view_from(Address("asked", 7000), b"cluster_state:ok\r\n", nodes, slots)
    assert (found.node, found.serves, found.members) == ("n1", True, {"n1", "n2", "n3"})
    assert found.claims[0] == Claim(3, 0, 99, "n1", Address("asked", 7000))
    assert found.claims[2].address is None
    assert found.replicas["n2"] == 1
    assert not_queried([found], [Address("asked", 7000)]) == [Address("10.0.0.2", 7000)]


def test_without_permission_for_more_the_slots_are_believed() -> None:
    refused = ReplyError("NOPERM")
    found = view_from(A, refused, refused, [[0, 16383, [b"b", 1]]])
    assert merged([found]).claims == (Claim(0, 0, 16383, "b:1", B),)
    assert found.serves


def nodes(*lines: str) -> bytes:
    """Return an answer to CLUSTER NODES, from lines of an id, a place, flags and perhaps slots."""
    return "".join(
        " ".join((node, place, flags, "-", "0", "0", "1", "connected", *slots)) + "\n"
        for node, place, flags, *slots in (line.split() for line in lines)
    ).encode()


def test_all_nodes_that_may_take_writes_must_be_called() -> None:
    a, b = "a 1.1.1.1:1@2 master 0-99", "b 1.1.1.2:1@2 master"
    of_a, of_b = nodes(a.replace("master", "myself,master"), b), nodes(a, b.replace("master", "myself,master"))
    assert uncalled([of_a, of_b]) is None
    assert own_slots([of_a, of_b]) == {("a", "0-99"), ("b", "")}
    assert "joined" in str(uncalled([of_a]))  # b may be given slots at any time
    assert "replica" in str(uncalled([of_a, nodes(a, "b 1.1.1.2:1@2 myself,slave")]))
    assert "which it is" in str(uncalled([of_a, b"-"]))


def test_nodes_that_take_no_writes_need_not_be_called() -> None:
    mine = "a 1.1.1.1:1@2 myself,master 0-99"
    for other in (
        "b :0@0 master,noaddr",
        "b 1.1.1.2:1@2 handshake",
        "b 1.1.1.2:1@2 master,fail",
        "b 1.1.1.2:1@2 slave",
    ):
        assert uncalled([nodes(mine, other)]) is None, other
    assert uncalled([nodes(mine, "b 1.1.1.2:1@2 master,fail 100-199")]) is not None  # it may only be cut off


def test_primaries_without_slots_are_found_by_name_or_address() -> None:
    report = nodes(
        "a :7@17 myself,master", "b [::1]:6379@16379 master", "c 10.0.0.1:1@2,c.example master", "d x:1@2 slave"
    )
    found = view_from(Address("asked", 9), b"", report, [])
    assert found.spare == {Address("asked", 7), Address("::1", 6379), Address("c.example", 1)}
    assert merged([found]).spare == found.spare


def test_a_node_says_which_slots_it_has() -> None:
    report = (
        b"id1 h:1@2 myself,master - 0 0 3 connected 0-99 150 200-300 [120->-id2]\n"
        b"id2 h:2@3 master - 0 0 4 connected 100-149 151-199 301-16383\n"
    )
    assert has_slots(report, 0, 99)
    assert has_slots(report, 150, 150)
    assert not has_slots(report, 0, 100)
    assert not has_slots(report, 120, 120)
    assert has_slots(ReplyError("NOPERM"), 0, 99), "one that may not say so is believed as before"
