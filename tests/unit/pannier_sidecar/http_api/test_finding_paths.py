"""Which operation a method and a path name, without a socket."""

import pytest
from unit.tables import each_row

from pannier_sidecar.http_api.paths import MAX_PREFIXES, PathTree, paths_of, tidied, unquote
from pannier_sidecar.http_api.profiles import SPEC
from pannier_sidecar.state.errors import MalformedRequestError

TREE = PathTree(paths_of(SPEC))


def found(method: str, path: str, tree: PathTree = TREE) -> tuple[str, list[str | None]] | None:
    answer = tree.find(method.encode(), path.encode("latin-1"))
    return answer and (answer[0].operation, answer[1])


@each_row(
    ("method", "path", "operation", "texts"),
    [
        ("GET", "/v1.0/state/s/k", "get", ["s", "k"]),
        ("GET", "/v1.0/state/k", "get", [None, "k"]),
        ("GET", "/v1.0/state/s/bulk", "get", ["s", "bulk"]),
        ("GET", "/v1.0/state/bulk", "get", [None, "bulk"]),
        ("DELETE", "/v1.0/state/s/transaction", "delete", ["s", "transaction"]),
        ("POST", "/v1.0/state", "save", [None]),
        ("PUT", "/v1.0/state/s", "save", ["s"]),
        ("POST", "/v1.0/state/s/bulk", "bulk_get", ["s"]),
        ("POST", "/v1.0/state/bulk", "bulk_get", [None]),
        ("POST", "/v1.0/state/bulk/bulk", "bulk_get", ["bulk"]),
        ("POST", "/v1.0/state/transaction/transaction", "transact", ["transaction"]),
        ("GET", "/v1.0/state//k", "get", ["", "k"]),
        ("GET", "/v1.0/state/s/", "get", ["s", ""]),
        ("GET", "/v1.0/state/s/a%2Fb%20c", "get", ["s", "a/b c"]),
        ("GET", "/v1.0/state/%73/k+k", "get", ["s", "k+k"]),
        ("GET", "/v1.0-alpha1/state/s/keys", "keys", ["s"]),
        ("GET", "/v1.0-alpha1/state/keys", "keys", [None]),
        ("POST", "/v1.0-alpha1/state/s/bulk-delete", "bulk_delete", ["s"]),
        ("DELETE", "/v1.0-alpha1/state/s/keys", "delete_keys", ["s"]),
        ("POST", "/v1.0-alpha1/state/s/increment", "increment", ["s"]),
        ("POST", "/v1.0-alpha1/state/get-and-set", "get_and_set", [None]),
        ("GET", "/v1.0-alpha1/state/exists", "exists", [None]),
        ("POST", "/v1.0-alpha1/state/s/batch", "batch", ["s"]),
        ("DELETE", "/v1.0-alpha1/actors/t/i/state", "delete_actor_state", ["t", "i"]),
        ("DELETE", "/v1.0-alpha1/actors/t//state", "delete_actor_state", ["t", ""]),
        ("GET", "/v1.0/actors/t/i/state/k", "get_actor_state", ["t", "i", "k"]),
        ("PUT", "/v1.0/actors/t/state/state", "transact_actor_state", ["t", "state"]),
        ("PUT", "/v1.0/metadata/x", "set_metadata", ["x"]),
    ],
)
def test_a_path_names_an_operation_and_what_it_works_on(
    method: str, path: str, operation: str, texts: list[str | None]
) -> None:
    assert found(method, path) == (operation, texts)


@each_row(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "*"),
        ("GET", "v1.0/state/s/k"),
        ("GET", "x/v1.0/state/s/k"),
        ("GET", "/v1.0"),
        ("GET", "/v1.0/state"),
        ("GET", "/v1.0/state/s/a/b"),
        ("POST", "/v1.0/state/s/k"),
        ("PATCH", "/v1.0/state/s"),
        ("GET", "/v1.0/actors/t/i/state"),
        ("GET", "/" * 10_000),
    ],
)
def test_an_unknown_path_of_the_api_is_not_found(method: str, path: str) -> None:
    assert found(method, path) is None


def test_every_path_of_the_table_is_found() -> None:
    for path in paths_of(SPEC):
        for method in path.methods:
            asked = path.template.replace("{", "<").replace("}", ">")
            names = [segment for segment in asked.split("/") if segment.startswith("<")]
            assert found(method, asked) == (path.operation, [None] * path.is_for_default_store + names)


def test_the_methods_of_a_path_are_reported() -> None:
    assert TREE.methods(b"/v1.0/state/s/k") == ["DELETE", "GET"]
    assert TREE.methods(b"/v1.0/state/s/bulk") == ["DELETE", "GET", "POST", "PUT"]
    assert TREE.methods(b"/nowhere") == []


def test_remembered_paths_are_bounded_and_stay_right() -> None:
    tree = PathTree(paths_of(SPEC))
    for number in range(3 * MAX_PREFIXES):
        assert found("GET", f"/v1.0/actors/t/{number}/state/k", tree) == ("get_actor_state", ["t", str(number), "k"])
        assert len(tree._places) <= MAX_PREFIXES
    assert found("GET", f"/v1.0/state/{'s' * 5000}/k", tree) == ("get", ["s" * 5000, "k"])
    assert max(len(beginning) for _, beginning in tree._places) < 1000


def test_texts_found_belong_to_the_caller_alone() -> None:
    for _ in range(2):
        answer = found("GET", "/v1.0/state/s/k")
        assert answer == ("get", ["s", "k"])
        answer[1].append("mine")


def test_a_plus_is_a_space_if_the_profile_says_so() -> None:
    tree = PathTree(paths_of(SPEC), plus_is_space=True)
    assert found("GET", "/v1.0/state/a+b/c+d%2B", tree) == ("get", ["a b", "c d+"])


@pytest.mark.parametrize("segment", [b"%", b"%2", b"%zz", b"%C3", b"%ff", b"a%", b"\xff"])
def test_bad_escapes_are_reported(segment: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="failed to unescape request parameter"):
        unquote(segment, plus_is_space=False)


@each_row(
    ("sent", "tidy"),
    [
        (b"/v1.0/state/s/k", b"/v1.0/state/s/k"),
        (b"//v1.0//state/s/k", b"/v1.0/state/s/k"),
        (b"/v1.0/state/s/", b"/v1.0/state/s"),
        (b"/v1.0/./state/x/../s/k", b"/v1.0/state/s/k"),
        (b"/../../v1.0", b"/v1.0"),
        (b"/v1.0/state/s/.hidden", b"/v1.0/state/s/.hidden"),
        (b"/v1.0/state/s/a%2F%2Fb", b"/v1.0/state/s/a%2F%2Fb"),
        (b"/", b"/"),
        (b"", b""),
    ],
)
def test_a_path_is_tidied(sent: bytes, tidy: bytes) -> None:
    assert tidied(sent) == tidy
