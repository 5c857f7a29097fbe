"""`pannier state`: each action through a running sidecar, and what is printed when there is none."""

from __future__ import annotations

import io
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from servers.free_ports import free_port
from servers.pannier_process import Pannier

from pannier_sidecar.cli import run_command, state

TOKEN = "token-of-the-sidecar"
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    place = {"XDG_DATA_HOME": str(tmp_path_factory.mktemp("state")), "DAPR_API_TOKEN": TOKEN}
    pannier = Pannier("run", "--http-port", "0", environment=place)
    yield pannier.port()
    pannier.close()


@pytest.fixture
def run(port: int, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run `pannier state WORDS`; return the exit code and what is printed, on one line or the other."""

    def call(*words: str, **environment: str) -> tuple[int, str]:
        given = {"DAPR_HTTP_PORT": str(port), "DAPR_API_TOKEN": TOKEN, **environment}
        code = run_command(["state", *words], given)
        out, err = capfdbinary.readouterr()
        return code, (err if code else out).decode()

    return call


@contextmanager
def closing_port() -> Iterator[int]:
    """The port of a server that reads requests, and closes their connections without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_each_action_prints_its_result(run: Run) -> None:
    for words, printed in (
        (("save", "weapon/ä", '{"name": "DeathStar"}'), ""),
        (("get", "weapon/ä"), '{"name": "DeathStar"}'),
        (("list",), "weapon/ä\n"),
        (("list", "none"), ""),
        (("delete", "weapon/ä"), ""),
        (("increment", "n"), "1\n"),
        (("increment", "n", "--by", "-5", "--floor", "-4"), "-4\n"),
        (("increment", "m", "--initial=7", "--ceiling", "9223372036854775807"), "8\n"),
        (("append", "l", "1", '"two"', "--max-length", "2"), "2\n"),
        (("append", "l", "[3]", "--max-length", "2"), "2\n"),
        (("get-and-set", "l", "true"), '["two",[3]]'),
        (("get-and-set", "new", "1"), ""),
        (("touch", "l", "--ttl", "1000"), ""),
        (("increment", "once", "--idempotency-key", "a"), "1\n"),
        (("increment", "once", "--idempotency-key", "a"), "1\n"),
        (("save", "once", "7", "--idempotency-key", "b"), ""),
        (("delete", "once", "--idempotency-key", "c"), ""),
        (("save", "once", "7", "--idempotency-key", "b"), ""),
        (("exists", "l", "--store", "statestore"), "true\n"),
        (("save", "--", "n", "-5"), ""),
        (("get", "n"), "-5"),
    ):
        assert run(*words) == (0, printed), words
    assert run("exists", "once") == (1, "")


def test_json_has_the_etag_which_a_change_can_depend_on(run: Run) -> None:
    run("save", "e", "1", "--ttl", "1000")
    shown = json.loads(run("get", "e", "--output", "json")[1])
    assert (shown["key"], shown["value"], shown["ttlExpireTime"][-1]) == ("e", 1, "Z")
    assert run("save", "e", "2", "--etag", shown["etag"]) == (0, "")
    for words in (("save", "e", "3"), ("delete", "e"), ("increment", "e", "--ttl", "-1")):
        code, message = run(*words, "--etag", shown["etag"])
        assert (code, message.count("\n")) == (1, 1)
        assert message.startswith("pannier: ")
        assert "(ERR_STATE_" in message
    assert json.loads(run("get", "e", "-o", "json")[1])["value"] == 2


def test_a_value_comes_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO('"ü"'.encode())))
    assert run("save", "in", "-") == (0, "")
    assert run("get", "in") == (0, '"ü"')


def test_every_page_of_keys_is_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "PAGE", "2")
    keys = [f"page{number}" for number in range(4)]
    for key in [*keys, "page\nodd"]:
        run("save", key, "1")
    code, printed = run("list", "page")
    assert (code, sorted(printed.splitlines())) == (0, ['"page\\nodd"', *keys])


def test_wrong_words_are_refused_in_one_line(run: Run) -> None:
    for words, line in (
        ((), "write pannier state get, save, delete, list, increment, append, get-and-set, touch, exists or watch"),
        (
            ("fetch", "k"),
            "write pannier state get, save, delete, list, increment, append, get-and-set, touch, exists or watch",
        ),
        (("get",), "write pannier state get KEY"),
        (("list", "a", "b"), "write pannier state list [PREFIX]"),
        (("append", "k"), "write pannier state append KEY VALUE ..."),
        (
            ("save", "k", "DeathStar"),
            "the value is not JSON; write a text in double quotes within single ones: '\"text\"'",
        ),
        (("get", "k", "--by", "1"), "--by has no effect on 'pannier state get'; leave it out"),
        (("touch", "k"), "touch needs --ttl: write the seconds from now, or -1 for never"),
        (("increment", "k", "--by", "one"), "--by: 'one' can't be used; write a whole number"),
        (
            ("get", os.fsdecode(b"\xff")),
            "an argument is not UTF-8; give a value that is not text on standard input, as -",
        ),
    ):
        assert run(*words) == (2, f"pannier: {line}\n"), words
    assert run("get", "k", DAPR_HTTP_PORT="x") == (
        2,
        "pannier: DAPR_HTTP_PORT in the environment can't be used; write a port from 1 to 65535, or 0 for a free one\n",
    )


def test_failures_are_one_line_without_the_token(run: Run) -> None:
    assert run("get", "nothing") == (1, "pannier: there is no key 'nothing'\n")
    assert run("touch", "nothing", "--ttl", "9") == (1, "pannier: there is no key 'nothing'\n")
    wants = "pannier: the sidecar wants its API token: set DAPR_API_TOKEN in the environment\n"
    assert run("get", "k", DAPR_API_TOKEN="") == (1, wants)
    assert run("get", "k", DAPR_API_TOKEN="another") == (1, wants)
    assert run("get", "k", DAPR_API_TOKEN="sec\nret") == (
        1,
        "pannier: the dapr-api-token has characters that no header can have\n",
    )
    unused = free_port()
    assert run("get", "k", "--http-port", str(unused)) == (
        1,
        f"pannier: no sidecar answers at 127.0.0.1:{unused}; start one with 'pannier run', or pass its --http-port\n",
    )
    code, message = run("save", "k", "1", "--store", "none")
    assert code == 1
    assert message.endswith("(ERR_STATE_STORE_NOT_FOUND)\n")


def test_a_lost_answer_to_a_change_is_told_as_such(run: Run) -> None:
    with closing_port() as closing:
        lost = f"pannier: the answer of the sidecar at 127.0.0.1:{closing} was lost"
        assert run("get", "k", "--http-port", str(closing)) == (1, f"{lost}\n")
        expected = f"{lost}; it may have been done: look before you repeat it\n"
        assert run("increment", "k", "--http-port", str(closing)) == (1, expected)
