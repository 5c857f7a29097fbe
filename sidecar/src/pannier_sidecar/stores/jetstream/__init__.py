"""`state.jetstream`: state in a key/value bucket of NATS JetStream.

    store       the Store: which requests each call makes, and what their answers mean
    feed        the changes of keys, by messages that a consumer (consumer.py) receives
    client      keeps a connection while the store is open; which calls are sent again
    connection  one connection of nats-py, with bounds on what a server may send
    layout      names, ETags, markers of deleted keys, and the form of answers
    errors      what the errors of NATS and of nats-py mean
    settings    the component's metadata

Each knows only those below it. The bucket: https://docs.nats.io/nats-concepts/jetstream/key-value-store
"""

STORES = {"state.jetstream": "JetStreamStore"}
EXTRA = "jetstream"
PACKAGES = {"nats": "nats-py", "nkeys": "nkeys"}
