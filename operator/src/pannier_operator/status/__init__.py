"""What is said of Components and pods: conditions, readiness and Events. Pure."""
