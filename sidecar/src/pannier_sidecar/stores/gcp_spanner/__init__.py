"""`state.gcp.spanner`: state in a table of Google Cloud Spanner.

store       each call as reads and commits of Spanner's API
calls       one call of that API: deadline, metadata, what its errors mean
sessions    the sessions that calls take turns on
rows        the table's columns, from and to messages
faults      what an error says to the user
settings    the component's settings, typed
"""

from .store import SpannerStore

__all__ = ["SpannerStore"]
