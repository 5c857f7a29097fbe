"""The examples of docs/python-client.md do what they say, one after the other, beside a sidecar."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from servers.pannier_process import Pannier

from pannier.client import Client

PAGE = Path(__file__).parents[2] / "docs" / "python-client.md"


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    pannier = Pannier("run", "--http-port", "0", environment={"XDG_DATA_HOME": str(tmp_path)})
    names: dict[str, object] = {"__name__": "__main__"}
    try:
        monkeypatch.setenv("DAPR_HTTP_PORT", str(pannier.port()))
        monkeypatch.delenv("DAPR_API_TOKEN", raising=False)
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
        with Client() as client:
            found = client.get_many(["weapon", "turns", "cart", "visits", "report", "locks/report"])
    finally:
        pannier.close()
    assert {key: item.value for key, item in found.items()} == {
        "weapon": {"name": "Executor"},
        "turns": [{"role": "user", "text": "hello"}],
        "cart": ["apple"],
        "visits": 1,
        "report": {"pages": 3},
    }
    assert names["orders"] == {"order/1": "open"}
    assert re.match(r"DeathStar \S+ 20\d\d-.*\n1 \{'role': 'user', 'text': 'hello'\}\n$", capsys.readouterr().out)
