"""`python -m pannier_sidecar` and the command `pannier`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    from pannier_sidecar.cli import run_command

    return run_command()


if __name__ == "__main__":
    sys.exit(main())
