"""Secret stores on other machines: one package for each, with the name of the catalogue's module.

A package says in its `__init__.py` which `PACKAGES` it needs (import name to package name) and which `EXTRA` installs
them. Its `store.py` has `open_server`, which makes a `SecretServer` of a component's settings.

server     what every package offers
"""
