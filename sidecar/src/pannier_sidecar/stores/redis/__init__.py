"""`state.redis`: Redis and what speaks its protocol, as one node, behind Sentinel, or as a Cluster.

    store        the Store: which kind of Redis it is, what each call sends and what its answer means
    begun        reads and writes of one key that were begun and not awaited
    feed         changes of keys, as the servers push them
    layout       the commands, and values from their replies; state is laid out as Dapr lays it out
    listing      pages of keys by SCAN
    cluster      the servers of a Cluster, which of them has which key, and when to ask them again
    slot_map_reader    asks the nodes which of them has which slots
    slot_map     which node has which slots, if the nodes disagree
    sentinel     the Sentinels, and the primary that they name
    votes        which server is the primary, if the Sentinels disagree
    client       which server gets a call, and when the call is made again
    strong       writes that replicas have to acknowledge
    replicas     how many replicas have to acknowledge, and what they have acknowledged
    connecting   makes one connection: signs in, and checks what the server can do
    logins       signs connections in with tokens, and again before those end
    provided     what a credential provider of redis-py gives, as tokens
    provider_thread    runs such a provider, which is a user's code
    reconnecting    keeps the connection to one server while the store is open
    connection   one connection: gives each call its replies
    scripts      the writes, each one Lua script and therefore atomic
    errors       what Redis' errors mean
    info         what INFO reports about a server and its replicas
    resp         Redis' protocol: commands as bytes, replies from bytes
    settings, slots    the component's metadata; hash slots

Each knows only those below it.
"""

STORES = {"state.redis": "RedisStore"}
EXTRA = "redis"
PACKAGES = {"hiredis": "hiredis"}
