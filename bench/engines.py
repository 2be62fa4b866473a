"""The storage engines that this machine can measure."""

from tidemark.embedded.programs import Programs, available_programs

ENGINES = ("timescale", "postgres")


def programs_of_engines() -> dict[str, Programs]:
    """The preferred PostgreSQL programs for each available engine."""
    found: dict[str, Programs] = {}
    for programs in available_programs():
        found.setdefault("timescale" if programs.has_timescaledb else "postgres", programs)
    return {name: found[name] for name in ENGINES if name in found}
