"""Component files with a password that are not YAML, or have a wrong shape."""

from __future__ import annotations

import pytest
from hostile.conftest import Promise
from hostile.secrets.canaries import CANARY, leaks

from pannier_sidecar.loading.folder import parse
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.resolving import ResolutionContext

HEAD = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: orders}
spec:
  type: state.redis
  version: v1
"""
ENTRY = "  metadata:\n  - {name: redisHost, value: h}\n  - name: redisPassword\n    "
WAYS = {
    "it begins as a tag": ENTRY + "value: !<P>\n",
    "it begins as an alias": ENTRY + "value: *<P>\n",
    "it begins as an anchor": ENTRY + "value: &<P>\n",
    "it begins as a directive": ENTRY + "value: %<P>\n",
    "it begins with an at": ENTRY + "value: @<P>\n",
    "it holds a colon and a space": ENTRY + "value: <P>: <P>\n",
    "its quote does not end": ENTRY + 'value: "<P>\n',
    "its list does not end": ENTRY + "value: [<P>\n",
    "its mapping does not end": ENTRY + "value: {<P>\n",
    "it is a list": ENTRY + "value: [<P>, <P>]\n",
    "it is a mapping": ENTRY + "value: {<P>: <P>}\n",
    "it is indented by a tab": ENTRY + "value:\n\t\tP\n",
    "it has an escape that is none": ENTRY + 'value: "\\<P>"\n',
    "it has a control character": ENTRY + "value: <P>\x01<P>\n",
    "there is no space behind colons": "  metadata:\n  - name:redisPassword value:<P>\n",
    "settings are one text": "  metadata: redisHost=h,redisPassword=<P>\n",
    "settings are a mapping": "  metadata: {redisHost: h, redisPassword: <P>}\n",
    "it is its own document": "---\nP\n",
    "it is a reference's name and key": ENTRY + "secretKeyRef: <P>\n",
    "it is a list of references": ENTRY + "secretKeyRef: [<P>]\n",
    "it has spaces in a variable's name": ENTRY + "envRef: <P> <P>\n",
}


def test_where_the_file_is_wrong(promise: Promise, subtests: pytest.Subtests) -> None:
    for way, entry in WAYS.items():
        with subtests.test(way):
            said = said_of((HEAD + entry).replace("<P>", CANARY))
            assert said and not any(map(leaks, said)), said
            promise(
                "A password in a component file that is not valid YAML, or has the wrong structure, is not shown",
                on=f"files where {way}",
                fault="a password without quotes, or in the wrong place",
                times=1,
                counted=f"{len(said)} lines; 0 fragments of it found",
            )


def said_of(text: str) -> list[str]:
    """Return everything that is said of a component file."""
    reading = parse({"orders.yaml": text.encode()})
    decided = plan(reading, ResolutionContext("shop"))
    said = [*decided.warnings, *(line for refused in decided.refused for line in refused.lines())]
    said += [aside.why for aside in reading.skipped] + [repr(found.component) for found in reading.components]
    return said
