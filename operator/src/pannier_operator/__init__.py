"""The control plane: judges Components, puts the sidecar beside annotated apps, and delivers their components."""
