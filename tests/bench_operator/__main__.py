"""Measure the operator in a cluster of some size: `make bench-operator`.

An API server without nodes holds the objects; pods never run, and one process answers in the place of their sidecars.
It reports figures and never fails because of them. Everything shares the machine's cores, so CPU time says more
than seconds do.
"""

import argparse
import asyncio
import compileall
import sys
from contextlib import ExitStack

from bench_operator.audit import AuditLog
from bench_operator.objects import Size
from bench_operator.phases import Bench
from bench_operator.processes import Operator, installed, sidecars
from cluster.one_node import node

import pannier_crds
import pannier_operator
from pannier_operator.cluster.errors import ApiError


def main() -> None:
    options = _options().parse_args()
    for folder in (*pannier_operator.__path__, *pannier_crds.__path__):
        compileall.compile_dir(folder, quiet=2)  # as in the image; otherwise each start compiles, in more memory
    size = Size(options.namespaces, options.components, options.pods)
    try:
        with ExitStack() as stack:
            say("starting an API server without nodes")
            layout, pid = stack.enter_context(node.control_plane())
            place = installed(layout, pid)
            stack.enter_context(sidecars(place, -(-size.components // size.namespaces)))
            with Operator(place) as operator:
                bench = Bench(place, size, operator, AuditLog(layout.audit_log), say)
                asyncio.run(bench.run(options.rest))
        print(bench.report())
    except (ApiError, AssertionError, OSError) as error:
        sys.exit(f"bench-operator: {error}")


def say(words: str) -> None:
    print(f"{words} ...", file=sys.stderr, flush=True)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench-operator", description=__doc__)
    parser.add_argument("--namespaces", type=int, default=50)
    parser.add_argument("--components", type=int, default=500, help="over all namespaces (500)")
    parser.add_argument("--pods", type=int, default=2000, help="over all namespaces, five to an app (2000)")
    parser.add_argument("--rest", type=int, default=60, metavar="SECONDS", help="of watching the operator at rest (60)")
    return parser


if __name__ == "__main__":
    main()
