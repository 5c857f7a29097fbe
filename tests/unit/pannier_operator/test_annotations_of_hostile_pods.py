"""Annotations of 256 KiB, as many as fit, and texts crafted to be slow to parse: the operator still serves everybody
else.
"""

from __future__ import annotations

import time

from unit.tables import each_row

from pannier_operator.admission.pods import mutate
from pannier_operator.injection.annotations import HONOURED, OLDER, read
from pannier_operator.settings import OperatorSettings

MAX_BYTES = 256 * 1024
"""Maximum of bytes in all annotations of an object."""
CPU_BUDGET_S = 2.0
"""Far more than a busy machine needs, and far less than the minutes of quadratic time."""
REPEATED = ("a", "1", ",", " ", ".", "-", "[", "*.", "a,", "a:", "a.", "a=,", "a=b,", "1h", "a =", "%", "\n", "\\u0000")
BEGUN = ("", "https://", "a:/", "a=")
ENDED = ("", "#", " x", "\n", "\x7f")


@each_row("annotation", {annotation.name: annotation for annotation in (*OLDER, *HONOURED)})
def test_no_text_takes_an_annotation_long_to_read(annotation: object) -> None:
    for begin in BEGUN:
        for repeated in REPEATED:
            for end in ENDED:
                text = begin + repeated * (MAX_BYTES // len(repeated)) + end
                before = time.process_time()
                _, warnings = read({annotation.name: text})  # type: ignore[attr-defined]
                took = time.process_time() - before
                assert took < CPU_BUDGET_S, (begin, repeated, end, took)
                assert all(len(each) < 500 and each.isprintable() for each in warnings)


def test_of_thousands_of_unknown_annotations_a_few_are_named_and_the_rest_counted() -> None:
    annotations = {f"dapr.io/app-i{number}": "" for number in range(15_000)}
    before = time.process_time()
    _, warnings = read(annotations)
    assert time.process_time() - before < CPU_BUDGET_S
    assert len(warnings) == 11
    assert "did you mean dapr.io/app-id?" in warnings[0]
    assert warnings[-1] == "14990 more annotations of dapr.io/ and pannier.dev/ are unknown and have no effect"


def test_a_long_list_of_variables_is_refused_and_one_that_is_long_enough_for_anybody_is_not() -> None:
    long = ",".join(f"VARIABLE_{number}=value" for number in range(1_400))
    assert len(read({"dapr.io/env": long})[0].variables) == 1_400
    options, warnings = read({"dapr.io/env": long + "," + "x" * 10_000})
    assert options.variables == ()
    assert len(warnings) == 1
    assert warnings[0].endswith("has no effect; write 32768 characters at most")


def test_any_app_id_is_refused_in_one_short_line() -> None:
    for app_id in ("a" * MAX_BYTES, "a\nb: c", "a\x00b", "\ud7ff\u202e", "a" * 62 + "\n", "\u0130"):
        pod = {"metadata": {"annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": app_id}}, "spec": {}}
        verdict = mutate(pod, {}, OperatorSettings(), namespace="shop", server_version=(1, 35))
        if app_id.strip() == "a" * 62:  # a final line break is not part of it
            assert verdict.is_admitted
            continue
        assert not verdict.is_admitted
        assert len(verdict.refusal) < 300
        assert verdict.refusal.isprintable()
