"""Injection: builds the pod with its sidecar. Pure."""
