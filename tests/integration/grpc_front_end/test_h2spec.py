"""Every rule of RFC 9113 and RFC 7541 that h2spec checks."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scenarios.worlds import component, served
from servers.go_programs import h2spec
from servers.pannier_process import Pannier

METHOD = "/dapr.proto.runtime.v1.Dapr/GetMetadata"
CASES = 145
EXCEPTIONS: dict[str, str] = {}
"""Cases that a gRPC server need not pass, each with its reason."""


@pytest.mark.timeout(600)  # Go may have to build it first
def test_every_case_passes(tmp_path: Path) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    (folder / "statestore.yaml").write_text(component("statestore", "state.in-memory", {}))
    with served(folder) as pannier:
        pannier.port()
        cases = judged(pannier, tmp_path / "report.xml")
    failed = {name for name, passes in cases.items() if not passes}
    assert failed == set(EXCEPTIONS)
    assert len(cases) == CASES


def judged(pannier: Pannier, report: Path) -> dict[str, bool]:
    """Which cases pass. Each has ten seconds, not the usual two: the machine may be busy."""
    flags = {"-h": "127.0.0.1", "-p": pannier.grpc_port(), "-P": METHOD, "-o": 10, "-j": report}
    arguments = [str(part) for flag in flags.items() for part in flag]
    done = subprocess.run([h2spec(), *arguments], capture_output=True, text=True)
    assert report.exists(), done.stdout + done.stderr
    return {
        f"{case.get('package')} {case.get('classname')}": case.find("failure") is None and case.find("error") is None
        for case in ElementTree.parse(report).iter("testcase")
    }
