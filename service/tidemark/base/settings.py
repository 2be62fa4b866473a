"""Settings, read from environment variables that begin with `TIDEMARK_`."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tidemark.base.errors import FieldError

_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_HOST_AND_PORT = re.compile(r"(\*|[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_PORTS = {"http": 80, "https": 443}

ENGINES = ("auto", "timescale", "postgres")
MAX_COLLECTED = 1_000_000_000
"""The largest value of a limit of the collector."""
MAX_CONNECTIONS = 1_000_000


class SettingError(FieldError):
    """A setting that cannot be used; `field` is the variable, or the option."""


class MaxConnections(NamedTuple):
    """How many connections may be open at once: in total, and from one address."""

    total: int = 20_000
    per_address: int = 5_000

    @classmethod
    def parse(cls, name: str, text: str) -> "MaxConnections":
        """`TOTAL` or `TOTAL,PER_ADDRESS`. Raises SettingError."""
        try:
            total, per_address = ([int(part) for part in text.split(",")] + [cls().per_address])[:2]
        except ValueError:
            total = per_address = 0
        if text.count(",") > 1 or not all(1 <= number <= MAX_CONNECTIONS for number in (total, per_address)):
            raise SettingError(
                name,
                f"{name} must be a number from 1 to {MAX_CONNECTIONS}, or two such as 20000,5000 "
                f"(in total, from one address), not {text!r}.",
            )
        return cls(total, min(total, per_address))

    def share(self, workers: int) -> "MaxConnections":
        """The share of each of this many processes, rounded up."""
        return MaxConnections(-(-self.total // workers), -(-self.per_address // workers))


class Address(NamedTuple):
    """Where a server listens: a host name, an address or `*` for all addresses, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, name: str, text: str) -> "Address":
        """`HOST:PORT`, with brackets around an IPv6 address. Raises SettingError."""
        match = _HOST_AND_PORT.fullmatch(text)
        if match is None or not 0 < int(match[2]) <= 65535:
            raise SettingError(name, f"{name} must be a host and a port such as 127.0.0.1:5433, not {text!r}.")
        return cls(match[1].strip("[]"), int(match[2]))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an operator can set; docs/settings.md describes each."""

    database_url: str | None = None
    data_dir: Path = Path(".tidemark")
    postgres_bin: Path | None = None
    postgres_listen: Address | None = None
    engine: str = "auto"
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    cache_seconds: float = 1.0
    max_body: int = 32 * 1024 * 1024
    max_pending: int = 100_000
    max_unsettled: int = 20_000_000
    collect_per_minute: int = 60_000
    collect_per_address: int = 600
    collect_names: int = 5_000
    max_connections: MaxConnections = field(default_factory=MaxConnections)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = field(default=())
    cors_origins: frozenset[str] = frozenset()
    geoip_db: Path | None = None
    organization: str | None = None
    log_level: str = "info"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings. Raises SettingError, which names the variable, if one cannot be used."""
        given = {name: environment.get(f"TIDEMARK_{variable_of(name)}") for name in RULES}
        return cls(**{name: RULES[name](f"TIDEMARK_{variable_of(name)}", text) for name, text in given.items() if text})


def variable_of(name: str) -> str:
    """The environment variable of a setting, without its prefix."""
    return "ORG" if name == "organization" else name.upper()


Rule = Callable[[str, str], Any]
"""Takes the name of a variable or an option, and its text; returns the setting or raises SettingError."""


def _text(_name: str, given: str) -> str:
    return given


def _path(_name: str, given: str) -> Path:
    return Path(given)


def _number(low: int, high: int, *, whole: bool = False) -> Rule:
    noun = "whole number" if whole else "number"

    def rule(name: str, given: str) -> float:
        try:
            value = float(given)
        except ValueError:
            value = float("nan")
        if not low <= value <= high or (whole and not value.is_integer()):
            raise SettingError(name, f"{name} must be a {noun} from {low} to {high}, not {given!r}.")
        return int(value) if whole else value

    return rule


def _whole_number(low: int, high: int) -> Rule:
    return _number(low, high, whole=True)


def _one_of(*allowed: str) -> Rule:
    def rule(name: str, given: str) -> str:
        if given not in allowed:
            raise SettingError(name, f"{name} must be one of {', '.join(allowed)}, not {given!r}.")
        return given

    return rule


def _networks(name: str, given: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in given.split(",") if part.strip())
    except ValueError as error:
        raise SettingError(name, f"{name} must be a comma-separated list of networks: {error}.") from None


def _postgres_url(name: str, given: str) -> str:
    if not _is_postgres_url(given):
        raise SettingError(name, f"{name} must be a URL like postgresql://user:password@host:5432/database.")
    return given


def _origins(name: str, given: str) -> frozenset[str]:
    return frozenset(_origin(name, part.strip()) for part in given.split(",") if part.strip())


def _origin(name: str, given: str) -> str:
    """An origin as browsers send it (RFC 6454): in lower case, without the default port of its scheme."""
    match = _ORIGIN.fullmatch(given)
    if match is None or (match[3] and not 0 < int(match[3]) <= 65535):
        raise SettingError(
            name,
            f"{name} must be a comma-separated list of origins such as https://dash.example.com, without wildcards and "
            f"paths; {given!r} is not an origin.",
        )
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    is_usual = port is None or int(port) == _PORTS.get(scheme)
    return f"{scheme}://{host}" if is_usual else f"{scheme}://{host}:{int(port)}"


def _is_postgres_url(url: str) -> bool:
    try:
        port = urlsplit(url).port
    except ValueError:
        return False
    return port != 0 and urlsplit(url).scheme in ("postgres", "postgresql")


RULES: Mapping[str, Rule] = {
    "database_url": _postgres_url,
    "data_dir": _path,
    "postgres_bin": _path,
    "postgres_listen": Address.parse,
    "engine": _one_of(*ENGINES),
    "host": _text,
    "port": _whole_number(0, 65535),
    "workers": _whole_number(1, 64),
    "cache_seconds": _number(0, 86400),
    "max_body": _whole_number(1024, 2**40),
    "max_pending": _whole_number(1, 10_000_000),
    "max_unsettled": _whole_number(1_000, 10_000_000_000),
    "collect_per_minute": _whole_number(1, MAX_COLLECTED),
    "collect_per_address": _whole_number(1, MAX_COLLECTED),
    "collect_names": _whole_number(1, MAX_COLLECTED),
    "max_connections": MaxConnections.parse,
    "trusted_proxies": _networks,
    "cors_origins": _origins,
    "geoip_db": _path,
    "organization": _text,
    "log_level": _one_of("debug", "info", "warning", "error"),
}
"""The rule of each setting, whether a variable or an option gives it."""
