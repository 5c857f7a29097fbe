"""What a component is, which types exist, and which components are wrong: shared by sidecar and operator.

Import the modules, not this package: `component`, `manifests`, `catalogue`, `checks`, `problems`, `values`.
"""
