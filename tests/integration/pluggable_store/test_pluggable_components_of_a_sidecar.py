"""A sidecar over real processes that serve components: they start late, die, are broken, or do not exist."""

import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from servers.component_files import component
from servers.pannier_process import Pannier, call
from servers.pluggable_server import PROGRAM, TYPE, Ledger
from servers.scripted_component import BULK_GET, DELETE, GET, SET, TRANSACT, of_kit, scripted

from pannier_crds.pluggable import SOCKETS_FOLDER_VARIABLE

Serve = Callable[..., Pannier]
SAVED = (200, 201, 204)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "components"
    folder.mkdir()
    return folder


@pytest.fixture
def serve(folder: Path, tmp_path: Path) -> Iterator[Serve]:
    """Serve the folder; sockets are in `tmp_path/sockets`, unless the environment is given."""
    sidecars: list[Pannier] = []

    def start(*flags: object, **environment: str) -> Pannier:
        ports = ("--http-port", 0, "--grpc-port", 0, "--enable-metrics=false")
        environment = environment or {SOCKETS_FOLDER_VARIABLE: str(tmp_path / "sockets")}
        arguments = ("serve", "--app-id", "shop", "--components", folder, *ports, *flags)
        sidecars.append(Pannier(*arguments, environment=environment))
        return sidecars[-1]

    yield start
    for sidecar in sidecars:
        sidecar.close()


def write(folder: Path, name: str, kind: str = TYPE, **settings: Any) -> None:
    (folder / f"{name}.yaml").write_text(component(name, kind, settings))


def save(sidecar: Pannier, store: str, value: str = "1") -> tuple[int, str]:
    body = json.dumps([{"key": "k", "value": value}])
    return call(f"http://127.0.0.1:{sidecar.port()}/v1.0/state/{store}", "POST", body)


def is_saved(sidecar: Pannier, store: str) -> Callable[[], bool]:
    return lambda: save(sidecar, store)[0] in SAVED


def described(sidecar: Pannier, store: str) -> dict[str, Any]:
    components = json.loads(sidecar.call("/v1.0/metadata")[1])["components"]
    return next(each for each in components if each["name"] == store)


def test_a_component_that_starts_after_the_sidecar_is_served(folder: Path, tmp_path: Path, serve: Serve) -> None:
    write(folder, "late", file=str(tmp_path / "late.db"))
    write(folder, "memory", "state.in-memory")
    sidecar = serve()
    assert save(sidecar, "memory")[0] in SAVED
    status, said = save(sidecar, "late")
    assert status == 503 and "the pluggable component state.ledger has no socket in" in said
    with Ledger(tmp_path / "ledger", tmp_path / "sockets"):
        sidecar.until(is_saved(sidecar, "late"), "a save")
        capabilities = described(sidecar, "late")["capabilities"]
        assert {"ETAG", "TRANSACTIONAL", "TTL", "ACTOR"} <= set(capabilities)


def test_it_may_die_and_come_back(folder: Path, tmp_path: Path, serve: Serve) -> None:
    write(folder, "one", file=str(tmp_path / "one.db"))
    write(folder, "two", file=str(tmp_path / "two.db"))
    with Ledger(tmp_path / "ledger", tmp_path / "sockets") as ledger:
        sidecar = serve()
        sidecar.until(is_saved(sidecar, "one"), "a save")
        sidecar.until(is_saved(sidecar, "two"), "a save")
        ledger.kill()
        status, said = save(sidecar, "one", "2")
        assert status in (503, 500) and ("ERR_STATE_SAVE" in said or "ERR_STATE_OUTCOME_UNKNOWN" in said)
        sidecar.until(lambda: save(sidecar, "one")[0] == 503, "an answer at once")
        ledger.start()
        for store in ("one", "two"):
            sidecar.until(lambda store=store: sidecar.call(f"/v1.0/state/{store}/k") == (200, '"1"'), store)
            assert save(sidecar, store, store)[0] in SAVED
            assert sidecar.call(f"/v1.0/state/{store}/k") == (200, f'"{store}"')


def test_a_broken_one_does_not_stop_the_others(folder: Path, tmp_path: Path, serve: Serve) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    with closing(socket.socket(socket.AF_UNIX)) as broken:  # it accepts connections and says nothing
        broken.bind(str(sockets / "broken.sock"))
        broken.listen()
        write(folder, "broken", "state.broken")
        write(folder, "sound", file=str(tmp_path / "sound.db"))
        with Ledger(tmp_path / "ledger", sockets):
            sidecar = serve()
            sidecar.until(is_saved(sidecar, "sound"), "a save")
            status, said = save(sidecar, "broken")
            assert status == 503 and "is not ready" in said


def test_without_a_folder_for_sockets_an_unknown_type_is_refused_until_its_socket_is_there(
    folder: Path, tmp_path: Path, serve: Serve
) -> None:
    """The folder is the default one, which the test does not make: it stands for it by a type that looks misspelt."""
    sockets = tmp_path / "sockets"
    write(folder, "near", "state.redi")
    sidecar = serve(**{SOCKETS_FOLDER_VARIABLE: str(sockets)})
    status, said = save(sidecar, "near")
    assert status == 400 and "there is no component type 'state.redi'; write 'state.redis'" in said
    with scripted(tmp_path, {SET: b""}):
        (sockets / "scripted.sock").rename(sockets / "redi.sock")
        sidecar.until(is_saved(sidecar, "near"), "a save")


def test_an_error_of_the_kit_reaches_the_client(folder: Path, tmp_path: Path, serve: Serve) -> None:
    import grpc

    full = of_kit(grpc.StatusCode.RESOURCE_EXHAUSTED, "the quota is used up", http_code="507", tag="ERR_QUOTA")
    write(folder, "scripted", "state.scripted")
    with scripted(tmp_path, {SET: full}):
        sidecar = serve()
        sidecar.until(lambda: described(sidecar, "scripted").get("capabilities"), "the store")
        status, said = save(sidecar, "scripted")
        assert status == 507
        assert json.loads(said)["errorCode"] == "ERR_QUOTA"
        assert "the pluggable component state.scripted says: the quota is used up" in said


def test_profile_dapr_passes_errors_of_the_kit_on_as_daprd_does(
    folder: Path, tmp_path: Path, serve: Serve, subtests: pytest.Subtests
) -> None:
    """One of the statuses has no name, and one of the codes is none that Pannier gives itself."""
    from grpc import StatusCode
    from servers.grpc_calls import outcome
    from servers.grpc_protos import DAPR

    write(folder, "s", "state.scripted")
    errors = {
        GET: of_kit(StatusCode.DATA_LOSS, "g", http_code="512", tag="tag"),
        SET: of_kit(StatusCode.CANCELLED, "s", http_code="429"),
        DELETE: of_kit(StatusCode.OUT_OF_RANGE, "d", http_code="511", tag="tag"),
        BULK_GET: of_kit(StatusCode.ALREADY_EXISTS, "b", http_code="507", tag="tag"),
        TRANSACT: of_kit(StatusCode.ABORTED, "t", http_code="409", tag="tag"),
    }
    failed, transaction = "api error: code =", "error while executing state transaction"
    item, saved = {"key": "k", "value": 1}, {"key": "k", "value": b"1"}
    over_http: list[tuple[str, str, Any, int, str, str]] = [
        ("GET", "/k", None, 512, "GET", f"fail to get k from state store s: {failed} DataLoss desc = g"),
        ("POST", "", [item], 429, "SAVE", f"failed saving state in state store s: {failed} Canceled desc = s"),
        ("DELETE", "/k", None, 511, "DELETE", f"failed deleting state with key k: {failed} OutOfRange desc = d"),
        ("POST", "/bulk", {"keys": ["k"]}, 507, "BULK_GET", f"{failed} AlreadyExists desc = b"),
        (
            "POST",
            "/transaction",
            {"operations": [{"operation": "upsert", "request": item}]},
            500,
            "TRANSACTION",
            f"{transaction}: {failed} Aborted desc = t",
        ),
    ]
    over_grpc: list[tuple[str, dict[str, Any], StatusCode, str]] = [
        ("GetState", {"store_name": "s", "key": "k"}, StatusCode.DATA_LOSS, "g"),
        ("SaveState", {"store_name": "s", "states": [saved]}, StatusCode.CANCELLED, "s"),
        ("DeleteState", {"store_name": "s", "key": "k"}, StatusCode.OUT_OF_RANGE, "d"),
        ("GetBulkState", {"store_name": "s", "keys": ["k"]}, StatusCode.ALREADY_EXISTS, "b"),
        (
            "ExecuteStateTransaction",
            {"storeName": "s", "operations": [{"operationType": "upsert", "request": saved}]},
            StatusCode.INTERNAL,
            f"{transaction}: {failed} Aborted desc = t",
        ),
    ]
    with scripted(tmp_path, errors):
        sidecar = serve("--profile", "dapr")
        sidecar.until(lambda: described(sidecar, "s").get("capabilities"), "the store")
        for method, path, body, status, name, message in over_http:
            with subtests.test(f"{method} {path}"):
                url = f"http://127.0.0.1:{sidecar.port()}/v1.0/state/s{path}"
                answer = call(url, method, json.dumps(body) if body else "")
                assert answer[0] == status
                assert json.loads(answer[1]) == {"errorCode": f"ERR_STATE_{name}", "message": message}
        for name, fields, code, said in over_grpc:
            with subtests.test(name):
                assert outcome(sidecar.grpc_port(), DAPR, name, **fields) == (code, said)


def test_actors_need_what_it_claims(folder: Path, tmp_path: Path, serve: Serve) -> None:
    from servers.scripted_component import FEATURES, features

    write(folder, "scripted", "state.scripted", actorStateStore="true")
    with scripted(tmp_path, {FEATURES: features("ETAG")}):
        sidecar = serve()
        status, said = save(sidecar, "scripted")
        assert status == 503 and "has no transactions, which actors need; remove actorStateStore" in said


def test_check_accepts_what_a_socket_may_serve(folder: Path, tmp_path: Path) -> None:
    def check(**environment: str) -> str:
        pannier = Pannier("check", folder, environment=environment)
        pannier.end()
        said = pannier.out
        pannier.close()
        return said

    write(folder, "ledger", file="x")
    elsewhere = {SOCKETS_FOLDER_VARIABLE: str(tmp_path / "sockets")}
    assert "1 component fine, 0 errors" in check(**elsewhere)
    assert "there is no component type 'state.ledger'" in check(PANNIER="no variable of sockets")
    (folder / "ledger.yaml").write_text(
        component("ledger", TYPE, {"file": "x"}).replace(
            "  name: ledger\n",
            '  name: ledger\n  annotations: {dapr.io/component-container: \'{"image": "ledger"}\'}\n',
        )
    )
    assert "1 component fine, 0 errors" in check(PANNIER="no variable of sockets")
    write(folder, "ledger", "state.rediss")
    assert "write 'state.redis'" in check(**elsewhere)


def test_the_example_runs_by_its_command(tmp_path: Path) -> None:
    """As examples/pluggable/README.md says: the component is the program that `pannier run` starts."""
    components = PROGRAM.parent / "components"
    environment = {SOCKETS_FOLDER_VARIABLE: str(tmp_path / "sockets"), "HOME": str(tmp_path)}
    ports = ("--http-port", 0, "--grpc-port", 0, "--metrics-port", 0)
    arguments = ("run", "--app-id", "shop", "--components", components, *ports, "--", sys.executable, PROGRAM)
    pannier = Pannier(*arguments, environment=environment, folder=tmp_path)
    try:
        pannier.until(is_saved(pannier, "statestore"), "a save")
    finally:
        pannier.process.terminate()
        pannier.end()
        pannier.close()
