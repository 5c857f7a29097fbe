"""`state.gcp.spanner`: state in a table of Google Cloud Spanner.

store       each call as reads and commits of Spanner's API
client      one call of that API: deadline, metadata, what its errors mean
sessions    the sessions, each lent to one call at a time
layout      converts the table's columns to messages, and back
errors      what Spanner's statuses mean
settings    the component's settings, typed
"""

STORES = {"state.gcp.spanner": "SpannerStore"}
EXTRA = "spanner"
PACKAGES = dict.fromkeys(("google", "google.cloud", "google.cloud.spanner_v1"), "google-cloud-spanner")
