"""Counts visits, and loses none even if several copies run at once.

Reads the count with its ETag and writes it back on the condition that nobody else wrote in between (409: read again).
    pannier run --app-id counter -- python examples/counter/app.py
"""

import json
import os
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

STORE = f"http://127.0.0.1:{os.environ.get('DAPR_HTTP_PORT', '3500')}/v1.0/state/statestore"
KEY = "visits"


def read() -> tuple[int, str | None]:
    """Return the count and its ETag; no ETag before the first visit."""
    with urlopen(f"{STORE}/{KEY}") as answer:
        if answer.status == 204:
            return 0, None
        return json.load(answer), answer.headers["ETag"]


def write(count: int, etag: str | None) -> bool:
    """Save the count; False if somebody else wrote first. Without an ETag, first-write means: create only."""
    item = {"key": KEY, "value": count, "options": {"concurrency": "first-write"}}
    if etag is not None:
        item["etag"] = etag
    headers = {"Content-Type": "application/json"}
    try:
        urlopen(Request(STORE, json.dumps([item]).encode(), headers, method="POST")).close()
    except HTTPError as error:
        if error.code == 409:
            return False
        raise
    return True


def visit() -> int:
    """Add one visit; return which one it was."""
    while True:
        count, etag = read()
        if write(count + 1, etag):
            return count + 1


if __name__ == "__main__":
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        sys.stdout.write(f"this is visit {visit()}\n")  # in one piece: a second copy may be writing too
        sys.stdout.flush()
