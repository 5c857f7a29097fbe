"""The state API sidecar: Dapr's HTTP state API over the database of your choice."""

__version__ = "0.1.0"
