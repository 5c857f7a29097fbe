"""What can be seen of a running sidecar: metrics, traces, logs."""
