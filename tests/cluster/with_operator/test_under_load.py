"""An app that calls without a pause sees no failed call, neither when it starts or stops nor when a password or an
encryption key changes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

import pytest
from cluster.manifests import deployment
from cluster.release import example, get_one, until

if TYPE_CHECKING:
    from cluster.user import User

NEWLINE = "\r\n"
PASSWORDS = ("change-me", "changed-since")
CALLS = """
import itertools, json, signal, socket, time, urllib.request as web
url = "http://127.0.0.1:3500/v1.0/state/statestore"

def tell(*words):  # to Redis itself: it must be known also when the API has gone
    for password in ("change-me", "changed-since"):
        with socket.create_connection(("redis", 6379)) as redis:
            redis.sendall(f"AUTH {password}\\r\\n".encode())
            if redis.recv(100).startswith(b"+OK"):
                redis.sendall((" ".join(words) + "\\r\\n").encode())
                return redis.recv(1000)

def call(number):
    try:
        body = json.dumps([{"key": "k", "value": number}]).encode()
        web.urlopen(web.Request(url, body, {"content-type": "application/json"}), timeout=10).close()
        web.urlopen(url + "/k", timeout=10).close()
    except OSError as error:
        said = str(error) + (error.read().decode() if hasattr(error, "read") else "")
        tell("RPUSH", "failures", "_".join(f"{time.time():.1f} {said}".split()))

ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(time.monotonic()))
for number in itertools.count():
    call(number)
    if number % 20 == 0:
        tell("INCRBY", "calls", "20")
    if ending and time.monotonic() - ending[0] > 1.5:  # as an app that still has work to do
        break
    time.sleep(0.02)
"""
OLD_KEY = "1f" * 32
NEW_KEY = "2e" * 32
ENCRYPTED = (
    example("component.yaml")
    + """    - name: encryptionReadsUnencrypted
      value: "true"
    - name: primaryEncryptionKey
      secretKeyRef:
        name: state-keys
        key: primary
    - name: decryptionKeys
      secretKeyRef:
        name: state-keys
        key: others
"""
)


@pytest.fixture
def calling(user: User) -> User:
    user.apply(example("redis.yaml"), example("component.yaml"))
    user.deployed("redis")
    user.apply(deployment("caller", CALLS, replicas=2))
    user.deployed("caller")
    user.is_ready()
    until(lambda: calls(user) > 100, "it calls")
    return user


def test_a_rolling_restart_fails_no_call(calling: User) -> None:
    for _ in range(2):
        calling.kubectl("rollout", "restart", "deployment/caller")
        calling.deployed("caller")
    before = calls(calling)
    until(lambda: calls(calling) > before + 100, "the new pods call")

    assert failures(calling) == "*0"


def test_a_rotated_secret_fails_no_call(calling: User) -> None:
    assert ask_redis(calling, f"CONFIG SET requirepass {PASSWORDS[1]}") == "+OK"
    data = {"data": {"password": base64.b64encode(PASSWORDS[1].encode()).decode()}}
    calling.kubectl("patch", "secret", "redis", "--type=merge", "-p", json.dumps(data))
    until(lambda: is_delivered(calling, PASSWORDS[1]), "the app's Secret holds the new password")
    until(lambda: calling.has_taken_over("caller"), "both sidecars use it")
    ask_redis(calling, "CLIENT KILL TYPE normal SKIPME yes")  # the old password would not be accepted again
    before = calls(calling)
    until(lambda: calls(calling) > before + 100, "it calls on with the new password")

    assert failures(calling) == "*0"


def test_rotated_encryption_keys_fail_no_call(calling: User) -> None:
    """As docs/encryption.md says: first every sidecar can open what the new key seals, then it seals."""
    calling.apply(keys_of_state(OLD_KEY, NEW_KEY), ENCRYPTED)
    until(lambda: calling.has_taken_over("caller"), "both sidecars have the keys")
    until(lambda: seals_with(calling, OLD_KEY), "the value is encrypted")
    calling.apply(keys_of_state(NEW_KEY, OLD_KEY))
    until(lambda: is_delivered(calling, f'"{NEW_KEY}"'), "the app's Secret holds the new primary key")
    until(lambda: calling.has_taken_over("caller"), "both sidecars have exchanged the keys")
    until(lambda: seals_with(calling, NEW_KEY), "the new key seals")
    before = calls(calling)
    until(lambda: calls(calling) > before + 100, "it calls on")

    assert failures(calling) == "*0"


def keys_of_state(primary: str, other: str) -> str:
    secret = {"primary": primary, "others": f"{other}\n"}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "state-keys"}, "stringData": secret})


def seals_with(user: User, key: str) -> bool:
    """Return whether the value in Redis begins as this key's values do: a mark, and the key's identifier."""
    begins = b"\0pannier\x01" + hmac.digest(bytes.fromhex(key), b"pannier key id 1", "sha256")[:8]
    script = "return redis.sha1hex(string.sub(redis.call('HGET', 'caller||k', 'data'), 1, 17))"
    return hashlib.sha1(begins).hexdigest() in ask_redis(user, f'EVAL "{script}" 0')


def is_delivered(user: User, text: str) -> bool:
    secret = get_one(user.cluster, "secret", user.namespace, "caller-pannier")
    return text in base64.b64decode(secret["data"]["_kubernetes-secrets"]).decode()


def calls(user: User) -> int:
    answer = ask_redis(user, "INCRBY calls 0")
    return int(answer[1:]) if answer.startswith(":") else 0


def failures(user: User) -> str:
    return ask_redis(user, "LRANGE failures 0 -1")


def ask_redis(user: User, command: str) -> str:
    """Return Redis' answer to a command. Of the two passwords, the one that Redis accepts is used."""
    code = f"""
import socket
for password in {PASSWORDS!r}:
    with socket.create_connection(("redis", 6379)) as redis:
        redis.sendall(f"AUTH {{password}}\\r\\n".encode())
        if redis.recv(100).startswith(b"+OK"):
            redis.sendall({f"{command}{NEWLINE}"!r}.encode())
            print(redis.recv(10000).decode().strip())
            break
"""
    pod = user.pod("caller")["metadata"]["name"]
    return user.kubectl("exec", pod, "-c", "app", "--", "python", "-c", code).strip()
