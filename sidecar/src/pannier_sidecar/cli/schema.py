"""`pannier schema`: the JSON Schema of components, for editors and pipelines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pannier_crds.json_schema import component_schema
from pannier_sidecar.cli.parsing import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_schema(arguments: Sequence[str]) -> int:
    """Print the schema in one line, and return 0. Raises UsageError."""
    if arguments:
        raise UsageError("schema takes no arguments: write pannier schema > component.schema.json")
    print(json.dumps(component_schema(), separators=(",", ":"), ensure_ascii=False))
    return 0
