"""A sidecar under load while the password of its Redis is rotated in a secret store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from servers.pannier_process import Pannier
from servers.processes import wait_until
from servers.redis_server import single

OLD, NEW = "s3cret-canary-old", "s3cret-canary-new"
_STORE = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: orders}}
spec:
  type: state.redis
  version: v1
  metadata:
  - {{name: redisHost, value: "{host}"}}
  - {{name: redisUsername, value: shop}}
  - {{name: redisPassword, secretKeyRef: {{name: redis, key: {key}}}}}
auth: {{secretStore: {secret_store}}}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: plain}}
spec: {{type: state.in-memory, version: v1}}
"""


def store(host: str, secret_store: str, key: str = "password") -> str:
    """Return the components of a Redis whose password is `key` of the secret `redis`, and of one without secrets."""
    return _STORE.format(host=host, secret_store=secret_store, key=key)


@contextmanager
def rotated(
    folder: Path,
    serve: Callable[..., Pannier],
    secret_store: str,
    put: Callable[[str], None],
    key: str = "password",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Pannier]:
    """Serve a Redis with the password OLD, rotate it to NEW while calls are made, none of which fails.

    `folder` has the component called `secret_store`; `put` writes the password there, under `key`. What runs at the
    end uses NEW, and never wrote either into its output.
    """
    with single(folder.parent / "redis") as redis, redis.client() as admin:
        admin.execute_command("ACL", "SETUSER", "shop", "on", f">{OLD}", f">{NEW}", "~*", "+@all")
        put(OLD)
        (folder / "store.yaml").write_text(store(redis.address, secret_store, key))
        pannier = serve("--profile", "dapr", **({"environment": environment} if environment else {}))
        assert pannier.call("/v1.0/state/orders", "POST", '[{"key": "k", "value": 1}]')[0] == 204
        statuses: list[int] = []
        is_over = threading.Event()

        def load() -> None:
            while not is_over.is_set():
                statuses.append(pannier.call("/v1.0/state/orders/k")[0])

        loading = threading.Thread(target=load)
        loading.start()
        try:
            put(NEW)
            pannier.until(lambda: pannier.out.count("store orders (state.redis/v1) is ready") == 2, "it is open again")
            wait_until(lambda: len(admin.client_list(_type="normal")) == 2, "the first store is closed")
            admin.execute_command("ACL", "SETUSER", "shop", f"<{OLD}")
        finally:
            is_over.set()
            loading.join()
        assert set(statuses) == {200}
        yield pannier
        pannier.process.terminate()
        pannier.end()
        assert "s3cret-canary" not in pannier.out + pannier.err


@contextmanager
def serving(folder: Path) -> Iterator[Callable[..., Pannier]]:
    """Yield a function that starts a sidecar with the components of a folder; all are ended at the end."""
    started = []

    def start(*more: str, environment: Mapping[str, str] | None = None) -> Pannier:
        flags = [
            "--app-id",
            "shop",
            "--resources-path",
            folder,
            "--dapr-http-port",
            "0",
            "--dapr-grpc-port",
            "0",
            "--metrics-port",
            "0",
        ]
        started.append(Pannier("serve", *flags, "--log-level", "debug", *more, environment=environment))
        return started[-1]

    yield start
    for pannier in started:
        pannier.close()
