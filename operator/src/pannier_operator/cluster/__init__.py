"""The calls into the cluster: its API, the cache of its objects, resyncs, the Lease, and probes of sidecars.

api                               every call to the Kubernetes API
client, errors                    its HTTP client, and what its answers mean
cache, cached_objects, indexer    the objects that watches and lists have reported
known_secrets, namespaces         what else a verdict depends on
resync, waiting                   lists at an interval; waiting for an event with a timeout
lease, server_version, probes     which replica leads; which Kubernetes it is; what sidecars report
"""
