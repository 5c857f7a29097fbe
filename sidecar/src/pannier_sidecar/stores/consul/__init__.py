"""`state.hashicorp.consul`: state in Consul's key/value store.

    store      the Store: what each call asks and what the answer means
    remains    removes what has expired: Consul keeps it for ever
    agent      Consul's HTTP API
    faults     what its errors mean
    entries    how state lies in Consul: names, flags, ETags, operations of a transaction
    settings   the component's metadata

Each knows only those below it. The API: https://developer.hashicorp.com/consul/api-docs/kv and .../txn
"""

from .store import ConsulStore

__all__ = ["ConsulStore"]
