"""Kubernetes Secrets, read from the API server with the rights of a service account or of a kubeconfig's user.

access    where the API server is, and how the sidecar signs in
store     Secrets by their names
"""

EXTRA = "kubernetes"
PACKAGES = {"aiohttp": "aiohttp"}
