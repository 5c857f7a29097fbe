"""The commands in the README and the examples work."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.pannier_process import Pannier

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
COUNTER = [sys.executable, EXAMPLES / "counter" / "app.py"]


@pytest.fixture
def pannier(tmp_path: Path) -> Iterator[Pannier]:
    running = Pannier("run", "--http-port", "0", environment={"XDG_DATA_HOME": str(tmp_path)}, folder=tmp_path)
    yield running
    running.close()


def curl_calls(page: Path) -> Iterator[tuple[str, str, str]]:
    """Method, path and body of each curl line in the section "Try it"."""
    section = page.read_text().split("## Try it")[1].split("```sh\n")[1].split("```")[0]
    words = iter([*shlex.split(section, comments=True), "curl"])
    assert next(words) == "curl"
    method, path, body = "GET", "", ""
    for word in words:
        if word == "curl":
            yield method, path, body
            method, path, body = "GET", "", ""
        elif word == "-X":
            method = next(words)
        elif word == "-d":
            body = next(words)
        elif word != "-i":
            path = word.removeprefix("localhost:3500")


def test_the_curl_lines_of_the_readme_do_what_they_should(pannier: Pannier) -> None:
    answers = [pannier.call(path, method, body) for method, path, body in curl_calls(ROOT / "README.md")]
    assert [status for status, _ in answers] == [201, 200, 200, 204, 200, 200]
    assert json.loads(answers[1][1]) == {"name": "DeathStar"}
    assert [item.get("data") for item in json.loads(answers[2][1])] == [{"name": "DeathStar"}, None]
    assert [item["data"] for item in json.loads(answers[4][1])["keys"]] == ["Tatooine"]


def test_the_api_describes_itself_to_people_and_to_programs(pannier: Pannier) -> None:
    status, page = pannier.call("/docs")
    assert (status, "/openapi.json" in page) == (200, True)
    status, document = pannier.call("/openapi.json")
    assert (status, "/v1.0/state/{store}" in json.loads(document)["paths"]) == (200, True)


def test_every_example_component_passes_the_check(subtests: pytest.Subtests) -> None:
    for folder in sorted((EXAMPLES / "components").iterdir()):
        with subtests.test(folder.name):
            check = Pannier("check", folder)
            code = check.end()
            said = check.out
            check.close()
            assert (code, "0 errors, 0 warnings" in said) == (0, True), said


def test_the_counter_goes_on_where_it_stopped(tmp_path: Path) -> None:
    assert counted(tmp_path, *COUNTER) == ["this is visit 1", "this is visit 2", "this is visit 3"]
    assert counted(tmp_path, *COUNTER, 1) == ["this is visit 4"]


def test_two_counters_at_once_lose_no_visit(tmp_path: Path) -> None:
    one = shlex.join(map(str, [*COUNTER, 100]))
    visits = counted(tmp_path, "sh", "-c", f"{one} & {one}; wait")
    assert sorted(visits) == sorted(f"this is visit {number}" for number in range(1, 201))


def test_the_run_file_runs_both_apps(tmp_path: Path) -> None:
    environment = {"XDG_DATA_HOME": str(tmp_path), "HOME": str(tmp_path)}
    runner = Pannier("run", "-f", EXAMPLES / "several-apps", environment=environment)
    code = runner.end()
    runner.close()
    assert code == 0, runner.err
    for app_id, visits in (("morning", 2), ("evening", 3)):
        assert f"== APP - {app_id} == this is visit {visits}\n" in runner.out


def counted(folder: Path, *command: object) -> list[str]:
    """What the app prints, run once beside a sidecar that keeps its data in `folder`."""
    environment = {"XDG_DATA_HOME": str(folder)}
    pannier = Pannier("run", "--http-port", "0", "--app-id", "counter", "--", *command, environment=environment)
    code = pannier.end()
    lines = [line.partition("== APP == ")[2] for line in pannier.out.splitlines() if "== APP == " in line]
    pannier.close()
    assert code == 0, pannier.err
    return lines
