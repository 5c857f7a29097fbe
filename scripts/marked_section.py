"""A part of a page that a script writes, between two lines that mark it."""

import sys
from pathlib import Path


def replaced(page: str, start: str, end: str, text: str) -> str:
    """Return the page with `text` between the marks."""
    before, rest = page.split(start)
    return before + start + text + end + rest.split(end)[1]


def write_or_check(page: Path, start: str, end: str, text: str, advice: str) -> None:
    """Write the part; with --check on the command line only exit with `advice` if it differs."""
    written = page.read_text()
    current = replaced(written, start, end, text)
    if "--check" not in sys.argv:
        page.write_text(current)
    elif current != written:
        sys.exit(advice)
