"""Log lines: one line each, plain or JSON, with the level asked for."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from pannier_sidecar.observing import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("pannier_sidecar")
    before = (root.handlers[:], root.level, own.level, logging.raiseExceptions)
    yield
    root.handlers[:], level, own_level, logging.raiseExceptions = before
    root.setLevel(level)
    own.setLevel(own_level)


def written(level: str = "info", *, as_json: bool = False) -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(level, as_json=as_json, app_id="shop", instance="pod-1", version="1.2.3", stream=stream)
    return stream


def test_a_plain_line_has_time_level_and_message():
    stream = written()
    logging.getLogger("pannier_sidecar.app").warning("store %s is not ready", "orders")
    time, level, *message = stream.getvalue().split()
    assert time.endswith("Z") and len(time) == len("2026-11-23T07:30:00.123Z")
    assert (level, " ".join(message)) == ("warning", "store orders is not ready")


def test_a_json_line_has_daprs_fields():
    stream = written(as_json=True)
    logging.getLogger("pannier_sidecar.loading.supervisor").info("a\nb")
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "app_id": "shop",
        "instance": "pod-1",
        "level": "info",
        "msg": "a\nb",
        "scope": "pannier.loading.supervisor",
        "type": "log",
        "ver": "1.2.3",
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_text_of_a_client_cannot_begin_a_new_line(as_json):
    stream = written(as_json=as_json)
    logging.getLogger("pannier_sidecar").info("key %s", "a\n2026-11-23 forged\x1b[2J")
    assert stream.getvalue().count("\n") == 1 and "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(("level", "heard"), [("debug", "diwe"), ("info", "iwe"), ("warn", "we"), ("error", "e")])
def test_only_what_is_grave_enough_is_written(level, heard):
    stream = written(level)
    log = logging.getLogger("pannier_sidecar.app")
    log.debug("d"), log.info("i"), log.warning("w"), log.error("e")
    assert "".join(line.split()[-1] for line in stream.getvalue().splitlines()) == heard


@pytest.mark.parametrize("level", ["debug", "info"])
def test_libraries_log_from_warning_upwards(level):
    stream = written(level)
    logging.getLogger("some.library").info("chatter %d", 1)
    logging.getLogger("some.library").warning("trouble %d", 1)
    assert "chatter" not in stream.getvalue() and "some.library" in stream.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
def test_the_arguments_of_a_librarys_message_are_not_written(as_json):
    stream = written(as_json=as_json)
    logging.getLogger("driver").error("no way to %s", "postgresql://u:hunter22@host")
    logging.getLogger("driver").error("no way to postgresql://u:hunter22@host")
    logging.getLogger("pannier_sidecars.not.ours").error("no way to hunter22")
    assert "driver (test_log_lines.py:" in stream.getvalue() and "no way to %s" in stream.getvalue()
    assert "hunter22" not in stream.getvalue()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_defect_is_logged_with_its_traceback_but_no_texts_of_exceptions(as_json):
    stream = written(as_json=as_json)
    password = "hunter22"
    try:
        try:
            int(password)
        except ValueError as error:
            error.add_note(f"the password was {password}")
            raise RuntimeError(f"{password} is no number") from error
    except RuntimeError:
        logging.getLogger("pannier_sidecar").exception("it broke")
    logged = stream.getvalue()
    assert "RuntimeError" in logged and "ValueError" in logged and "test_log_lines.py" in logged
    assert "hunter22" not in logged


def test_exceptions_of_a_group_are_logged_without_their_texts():
    stream = written()
    try:
        raise ExceptionGroup("several", [ValueError("hunter" + "22"), OSError("hunter" + "22")])
    except ExceptionGroup:
        logging.getLogger("pannier_sidecar").exception("it broke")
    assert "ExceptionGroup" in stream.getvalue() and "OSError" in stream.getvalue()
    assert "hunter22" not in stream.getvalue()


def test_a_defect_is_logged_even_if_the_module_that_formats_it_cannot_be_loaded(monkeypatch):
    def cannot_be_loaded(_trace):
        raise ImportError("No module named 'traceback'")

    monkeypatch.setattr("traceback.format_tb", cannot_be_loaded)
    stream = written()
    try:
        raise ValueError("secret")
    except ValueError:
        logging.getLogger("pannier_sidecar.app").exception("a defect")
    assert "test_log_lines.py" in stream.getvalue() and "ValueError" in stream.getvalue()
    assert "secret" not in stream.getvalue()
