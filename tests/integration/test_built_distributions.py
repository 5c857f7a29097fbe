"""What `make dist` builds, installed into an empty environment, runs the first minute of the README."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def build(into: Path) -> Path:
    subprocess.run(["make", "--silent", "dist", f"OUT={into}"], cwd=ROOT, check=True)
    return into


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the programs of an environment that has the wheels and what they need, and nothing else."""
    place = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, place], check=True)
    programs = place / "bin"
    pinned = ["--constraint", str(ROOT / "constraints.txt"), "--find-links", str(built)]
    install = [str(UV), "pip", "install", "--quiet", "--python", str(programs / "python"), *pinned, "pannier"]
    subprocess.run(install, check=True)
    return programs


def metadata(built: Path) -> Iterator[Message]:
    for wheel in built.glob("*.whl"):
        with ZipFile(wheel) as archive:
            [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            yield message_from_bytes(archive.read(name))


def test_metadata_is_complete(built: Path, subtests: pytest.Subtests) -> None:
    all_of_them = list(metadata(built))
    parts = {f"pannier-{part}" for part in ("client", "crds", "operator", "sidecar")}
    assert {"pannier", "pytest-pannier", *parts} <= {each["Name"] for each in all_of_them}
    assert len({each["Version"] for each in all_of_them}) == 1
    for each in all_of_them:
        with subtests.test(each["Name"]):
            assert each["License-Expression"] == "Apache-2.0"
            assert each["Requires-Python"] == ">=3.11"
            assert each["Summary"]
            assert each.get_payload(), "no readme"
            assert each.get_all("Classifier")


def test_a_second_build_is_the_same(built: Path, tmp_path: Path) -> None:
    assert digests(build(tmp_path)) == digests(built)


def digests(folder: Path) -> dict[str, str]:
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.glob("pannier*")}


def test_an_app_runs_beside_what_was_installed(installed: Path, tmp_path: Path) -> None:
    app = shutil.copy(ROOT / "examples" / "counter" / "app.py", tmp_path)
    command = [str(installed / "pannier"), "run", "--app-id", "counter", "--http-port", "0", "--grpc-port", "0"]
    command += ["--", str(installed / "python"), str(app)]
    environment = {"PATH": os.environ["PATH"], "XDG_DATA_HOME": str(tmp_path / "data")}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr.decode()
    assert b"this is visit 3" in run.stdout
