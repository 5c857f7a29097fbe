"""Apps that work through sidecars that may be killed at any moment, and the outcome of each request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from typing import Any

from servers.processes import wait_until

DONE, UNKNOWN, REFUSED, CONFLICT = "done", "unknown", "refused", "conflict"
PATIENCE_S = 30.0
PAUSE_S = 0.01
UNSEEN = "not seen"
KEYS = 8
"""Number of items in one bulk save, and in one transaction of an actor."""
STAKE = 1000
STORE = "/v1.0/state/statestore"


class Client:
    """One connection to a sidecar, made again when it ends."""

    def __init__(self, port: int):
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[str, int, bytes, str]:
        """Return the outcome, the status (0: no answer), the body and the ETag."""
        content = None if body is None else json.dumps(body)
        try:
            self._connection.request(
                method, path, content, {name.replace("_", "-"): text for name, text in headers.items()}
            )
            answer = self._connection.getresponse()
            found = answer.read()
        except (HTTPException, OSError) as error:
            self._connection.close()
            time.sleep(PAUSE_S)
            return REFUSED if isinstance(error, ConnectionRefusedError) else UNKNOWN, 0, b"", ""
        return _outcome(answer.status, found), answer.status, found, answer.headers.get("ETag", "")

    def close(self) -> None:
        self._connection.close()


def _outcome(status: int, body: bytes) -> str:
    if status < 300:
        return DONE
    if status == 409:
        return CONFLICT
    assert status >= 500, body
    return REFUSED if status == 503 else UNKNOWN


@dataclass
class Register:
    """The values that one client writes over and over, under several keys at once."""

    paths: Sequence[str]
    is_atomic: bool
    acknowledged: int | None = None
    unknown: set[int] = field(default_factory=set)


class AppHistory:
    """Threads that work through each of the sidecars at `ports`."""

    def __init__(self, ports: Sequence[int], *, transactional: bool, metadata: Mapping[str, str]):
        """`metadata` is sent with every call, and places the keys of one transaction together."""
        self._ports = ports
        self._transactional = transactional
        self._metadata = dict(metadata)
        self._query = "".join(
            f"{'&' if n else '?'}metadata.{name}={text}" for n, (name, text) in enumerate(metadata.items())
        )
        self._registers: list[Register] = []
        self._threads: list[threading.Thread] = []
        self._is_ending = False
        self._lock = threading.Lock()
        self._counted = self._perhaps_counted = 0
        self.violations: list[str] = []
        self.outcomes = {DONE: 0, UNKNOWN: 0, REFUSED: 0, CONFLICT: 0}

    @property
    def counts(self) -> str:
        done, unknown, refused = (f"{self.outcomes[kind]:,}" for kind in (DONE, UNKNOWN, REFUSED))
        return (
            f"{done} requests acknowledged, {unknown} unknown, {refused} refused; none lost, none twice, none in part"
        )

    def __enter__(self) -> AppHistory:
        client = Client(self._ports[0])
        for key, number in (("counter", 0), ("left", STAKE), ("right", STAKE)):
            assert client.call("POST", STORE, [self._item(key, number)])[0] == DONE
        client.close()
        for place, port in enumerate(self._ports):
            workers: list[Callable[[Client, str], None]] = [self._save_bulks, self._count, self._create_and_delete]
            if self._transactional:
                workers += [self._transact_actor, self._transfer]
            for worker in workers:
                thread = threading.Thread(target=self._run, args=(worker, port, str(place)), daemon=True)
                self._threads.append(thread)
                thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending = True
        for thread in self._threads:
            thread.join(2 * PATIENCE_S)
            assert not thread.is_alive()

    def goes_on(self, number: int) -> None:
        """Wait until this many more requests have been acknowledged."""
        enough = self.outcomes[DONE] + number
        wait_until(lambda: self.outcomes[DONE] > enough or self.violations, "requests are answered")

    def check(self) -> None:
        """Compare the stored values with the answers to clients."""
        client = Client(self._ports[0])
        for register in self._registers:
            found = [self._number(client, path) for path in register.paths]
            allowed = {register.acknowledged, *register.unknown}
            if not set(found) <= allowed:
                self.violations.append(
                    f"{register.paths[0]}: {register.acknowledged} was acknowledged, {found} is there"
                )
            if register.is_atomic and len(set(found)) > 1:
                self.violations.append(f"{register.paths[0]}: a transaction was carried out in part: {found}")
        counter = self._number(client, self._path("counter"))
        if counter is None or not self._counted <= counter <= self._counted + self._perhaps_counted:
            text = f"counter: {self._counted} acknowledged, {self._perhaps_counted} unknown, {counter} is there"
            self.violations.append(text)
        sides = [self._number(client, self._path(key)) for key in ("left", "right")]
        if sum(side or 0 for side in sides) != 2 * STAKE:
            self.violations.append(f"sum: {sides}")
        client.close()
        assert not self.violations, "\n".join(self.violations)

    # --- workers --------------------------------------------------------------------------------------------------

    def _run(self, worker: Callable[[Client, str], None], port: int, name: str) -> None:
        client = Client(port)
        try:
            worker(client, name)
        except Exception as error:  # a thread's own failure must not pass unnoticed
            self.violations.append(f"{worker.__name__}: {error!r}")
        client.close()

    def _save_bulks(self, client: Client, name: str) -> None:
        keys = [f"bulk-{name}-{number}" for number in range(KEYS)]
        register = Register([self._path(key) for key in keys], is_atomic=False)
        self._write(register, lambda n: client.call("POST", STORE, [self._item(key, n) for key in keys])[0])

    def _transact_actor(self, client: Client, name: str) -> None:
        path = f"/v1.0/actors/account/{name}/state"
        keys = [f"k{number}" for number in range(KEYS)]
        register = Register([f"{path}/{key}" for key in keys], is_atomic=True)

        def write(number: int) -> str:
            steps = [{"operation": "upsert", "request": {"key": key, "value": number}} for key in keys]
            return client.call("POST", path, steps)[0]

        self._write(register, write)

    def _write(self, register: Register, write: Callable[[int], str]) -> None:
        self._registers.append(register)
        for number in count(1):
            if self._is_ending:
                return
            outcome = self._noted(write(number))
            if outcome == DONE:
                register.acknowledged = number
            elif outcome == UNKNOWN:
                register.unknown.add(number)

    def _count(self, client: Client, _: str) -> None:
        while not self._is_ending:
            read, _status, body, etag = client.call("GET", self._path("counter"))
            if read != DONE:
                continue
            item = self._item("counter", json.loads(body) + 1, etag)
            outcome = self._noted(client.call("POST", STORE, [item])[0])
            with self._lock:
                self._counted += outcome == DONE
                self._perhaps_counted += outcome == UNKNOWN

    def _create_and_delete(self, client: Client, name: str) -> None:
        """Hold a key that others want too, and give it up by its ETag; while it is held, no other client gets it."""
        path = self._path("held")
        for number in count():
            if self._is_ending:
                return
            mine = f"{name}-{number}"
            created = self._noted(client.call("POST", STORE, [self._item("held", mine, first=True)])[0])
            if created not in (DONE, UNKNOWN):
                continue
            found, etag = self._seen(client, path)
            if created == DONE and found not in (mine, UNSEEN):
                self.violations.append(f"held: {mine} was created, {found} is there")
            while found == mine and not self._is_ending:
                deleted = self._noted(client.call("DELETE", path, If_Match=etag)[0])
                if deleted == CONFLICT:
                    self.violations.append(f"held: {mine} could not be deleted by its ETag")
                found, etag = self._seen(client, path)
                if deleted == DONE and found == mine:
                    self.violations.append(f"held: {mine} was deleted, and is there")

    def _transfer(self, client: Client, _: str) -> None:
        """Move one from the left to the right, in one transaction on the ETags of both."""
        while not self._is_ending:
            found = [client.call("GET", self._path(key)) for key in ("left", "right")]
            if any(answer[0] != DONE for answer in found):
                continue
            (left, left_etag), (right, right_etag) = ((json.loads(answer[2]), answer[3]) for answer in found)
            items = [self._item("left", left - 1, left_etag), self._item("right", right + 1, right_etag)]
            steps = [{"operation": "upsert", "request": item} for item in items]
            body = {"operations": steps, "metadata": self._metadata}
            self._noted(client.call("POST", f"{STORE}/transaction", body)[0])

    # --- details --------------------------------------------------------------------------------------------------

    def _noted(self, outcome: str) -> str:
        with self._lock:
            self.outcomes[outcome] += 1
        return outcome

    def _item(self, key: str, value: object, etag: str = "", *, first: bool = False) -> dict[str, Any]:
        item: dict[str, Any] = {"key": key, "value": value, "metadata": self._metadata}
        if etag:
            item["etag"] = etag
        if etag or first:
            item["options"] = {"concurrency": "first-write"}
        return item

    def _path(self, key: str) -> str:
        return f"{STORE}/{key}{self._query}"

    def _seen(self, client: Client, path: str) -> tuple[str | None, str]:
        """Read until there is an answer, or the run ends."""
        while not self._is_ending:
            outcome, _, body, etag = client.call("GET", path)
            if outcome == DONE:
                return (json.loads(body) if body else None), etag
        return UNSEEN, ""

    def _number(self, client: Client, path: str) -> int | None:
        answers: list[bytes] = []

        def answered() -> bool:
            outcome, _, body, _ = client.call("GET", path)
            answers[:] = [body]
            return outcome == DONE

        wait_until(answered, f"{path} is read")
        return json.loads(answers[0]) if answers[0] else None
