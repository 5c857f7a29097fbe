"""Which version of Kubernetes the API server runs."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from pannier_operator.cluster.errors import ApiError

if TYPE_CHECKING:
    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.objects.kinds import ServerVersion

logger = logging.getLogger(__name__)

_RETRY: Final = 2.0


async def read_server_version(api: ClusterApi) -> tuple[int, int]:
    """Return the API server's version, such as (1, 35), once it can be read."""
    while True:
        try:
            return parse_server_version(await api.server_info())
        except (ApiError, ValueError) as error:
            logger.warning("The API server's version cannot be read: %s", error)
            await asyncio.sleep(_RETRY)


def parse_server_version(info: ServerVersion) -> tuple[int, int]:
    """Return the version in an answer to GET /version; some clouds write `29+`. Raises ValueError."""
    try:
        return int(str(info["major"]).rstrip("+")), int(str(info["minor"]).rstrip("+"))
    except (KeyError, ValueError) as error:
        raise ValueError(f"no version of Kubernetes: {info!r}") from error
