"""A pod gets its sidecar: from a pod and what it asks for to the pod that runs. Pure."""
