"""Every verb of the table is in help, in the README and in each shell's completion."""

import subprocess
from pathlib import Path

import pytest
from unit.tables import each_row

from pannier_sidecar.cli import run_command
from pannier_sidecar.cli.verb import SHELLS, Verb
from pannier_sidecar.cli.verbs import VERBS, find

README = Path(__file__).parents[4] / "README.md"
VERB = each_row("verb", {verb.name: verb for verb in VERBS})


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run_command(words, {}) == 0
    return capsys.readouterr().out


@VERB
def test_a_verb_with_the_flag_help_prints_its_page(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "help", *verb.name.split())
    assert printed(capsys, *verb.name.split(), "--help") == page
    assert page.startswith(f"pannier {verb.usage}\n")


@VERB
def test_the_overview_names_a_verb(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [" ".join(line.split()) for line in printed(capsys, "--help").splitlines()]
    assert f"pannier {verb.name} {verb.summary}" in lines


@each_row("verb", [verb.name for verb in VERBS if verb.name not in ("help", "version")])
def test_the_readme_has_a_verb_in_its_table(verb: str) -> None:
    rows = [line for line in README.read_text().splitlines() if line.startswith("| `pannier ")]
    assert any(f"`pannier {verb} " in row for row in rows)


@VERB
def test_completion_knows_a_verb_and_its_flags(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    for shell in SHELLS:
        script = printed(capsys, "completion", shell)
        assert verb.name.split()[-1] in script
        for flag in verb.flags:
            assert (f"-l {flag.name} " if shell == "fish" else f"--{flag.name}") in script


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["co"], ["copy", "completion"]),
        (["copy", "--o"], ["--overwrite"]),
        (["import", "l"], ["layotto"]),
        (["import", "layotto", "--"], ["--output", "--help"]),
        (["check", "--output", ""], ["text", "json", "sarif"]),
        (["check", ""], []),  # files
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes(line: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    script = printed(capsys, "completion", "bash")
    ask = 'COMP_WORDS=(pannier "$@"); COMP_CWORD=$#; _pannier; echo "${COMPREPLY[*]}"'
    done = subprocess.run(["bash", "-c", script + ask, "bash", *line], capture_output=True, text=True, check=True)
    assert done.stdout.split() == words
    assert done.stderr == ""


def test_the_path_of_daprd_stands_for_serve() -> None:
    found = find(["/usr/bin/daprd", "--app-id", "a"])
    assert found is not None
    assert (found[0].name, list(found[1])) == ("serve", ["--app-id", "a"])


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"]])
def test_completion_for_no_known_shell_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["completion", *arguments], {}) == 2
    assert "write pannier completion bash, zsh or fish" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["--wait", "-h"], ["--help=true"], ["--no-such-flag", "--help"]])
def test_help_comes_before_everything_else(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "serve", *arguments) == printed(capsys, "help", "serve")
