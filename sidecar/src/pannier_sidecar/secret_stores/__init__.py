"""Secret stores on other machines: one package for each, with the name of the catalogue's module.

A package says in its `__init__.py` which `PACKAGES` it needs (import name to package name) and which `EXTRA` installs
them. Its `store.py` has `open_server`, which makes a `SecretServer` of a component's settings.

server       what every package offers
reading_all  reads every secret, within limits
json_texts   secrets that are JSON objects
https_calls  requests over HTTP, for those without a client library
aws_calls    calls to AWS, for both of its packages
"""
