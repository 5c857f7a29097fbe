"""The state API sidecar: Dapr's state API, by HTTP and gRPC, over the database of your choice."""

__version__ = "0.1.0"
