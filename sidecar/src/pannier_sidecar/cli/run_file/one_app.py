"""The process of one app of a run file: does for it what `pannier run` does, and ends if the runner is killed."""

from __future__ import annotations

import sys

from pannier_sidecar.cli.parsing import UsageError
from pannier_sidecar.cli.runner_link import RunnerLink
from pannier_sidecar.settings import read_environment


def run() -> int:
    """Return the exit code: the app's, 1 if something did not start."""
    link = RunnerLink.from_standard_input()
    order = link.order()
    if order is None:
        return 1
    from pannier_sidecar.cli.run import run_one

    try:
        return run_one(order.arguments, read_environment(), order.launch, link)
    except UsageError as error:
        print(f"pannier: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
