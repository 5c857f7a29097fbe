"""`python -m pannier_sidecar` and the command `pannier`."""

from __future__ import annotations

import sys
import threading


def main() -> int:
    """Run the command line and return its exit code."""
    _prepare()
    from pannier_sidecar.cli import run_command

    return run_command()


def one_app() -> int:
    """Run one app of a run file, for the runner at the other end of standard input, and return the exit code."""
    _prepare()
    from pannier_sidecar.cli.run_file.one_app import run

    return run()


def _prepare() -> None:
    from pannier_sidecar import deferred_modules

    deferred_modules.defer()  # before anything imports the modules that it defers
    sys.excepthook = lambda _kind, error, _traceback: _report_defect(error)
    threading.excepthook = lambda what: _report_defect(what.exc_value)
    sys.unraisablehook = lambda what: _report_defect(what.exc_value)


def _report_defect(error: BaseException | None) -> None:
    """Write where a defect is, without the exception's text, which may contain a secret."""
    from pannier_sidecar.observing.logs import without_words

    if error is not None:
        sys.stderr.write(f"pannier: a defect\n{without_words(error)}\n")


if __name__ == "__main__":
    sys.exit(main())
