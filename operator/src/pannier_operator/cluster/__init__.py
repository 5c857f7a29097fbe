"""The calls into the cluster: its API, the cache of its objects, resyncs, the Lease, and probes of sidecars."""
