"""Pluggable components: state in a store of somebody else's, which is a process that listens on a Unix socket.

store ──> client     one connection at a time: connected, asked what it serves, given its settings, then called
      ──> proving    tries once whether the component keeps a rule that a call relies on
layout, messages     what is sent for each call, and what the answers mean; Dapr's messages
sockets              which socket serves which type
settings, errors     the component's metadata, and what the component's errors mean
"""

STORES = {"state.*": "PluggableStore"}
EXTRA = "pluggable"
PACKAGES = {"grpc": "grpcio"}
