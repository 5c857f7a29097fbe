"""`state.hashicorp.consul`: state in Consul's key/value store.

    store            the Store: which requests each call makes, and what the answers mean
    feed             the changes of keys, by blocking queries and the index of the last change
    client           Consul's HTTP API
    errors           what its errors mean
    layout           how state is stored in Consul: names, flags, ETags, operations of a transaction
    settings         the component's metadata

Each knows only those below it. The API: https://developer.hashicorp.com/consul/api-docs/kv and .../txn
"""

STORES = {"state.hashicorp.consul": "ConsulStore"}
EXTRA = "consul"
PACKAGES = {"aiohttp": "aiohttp"}
