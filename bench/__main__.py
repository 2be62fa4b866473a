"""`python -m bench [SCENARIO|all]`: measure Tidemark on this machine; see docs/benchmarks.md."""

import argparse
import logging
import sys
import time
from types import ModuleType

import structlog

from bench import bulk, coldchain, mixed, single, statistics, web
from bench.engines import ENGINES, programs_of_engines
from bench.report import machine, publish
from bench.service import BenchError

SCENARIOS: dict[str, ModuleType] = {
    "single": single,
    "statistics": statistics,
    "bulk": bulk,
    "mixed": mixed,
    "coldchain": coldchain,
    "web": web,
}


def main() -> None:
    """Run what the command line asks for; exit code 1 where a measurement fails or proves Tidemark wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="The benchmarks of Tidemark.")
    parser.add_argument("scenario", nargs="?", default="all", choices=["all", *SCENARIOS])
    parser.add_argument("--engine", choices=ENGINES, help="measure this storage engine only")
    parser.add_argument("--quick", action="store_true", help="a small run to see that all works; says little of speed")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    engines = programs_of_engines()
    for name in ENGINES:
        if name not in engines:
            _say(f"The engine {name} is not available on this machine; it is not measured.")
    if options.engine is not None:
        engines = {name: programs for name, programs in engines.items() if name == options.engine}
    if not engines:
        sys.exit("There is no engine to measure: make .venv/dev.stamp installs the embedded PostgreSQL.")
    for name, scenario in SCENARIOS.items():
        if options.scenario in ("all", name):
            _say(f"scenario {name}")
            about = machine()
            try:
                report = scenario.run(engines, quick=options.quick, say=_say)
            except BenchError as error:
                sys.exit(f"scenario {name} FAILED: {error}")
            publish(report, about)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


main()
