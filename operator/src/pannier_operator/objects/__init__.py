"""Kubernetes' objects as the operator reads them: names, labels, quantities, references. Pure."""
