"""`state.redis`: Redis and what speaks its protocol, as one node, behind Sentinel, or as a Cluster.

    store        the Store: which kind of Redis it is, what each call sends and what its answer means
    layout       how state lies in Redis: commands out, values in; laid out as Dapr lays it out
    listing      pages of keys by SCAN
    cluster      the servers of a Cluster: who has which key
    slot_map     whom to believe where the nodes do not agree
    sentinel     who the primary is, if Sentinels say so
    votes        whom to believe where they do not agree
    client       which server gets a call, and what happens when it cannot answer
    strong       writes that replicas have to acknowledge
    replicas     how many of them have to, and what they have
    connecting   one connection made, signed in and tried
    reconnecting    one server for as long as the store is open: connects, and when to try again
    connection   one connection: gives each call its replies
    scripts      the writes, each one Lua script and therefore atomic
    errors       what Redis' errors mean
    info         what INFO says of a server and its replicas
    resp         Redis' protocol: commands as bytes, replies from bytes
    settings, slots    the component's metadata; hash slots

Each knows only those below it.
"""

STORES = {"state.redis": "RedisStore"}
EXTRA = "redis"
PACKAGES = {"hiredis": "hiredis"}
