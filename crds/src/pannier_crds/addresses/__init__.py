"""Parsers of server addresses: one for each way in which fields spell them, used by checks and stores alike.

They raise InvalidValueError, whose text gives the position of a character and never quotes: a text that is no address
may have a password anywhere.
"""
