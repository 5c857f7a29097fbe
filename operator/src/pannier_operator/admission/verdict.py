"""The answer to an admission request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Errors refuse the request; warnings are shown by kubectl. Each is one line without line breaks."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_admitted(self) -> bool:
        return not self.errors

    @property
    def refusal(self) -> str:
        """All errors as one text, which kubectl prints after "denied the request: "."""
        if len(self.errors) < 2:
            return "".join(self.errors)
        return "\n".join((f"{len(self.errors)} problems", *(f"- {line}" for line in self.errors)))
