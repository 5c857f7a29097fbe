"""Make many changes while databases, sidecars and connections fail, and check that a watcher misses none.

make watch-check ARGS="--store redis --changes 1000000"
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from watch_check.places import PLACES
from watch_check.run import RATE, Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="watch-check", description=__doc__)
    parser.add_argument("--store", choices=PLACES, action="append", help="where (all)")
    parser.add_argument("--changes", type=int, default=1_000_000, help="in each place (%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="how often something goes wrong, or not (%(default)s)")
    parser.add_argument("--writers", type=int, default=4)
    asked = parser.parse_args()
    is_right = True
    for name in asked.store or PLACES:
        print(f"{name}:", flush=True)
        with tempfile.TemporaryDirectory(prefix="pannier-watch-") as folder:
            outcome = asyncio.run(
                run(
                    Path(folder),
                    name,
                    asked.changes,
                    asked.rounds,
                    asked.writers,
                    say=lambda line: print(line, flush=True),
                )
            )
        report(outcome)
        is_right = is_right and not outcome.wrong
    return 0 if is_right else 1


def report(outcome: Outcome) -> None:
    print(f"  {outcome.written:,} changes were answered, {outcome.failed:,} requests failed and were made again")
    print(
        f"  {outcome.events:,} events on {outcome.connections} connections, {outcome.without_value:,} without a value"
    )
    for reason, count in sorted(outcome.resets.items()):
        print(f"  {count} times told that something was missed: {reason}")
    print(
        f"  lag from the request of a write to its event, of {len(outcome.lags_ms):,} changes at {RATE} a second: "
        f"p50 {outcome.lag_ms(0.5):.1f} ms, p99 {outcome.lag_ms(0.99):.1f} ms"
    )
    for line in outcome.wrong:
        print(f"  WRONG: {line}")
    print(
        "  none missed without being told, none out of order" if not outcome.wrong else "  NOT AS PROMISED", flush=True
    )


if __name__ == "__main__":
    sys.exit(main())
