"""Where servers are, as fields say it: one reader for each way of writing it, for checks and for stores alike.

Readers raise InvalidValueError, whose words name places of characters and never quote: a password may stand anywhere in
a text that is no address.
"""
