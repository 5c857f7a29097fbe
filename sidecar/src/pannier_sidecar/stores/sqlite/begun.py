"""Reads that were begun and not awaited; the worker gives them the outcome of their job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pannier_sidecar.state.store import Completion, raised

if TYPE_CHECKING:
    from pannier_sidecar.state.errors import StoreError


class Begun(Struct, gc=False):
    """A read that was handed to the thread."""

    completion: Completion[Any]
    has_ended: bool = False

    def done(self) -> bool:
        return self.has_ended

    def set_result(self, result: Any) -> None:
        self.has_ended = True
        self.completion.complete(result)

    def set_exception(self, error: StoreError) -> None:
        self.has_ended = True
        self.completion.resume(raised(error))
