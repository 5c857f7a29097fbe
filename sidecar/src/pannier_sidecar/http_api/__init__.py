"""The HTTP front end: from bytes on a connection to a use case of the state service, and back."""
