"""`pannier check`: what is wrong with component files, alone and together, before anything runs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pannier_crds.checks import is_served, problems_among, problems_of, settings_without_effect
from pannier_crds.problems import metadata_path, quoted, warning
from pannier_sidecar.cli.flags import CHECK
from pannier_sidecar.cli.parsing import UsageError, parse_with_paths
from pannier_sidecar.loading.folder import (
    FolderUnreadableError,
    Reading,
    SkippedDocument,
    component_files,
    read_contents,
)
from pannier_sidecar.loading.folder import parse as parse_contents
from pannier_sidecar.loading.local_secrets import EnvironmentSecrets
from pannier_sidecar.loading.plugging import recognized
from pannier_sidecar.loading.resolving import ResolutionContext
from pannier_sidecar.loading.secrets import SecretStores
from pannier_sidecar.secret_reader import SecretMissingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pannier_crds.component import Component
    from pannier_crds.problems import Problem
    from pannier_sidecar.loading.configuration_files import ConfigurationFile
    from pannier_sidecar.loading.folder import ParsedComponent, ParsedResiliency


@dataclass(frozen=True)
class Verdict:
    """One finding about one place in a file."""

    source: str
    component: str
    problem: Problem

    def __str__(self) -> str:
        return f"{self.source}:{self.problem.line or 1}: {self.problem.severity}: {self.problem}"

    def as_json(self) -> dict[str, object]:
        problem = self.problem
        return {
            "file": self.source,
            "line": problem.line or 1,
            "severity": problem.severity,
            "component": self.component,
            "field": problem.field,
            "message": problem.message,
            "advice": problem.advice,
        }


def check(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Judge files and folders and print the verdicts; return 1 if there is an error."""
    output, paths = _read(arguments)
    try:
        contents = read_contents(_files(paths))
    except FolderUnreadableError as error:
        print(f"pannier: {error}", file=sys.stderr)
        return 1
    reading = _skip_unrelated(parse_contents(contents), paths)
    reading, _ = recognized(reading, ResolutionContext("", environment=environment))
    configurations, reading = _take_configurations(reading, contents, environment)
    verdicts = judge(reading, namespaces_meet=not environment.get("NAMESPACE"))
    verdicts = _in_order(dict.fromkeys([*verdicts, *_on_configurations(configurations)]))
    fine = sum(len(file.documents) for file in configurations.values() if not file.is_wrong)
    try:
        _print(reading, verdicts, output, fine)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"pannier: the report can't be written: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return 1
    return 1 if any(verdict.problem.is_error for verdict in verdicts) else 0


def judge(reading: Reading, *, namespaces_meet: bool = True) -> list[Verdict]:
    """Return everything wrong with what was read, in the order of the files and their lines.

    With `namespaces_meet` the components of all namespaces are judged together, as a sidecar without NAMESPACE sees
    them.
    """
    verdicts = [
        Verdict(invalid.source, invalid.name, problem)
        for invalid in (*reading.invalid, *reading.invalid_resiliencies)
        for problem in invalid.problems
    ]
    for parsed in reading.components:
        verdicts += _placed(parsed, [*parsed.remarks, *problems_of(parsed.component)])
        verdicts += _placed(parsed, _without_effect(parsed.component))
    # Components that are wrong by themselves count too: once corrected, they would have the same conflicts.
    by_id = {id(parsed.component): parsed for parsed in reading.components}
    components = [parsed.component for parsed in reading.components]
    for component, problem in problems_among(components, namespaces_meet=namespaces_meet):
        verdicts += _placed(by_id[id(component)], [problem])
    for parsed in reading.components:
        verdicts += _placed(parsed, _unanswered_references(parsed, reading.components))
    if reading.resiliencies:
        verdicts += _on_resiliencies(reading.resiliencies, components)
    return _in_order(verdicts)


def _in_order(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda verdict: (verdict.source, verdict.problem.line or 0))


def _take_configurations(
    reading: Reading, contents: Mapping[str, bytes | Problem], environment: Mapping[str, str]
) -> tuple[dict[str, ConfigurationFile], Reading]:
    """Return what the files with Configurations say, as a sidecar with this environment reads them, and the rest."""
    meant = [skipped for skipped in reading.skipped if skipped.is_configuration]
    if not meant:
        return {}, reading
    from pannier_sidecar.loading.configuration_files import read_file

    files = {}
    for skipped in meant:
        content = contents[skipped.source]
        if isinstance(content, bytes):
            files[skipped.source] = read_file(content, environment)
    return files, replace(reading, skipped=tuple(each for each in reading.skipped if each not in meant))


def _on_configurations(files: Mapping[str, ConfigurationFile]) -> Iterator[Verdict]:
    for source, file in files.items():
        for problem in file.problems:
            yield Verdict(source, "", problem)


def _on_resiliencies(objects: Sequence[ParsedResiliency], components: Sequence[Component]) -> Iterator[Verdict]:
    """Judge the Resiliency objects together: a policy that one of them names may be defined in another."""
    from pannier_crds.resiliency_policies import Policies, remarks_among, remarks_on_built_in

    policies = Policies([parsed.resiliency for parsed in objects])
    names = {component.name for component in components}
    stores = [component.name for component in components if component.is_state_store]
    for parsed in objects:
        resiliency = parsed.resiliency
        problems = [*parsed.remarks, *remarks_on_built_in(resiliency), *remarks_among(resiliency, stores, names)]
        for problem in parsed.place([*problems, *policies.unknown_names(resiliency)]):
            yield Verdict(parsed.source, resiliency.name, problem)


def _skip_unrelated(reading: Reading, paths: Sequence[str]) -> Reading:
    """Skip files that do not look like components, unless they were named on the command line."""
    named = {str(Path(path)) for path in paths}
    unrelated = [invalid for invalid in reading.invalid if invalid.is_unrelated and invalid.source not in named]
    skipped = [
        SkippedDocument(invalid.source, problem.line or 1, problem.text)
        for invalid in unrelated
        for problem in invalid.problems
    ]
    invalid = tuple(each for each in reading.invalid if each not in unrelated)
    return replace(reading, invalid=invalid, skipped=(*reading.skipped, *skipped))


def _without_effect(component: Component) -> Iterator[Problem]:
    for name, why in settings_without_effect(component):
        yield warning(metadata_path(name), f"{quoted(name)} has no effect, because {why}", "remove it")


def _unanswered_references(parsed: ParsedComponent, among: Iterable[ParsedComponent]) -> Iterator[Problem]:
    """Warn of secrets whose secret store is not among the files. Those of Kubernetes never are, so it does not warn
    of them.
    """
    component = parsed.component
    local = [other.component.name for other in among if _is_secret_store(other.component)]
    if component.reads_kubernetes_secrets and (component.secret_store or not local):
        return
    try:
        SecretStores(dict.fromkeys(local, EnvironmentSecrets({}))).find(component.secret_store)
    except SecretMissingError as missing:
        for item in component.metadata:
            if item.secret is not None:
                yield warning(metadata_path(item.name, "secretKeyRef"), str(missing))


def _is_secret_store(component: Component) -> bool:
    return is_served(component) and not component.is_state_store


def _placed(parsed: ParsedComponent, problems: Iterable[Problem]) -> list[Verdict]:
    return [Verdict(parsed.source, parsed.component.name, problem) for problem in parsed.place(problems)]


def _read(arguments: Sequence[str]) -> tuple[str, list[str]]:
    parsed, paths = parse_with_paths(arguments, CHECK)
    if not paths:
        raise UsageError("check needs files or folders: write pannier check PATH ...")
    return parsed.changes.get("output", "text"), paths


def _files(paths: Iterable[str]) -> list[Path]:
    files: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            files += component_files(path)
        elif path.exists():
            files.append(path)
        else:
            raise FolderUnreadableError(f"{name}: no such file or folder")
    return list(dict.fromkeys(files))


def _counts(reading: Reading, verdicts: Sequence[Verdict], besides: int) -> tuple[int, int, int]:
    """Return the numbers of objects without an error (`besides` are not in the reading), of errors, and of
    warnings.
    """
    wrong = {(verdict.source, verdict.component) for verdict in verdicts if verdict.problem.is_error}
    served = [parsed for parsed in reading.components if is_served(parsed.component)]
    fine = besides + sum((parsed.source, parsed.component.name) not in wrong for parsed in served)
    fine += sum((parsed.source, parsed.resiliency.name) not in wrong for parsed in reading.resiliencies)
    errors = sum(verdict.problem.is_error for verdict in verdicts)
    return fine, errors, len(verdicts) - errors


def _print(reading: Reading, verdicts: Sequence[Verdict], output: str, besides: int) -> None:
    if output == "json":
        print(json.dumps(_report(reading, verdicts, besides), indent=2, ensure_ascii=False))
    elif output == "sarif":
        from pannier_sidecar.cli.sarif import sarif

        print(json.dumps(sarif(verdicts), indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines(reading, verdicts, besides)))


def lines(reading: Reading, verdicts: Sequence[Verdict], besides: int = 0) -> list[str]:
    """Return the verdicts, the skipped documents, and the totals."""
    skipped = [f"{skipped.source}:{skipped.line}: skipped: {skipped.why}" for skipped in reading.skipped]
    fine, errors, warnings = _counts(reading, verdicts, besides)
    counts = f"{_count(fine, 'component')} fine, {_count(errors, 'error')}, {_count(warnings, 'warning')}"
    return [*map(str, verdicts), *skipped, counts]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _report(reading: Reading, verdicts: Sequence[Verdict], besides: int) -> dict[str, object]:
    fine, errors, warnings = _counts(reading, verdicts, besides)
    return {
        "fine": fine,
        "errors": errors,
        "warnings": warnings,
        "problems": [verdict.as_json() for verdict in verdicts],
        "leftAside": [
            {"file": skipped.source, "line": skipped.line, "why": skipped.why} for skipped in reading.skipped
        ],
    }
