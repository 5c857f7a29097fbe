"""`state.memcached`: memcached, one server or several that share the keys as Dapr's client shares them.

    store        the Store: what each call sends and what its answer means
    begun        calls that were begun and not awaited
    layout       the meta commands, and values from their answers; items are plain, as Dapr writes them
    client       keeps the connection to one server while the store is open
    connecting   makes one connection: signs in, and checks what the server can do
    connection   one connection: gives each call its reply
    protocol     parses the replies of memcached's text protocol
    errors       what a lost connection and error lines mean
    settings     the component's metadata

Each knows only those below it. Only memcached's meta commands (version 1.6.10 and later) can delete by ETag and return
when an item expires: https://docs.memcached.org/protocols/meta/
"""

STORES = {"state.memcached": "MemcachedStore"}
