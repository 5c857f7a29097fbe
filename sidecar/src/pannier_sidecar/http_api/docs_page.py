"""What the page at `/docs` shows if its interactive part, which comes from the internet, cannot be loaded."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .paths import Path

_PLACE = '<div id="swagger-ui">'


def with_table(page: str, paths: Iterable[Path]) -> str:
    """Return the page of Swagger UI with a table of the API, which Swagger UI replaces once it is loaded."""
    rows = "".join(
        f"<tr><td>{escape(', '.join(path.methods))}</td><td><code>{escape(path.template)}</code></td>"
        f"<td>{escape(path.summary)}</td></tr>"
        for path in paths
    )
    return page.replace(
        _PLACE,
        f"{_PLACE}<h1>Pannier</h1><table>{rows}</table>"
        '<p>Parameters, bodies and answers: <a href="/openapi.json">/openapi.json</a></p>',
    )
