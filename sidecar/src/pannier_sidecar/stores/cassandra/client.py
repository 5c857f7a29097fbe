"""The driver's sessions, used from asyncio.

The driver runs its own threads. Making and ending a session block, so callers do both in a thread; answers come back
through the event loop's queue. The driver reconnects by itself to servers that were away.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import (
    ConstantReconnectionPolicy,
    DCAwareRoundRobinPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.query import tuple_factory

from .connection import BoundedConnection
from .errors import CLIENT_ERRORS
from .frames import ProtocolViolationError
from .replicas import LazyStrategy

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from cassandra.cluster import ResponseFuture, Session

    from .settings import CassandraSettings

Row = tuple[Any, ...]

MAX_CONNECT_S: Final = 4.0
"""How long a server may take to accept a connection: shorter than a component's usual initTimeout, so that the reason
is reported.
"""
RECONNECT_S: Final = 1.0

# The driver logs each of its attempts, with stack traces. What matters is in the errors that it raises.
logging.getLogger("cassandra").setLevel(logging.CRITICAL)


def connect(settings: CassandraSettings, resources: ExitStack) -> Session:
    """Return a session with all servers that can be reached.

    It blocks. Closing `resources` blocks too, and fails calls in flight. Raises the driver's errors, and
    StoreRefusedError for certificates that cannot be used.
    """
    cluster = _cluster(settings)
    resources.callback(cluster.shutdown)
    session = cluster.connect()
    session.default_fetch_size = None  # the store asks for pages itself
    return session


def learn_replicas(session: Session, keyspace: str) -> None:
    """Read how the keyspace is replicated, so that statements go to a node that has their row. Blocks.

    If the replication changes later, statements may go to another node, which forwards them.
    """
    cluster = session.cluster
    cluster.refresh_keyspace_metadata(keyspace, max_schema_agreement_wait=-1)
    if known := cluster.metadata.keyspaces.get(keyspace):
        known.replication_strategy = LazyStrategy(known.replication_strategy)


async def execute(session: Session, statement: Any, ended: Callable[[], object]) -> list[Row]:
    """Return the rows of the answer. Raises the driver's errors.

    The call goes on when its caller gives up; `ended` is called when the driver has finished it.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Row]] = loop.create_future()
    try:
        response: ResponseFuture = session.execute_async(statement)
    except BaseException:
        ended()
        raise
    response.add_callbacks(
        lambda rows: loop.call_soon_threadsafe(_settle, answer, rows, ended),
        lambda error: loop.call_soon_threadsafe(_fail, answer, error, ended),
    )
    return await answer


def _settle(answer: asyncio.Future[list[Row]], rows: object, ended: Callable[[], object]) -> None:
    ended()
    if answer.done():
        return
    if isinstance(rows, list):
        answer.set_result(rows)
    else:
        answer.set_exception(ProtocolViolationError("an answer to another request"))


def _fail(answer: asyncio.Future[list[Row]], error: Exception, ended: Callable[[], object]) -> None:
    ended()
    if not answer.done():
        is_known = isinstance(error, CLIENT_ERRORS)
        answer.set_exception(error if is_known else ProtocolViolationError(f"an answer to another request ({error!r})"))


def _cluster(settings: CassandraSettings) -> Cluster:
    patience = min(settings.timeout, MAX_CONNECT_S)
    login = PlainTextAuthProvider(settings.username, settings.password.reveal()) if settings.username else None
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy()),
        retry_policy=FallthroughRetryPolicy(),  # the driver must not repeat a write that may have happened
        row_factory=tuple_factory,
        request_timeout=settings.timeout,
    )
    return Cluster(
        [(each.host, each.port) for each in settings.hosts],
        settings.port,
        auth_provider=login,
        ssl_context=settings.encryption.context() if settings.encryption else None,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        reconnection_policy=ConstantReconnectionPolicy(RECONNECT_S, max_attempts=None),
        connect_timeout=patience,
        control_connection_timeout=patience,
        application_name="pannier",
        connection_class=BoundedConnection,
        compression=False,  # the driver does not limit the size of what it decompresses
        # A sidecar does not need the tables of the whole cluster, and a hostile server can send any number of them.
        schema_metadata_enabled=False,
        schema_event_refresh_window=-1,
    )
