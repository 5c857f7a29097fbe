"""python -m dapr_suite: runs Dapr's integration suite of state against this sidecar in profile `dapr`, case by case.

docs/dapr-compatibility.toml says which cases pass, and of each other one why it does not, and at which lines of Dapr's
file it fails. The exit code is 1 if anything else happens.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from dapr_suite import program
from dapr_suite.expectations import Expectations, judged
from dapr_suite.output import outcome_of

FACTS = Path(__file__).parents[2] / "docs" / "dapr-compatibility.toml"


def main() -> int:
    parser = argparse.ArgumentParser(prog="dapr_suite", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose names match")
    parser.add_argument("--all", action="store_true", help="also the cases that are not about state, a minute each")
    chosen = parser.parse_args()
    expectations = Expectations.read(tomllib.loads(FACTS.read_text())["suite"])
    suite = program.built(expectations.version)
    cases = [case for case in expectations.cases(with_rest=chosen.all) if re.search(chosen.only, case)]
    if not cases:
        sys.exit("no case has such a name; docs/dapr-compatibility.toml lists them")
    surprises = 0
    with tempfile.TemporaryDirectory(prefix="dapr-suite.") as folder:
        daprd = program.daprd(Path(folder))
        for case in cases:
            started = time.monotonic()
            output = program.run(suite, daprd, case)
            word, is_expected = judged(expectations, case, outcome_of(output, case))
            print(f"{word:<60} {case} ({time.monotonic() - started:.0f} s)", flush=True)
            if not is_expected:
                surprises += 1
                print(output, file=sys.stderr)
    print(f"{len(cases)} cases, {surprises} not as docs/dapr-compatibility.toml says")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
