"""`state.etcd`: state in etcd, laid out as Dapr's two versions lay it out.

store ──> client     a channel to each endpoint, and etcd's calls
      ──> writing    preconditions and operations of an etcd transaction
      ──> leases     the leases that remove expired keys; the id of one encodes when they expire
      ──> feed       the changes of keys, by a watch (watch.py) and reads that show that nothing was missed
layout, settings, errors    what is stored for a value, the component's metadata, what etcd's errors mean
"""

STORES = {"state.etcd": "RawStore", "state.etcd/v2": "TimedStore"}
EXTRA = "etcd"
PACKAGES = {"aetcd": "aetcd", "grpc": "grpcio"}
