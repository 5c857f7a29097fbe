"""What an app's tests get from `pannier.testing`: a sidecar in their process, a clock, and faults to order."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from dapr.clients import DaprClient

from pannier.testing import LocalPannier

STATE = "/v1.0/state/statestore"


@pytest.fixture(scope="module")
def running() -> Iterator[LocalPannier]:
    with LocalPannier() as local:
        yield local


@pytest.fixture
def local(running: LocalPannier) -> LocalPannier:
    running.reset()
    return running


@pytest.fixture
def http(local: LocalPannier) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=local.url) as client:
        yield client


def save(http: httpx.Client, value: object, **options: object) -> int:
    return http.post(STATE, json=[{"key": "k", "value": value, **options}]).status_code


def test_values_expire_when_the_clock_is_advanced(local: LocalPannier, http: httpx.Client) -> None:
    assert save(http, 1, metadata={"ttlInSeconds": "3600"}) == 201
    local.advance(3599)
    assert http.get(f"{STATE}/k").text == "1"
    local.advance(2)
    assert http.get(f"{STATE}/k").status_code == 204


def test_nothing_happens_while_the_database_is_down(local: LocalPannier, http: httpx.Client) -> None:
    assert save(http, 1) == 201
    local.faults.is_down = True
    assert (save(http, 2), http.get(f"{STATE}/k").status_code) == (503, 503)
    local.faults.clear()
    assert http.get(f"{STATE}/k").text == "1"


def test_a_lost_answer_is_of_a_write_that_happened(local: LocalPannier, http: httpx.Client) -> None:
    local.faults.lose_answers()
    assert save(http, 1) == 500
    assert http.get(f"{STATE}/k").text == "1"
    assert save(http, 2) == 201


def test_somebody_else_writes_first(local: LocalPannier, http: httpx.Client) -> None:
    save(http, 1, metadata={"ttlInSeconds": "3600"})
    etag = http.get(f"{STATE}/k").headers["etag"]
    local.faults.lose_races()
    assert save(http, 2, etag=etag) == 409
    local.advance(3601)
    assert http.get(f"{STATE}/k").status_code == 204, "the other one has kept the expiry"


def test_calls_take_as_long_as_ordered(local: LocalPannier, http: httpx.Client) -> None:
    local.faults.delay_s = 0.2
    with pytest.raises(httpx.ReadTimeout):
        http.get(f"{STATE}/k", timeout=0.05)


def test_the_sdk_of_dapr_finds_it(local: LocalPannier, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in local.environment.items():
        monkeypatch.setenv(name, value)
    with DaprClient() as client:
        client.save_state("statestore", "k", b"1")
        assert client.get_state("statestore", "k").data == b"1"


def test_several_at_once_share_nothing(local: LocalPannier, http: httpx.Client) -> None:
    save(http, 1)
    with LocalPannier(app_id="other", store="orders") as other:
        assert httpx.get(f"{other.url}/v1.0/state/orders/k").status_code == 204
        assert httpx.get(f"{other.url}{STATE}/k").status_code == 400


TESTS_OF_AN_APP = """
import os
import httpx
import unittest
from pannier.testing import PannierTestCase

def url():
    return f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/state/statestore"

def test_one(pannier):
    assert httpx.post(url(), json=[{"key": "k", "value": 1}]).status_code == 201
    pannier.faults.is_down = True

def test_another_begins_empty(pannier):
    assert httpx.get(url() + "/k").status_code == 204

class TestCase(PannierTestCase):
    def test_one(self):
        self.assertEqual(httpx.post(url(), json=[{"key": "k", "value": 1}]).status_code, 201)

    def test_two(self):
        self.assertEqual(httpx.get(url() + "/k").status_code, 204)
"""


def test_the_fixture_and_the_test_case(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(TESTS_OF_AN_APP)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "4 passed" in run.stdout, run.stdout + run.stderr
