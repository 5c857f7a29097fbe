"""Encryption at rest: values are encrypted before any store gets them, and opened when it returns them.

keys            the keys of a component
sealing         seals and opens values; recognises both formats
own_format      Pannier's format, which binds a value to its store and key
dapr_format     Dapr's format
encrypted_store a Store around another one: the only part that knows of stores

Only `loading` uses this package, and only for a component with a key, because `cryptography` is large.
"""
