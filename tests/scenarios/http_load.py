"""Apps that save over HTTP without pause, and the answers that they got."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.client import HTTPException

from scenarios.http_client import HttpClient, path

WRITERS = 6
LIMIT_S = 40.0
PAUSE_S = 0.01
"""After a failure, as an app would."""


class HttpLoad:
    """Threads that save one key after another, each on its own connection."""

    def __init__(self, port: int, name: str = "load", **options: str):
        """Save keys that begin with `name`, with these `options` of an item."""
        self._port = port
        self._name = name
        self._options = options
        self._is_ending = False
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        self.answered: dict[str, int] = {}
        self.refused: list[tuple[int, str]] = []
        """Status and message of the saves that failed."""
        self.cut_off = 0
        """Saves whose connection ended before the answer."""

    def __enter__(self) -> HttpLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending = True
        for thread in self._threads:
            thread.join(LIMIT_S)

    def until_more(self, count: int) -> None:
        """Wait until this many more saves were answered."""
        reached = len(self.answered)
        until(lambda: len(self.answered) >= reached + count, f"{count} saves more; refused: {self.refused[-3:]}")

    def check(self, client: HttpClient) -> None:
        """Find every answered save."""
        keys = list(self.answered)
        for start in range(0, len(keys), 500):
            asked = keys[start : start + 500]
            entries = client.call("POST", path("statestore") + "/bulk", json.dumps({"keys": asked})).json
            assert {entry["key"]: entry.get("data") for entry in entries} == {key: self.answered[key] for key in asked}

    def _write(self, writer: int) -> None:
        client = HttpClient(self._port)
        number = 0
        while not self._is_ending:
            number += 1
            key = f"{self._name} {writer} {number}"
            body = json.dumps([{"key": key, "value": number, "options": self._options}])
            try:
                response = client.call("POST", path("statestore"), body)
            except (HTTPException, OSError):
                self.cut_off += 1
                time.sleep(PAUSE_S)
                continue
            if response.status == 201:
                self.answered[key] = number
            else:
                self.refused.append((response.status, response.json["message"]))
                time.sleep(PAUSE_S)
        client.close()


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)
