"""`state.etcd`: state in etcd, laid out as Dapr's two versions lay it out.

store ──> client     one channel to each endpoint; the calls that are made of etcd
      ──> writing    preconditions and operations of an etcd transaction
      ──> leases     what removes expired keys; its number says when they expire
layout, settings, errors    what is stored for a value, what the component says, what etcd's errors mean
"""

STORES = {"state.etcd": "RawStore", "state.etcd/v2": "TimedStore"}
EXTRA = "etcd"
PACKAGES = {"aetcd": "aetcd", "grpc": "grpcio"}
