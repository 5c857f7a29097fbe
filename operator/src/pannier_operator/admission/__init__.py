"""Decides which objects are admitted to the cluster, and with which warnings. Pure."""
