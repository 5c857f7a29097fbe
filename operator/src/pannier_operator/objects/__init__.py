"""Kubernetes' objects as the operator reads them: names, labels, quantities, references. Pure.

kinds, pod_kinds        the fields that are read or written; those of pods and workloads
app_ids                 which app a pod belongs to; labels and annotations of pods and namespaces
namespace_components    the Components of a namespace with their verdicts
namespace_resiliencies  its Resiliency objects with theirs
namespace_configurations    its Configurations with theirs
references              their references to Secrets
label_selectors, quantities, resource_versions    these parts of objects
"""
