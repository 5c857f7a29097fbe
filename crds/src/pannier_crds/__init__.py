"""Components, the catalogue of their types, and the checks that find mistakes in them. Sidecar and operator share it.

Import the modules, not this package: `component`, `manifests`, `catalogue`, `checks`, `problems`, `values`.
"""
