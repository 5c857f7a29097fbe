"""What may be admitted to the cluster, and with which warnings. Pure."""
