"""Parsers of server addresses: one for each way in which fields spell them, used by checks and stores alike.

hosts                         a host with a port, and lists of them, as most fields have them
urls                          URLs whose authority may hold a user and a password
mongodb, postgresql, sqlite   what only this database's fields take

They raise InvalidValueError, whose text gives the position of a character and never quotes: a text that is no address
may have a password anywhere.
"""
