"""Calls to DynamoDB: each ends within the timeout, and is repeated where that is safe.

The client's own retries are off: they would repeat a write whose answer was lost. A write with a condition would then
fail because of its own first attempt, and one without would undo what others wrote in between.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from pannier_sidecar.clouds.aws import open_client
from pannier_sidecar.clouds.aws_answers import CLIENT_ERRORS, NotUnderstoodError
from pannier_sidecar.network.connections import Connections, TooManyConnectionsError
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreUnavailableError, unanswered

from . import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AsyncExitStack

    from .layout import Layout
    from .settings import DynamoDBSettings

PAUSES_S: Final = (0.05, 0.2, 0.8)
"""Seconds before each further attempt, shortened at random by up to half, so that calls that collided do not do so
again.
"""


class Client:
    """An open client, and the table that it uses."""

    def __init__(self, settings: DynamoDBSettings, layout: Layout):
        self._settings = settings
        self._layout = layout
        self._where = settings.where
        self._client: Any = None
        self._connections = Connections(settings.max_connections, settings.timeout)

    async def open(self, resources: AsyncExitStack) -> None:
        """Make the client, which lives until `resources` are closed; nothing is sent yet. Raises StoreRefusedError."""
        settings = self._settings
        self._connections = Connections(settings.max_connections, settings.timeout)  # none that were closed before
        resources.callback(self._connections.close)
        try:
            self._client = await open_client(
                "dynamodb", settings.profile, self._connections, settings.timeout, resources
            )
            resources.callback(self._forget)
        except (*CLIENT_ERRORS, ValueError) as error:
            raise errors.translate(error, self._where, is_write=False, layout=self._layout) from error

    async def read(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Make a call that changes nothing. Raises a StoreError."""
        return await self._in_time(operation, arguments, is_write=False, is_repeatable=True)

    async def write(self, operation: str, *, has_token: bool = False, **arguments: Any) -> dict[str, Any]:
        """Make a call that writes.

        If its answer is lost, only a call with a token is sent again, because DynamoDB recognizes the repetition by it.
        Raises ConditionNotMetError if a condition did not hold, and a StoreError for all else.
        """
        return await self._in_time(operation, arguments, is_write=True, is_repeatable=has_token)

    def _forget(self) -> None:
        self._client = None

    async def _in_time(
        self, operation: str, arguments: dict[str, Any], *, is_write: bool, is_repeatable: bool
    ) -> dict[str, Any]:
        state = _CallState()
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._attempts(operation, arguments, is_repeatable, state)
        except TimeoutError as error:
            what = f"{self._where} did not answer within {self._settings.timeout:g} s"
            raise unanswered(what, may_have_changed=is_write and state.may_have_been_done) from error
        except CLIENT_ERRORS as error:
            translated = errors.translate(error, self._where, is_write=is_write, layout=self._layout)
            if is_write and state.may_have_been_done and not isinstance(translated, OutcomeUnknownError):
                raise OutcomeUnknownError(f"{translated}; an earlier attempt was not answered") from error
            raise translated from error

    async def _attempts(
        self, operation: str, arguments: dict[str, Any], is_repeatable: bool, state: _CallState
    ) -> dict[str, Any]:
        for pause in (*pauses(), None):
            try:
                async with self._connections:
                    state.is_in_flight = True
                    return await self._once(operation, arguments)
            except TooManyConnectionsError as error:
                raise StoreUnavailableError(f"{self._where}: {error}") from error
            except CLIENT_ERRORS as error:
                state.is_in_flight = False
                is_lost = errors.may_have_been_done(error)
                state.is_lost = state.is_lost or is_lost
                may_be_repeated = is_repeatable and is_lost and not isinstance(error, NotUnderstoodError)
                if pause is None or not (errors.has_done_nothing(error) or may_be_repeated):
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if self._client is None:
            raise StoreUnavailableError("the DynamoDB store is not open, or closed")
        try:
            answer: dict[str, Any] = await getattr(self._client, operation)(**arguments)
        except ClientError as error:
            unmet = errors.unmet_condition(error)
            if unmet is not None:
                raise unmet from error
            raise
        return answer


@dataclass(slots=True)
class _CallState:
    """Whether a call may have been carried out, by one of several attempts."""

    is_in_flight: bool = False
    is_lost: bool = False
    """Whether an attempt was not answered."""

    @property
    def may_have_been_done(self) -> bool:
        return self.is_in_flight or self.is_lost


def pauses() -> Iterator[float]:
    """Yield the pause in seconds before each further attempt."""
    for pause in PAUSES_S:
        yield random.uniform(pause / 2, pause)
