"""Injection: how a pod with its sidecar looks. Pure."""
