"""What a server reports, and bytes that are no answer."""

from __future__ import annotations


class BrokenProtocolError(Exception):
    """The server has sent what no server sends, or more than an answer may have. The connection must be closed."""


class ServerError(Exception):
    """The server has answered with an error."""

    def __init__(self, number: int, severity: int, state: int):
        """Keep what says what has happened, but not the server's text: it may quote values."""
        super().__init__(number)
        self.number = number
        """As in `sys.messages` of SQL Server."""
        self.severity = severity
        """0 to 25; from 20 on the server closes the connection."""
        self.state = state
