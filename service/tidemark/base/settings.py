"""Settings, read from environment variables that begin with `TIDEMARK_`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}

ENGINES = ("auto", "timescale", "postgres")
MAX_COLLECTED = 1_000_000_000
"""The largest value of a limit of the collector."""
MAX_CONNECTIONS = 1_000_000


class SettingError(ValueError):
    """A setting that cannot be used; the message names the variable."""


class MaxConnections(NamedTuple):
    """How many connections may be open at once: in total, and from one address."""

    total: int = 20_000
    per_address: int = 5_000

    @classmethod
    def parse(cls, text: str) -> "MaxConnections":
        """`TOTAL` or `TOTAL,PER_ADDRESS`. Raises ValueError."""
        try:
            total, per_address = ([int(part) for part in text.split(",")] + [cls().per_address])[:2]
        except ValueError:
            total = per_address = 0
        if text.count(",") > 1 or not all(1 <= number <= MAX_CONNECTIONS for number in (total, per_address)):
            raise ValueError(
                f"must be a number from 1 to {MAX_CONNECTIONS}, or two such as 20000,5000 "
                f"(in total, from one address), not {text!r}"
            )
        return cls(total, min(total, per_address))

    def share(self, workers: int) -> "MaxConnections":
        """The share of each of this many processes, rounded up."""
        return MaxConnections(-(-self.total // workers), -(-self.per_address // workers))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an operator can set; docs/settings.md describes each."""

    database_url: str | None = None
    data_dir: Path = Path(".tidemark")
    postgres_bin: Path | None = None
    engine: str = "auto"
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    cache_seconds: float = 1.0
    max_body: int = 32 * 1024 * 1024
    max_pending: int = 100_000
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

        def text(name: str) -> str | None:
            return environment.get(f"TIDEMARK_{name}") or None

        def number(name: str, default: float, low: float, high: float) -> float:
            given = text(name)
            try:
                value = default if given is None else float(given)
            except ValueError:
                value = float("nan")
            if not low <= value <= high:
                raise SettingError(f"TIDEMARK_{name} must be a number from {low:g} to {high:g}, not {given!r}.")
            return value

        def choice(name: str, default: str, choices: tuple[str, ...]) -> str:
            given = text(name) or default
            if given not in choices:
                raise SettingError(f"TIDEMARK_{name} must be one of {', '.join(choices)}, not {given!r}.")
            return given

        def networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
            try:
                return tuple(ip_network(part.strip()) for part in (text(name) or "").split(",") if part.strip())
            except ValueError as error:
                raise SettingError(f"TIDEMARK_{name} must be a comma-separated list of networks: {error}.") from None

        def postgres_url(name: str) -> str | None:
            url = text(name)
            if url is not None and not _is_postgres_url(url):
                raise SettingError(f"TIDEMARK_{name} must be a URL like postgresql://user:password@host:5432/database.")
            return url

        postgres_bin, geoip_db = text("POSTGRES_BIN"), text("GEOIP_DB")
        return cls(
            database_url=postgres_url("DATABASE_URL"),
            data_dir=Path(text("DATA_DIR") or cls.data_dir),
            postgres_bin=Path(postgres_bin) if postgres_bin else None,
            engine=choice("ENGINE", cls.engine, ENGINES),
            host=text("HOST") or cls.host,
            port=int(number("PORT", cls.port, 0, 65535)),
            workers=int(number("WORKERS", cls.workers, 1, 64)),
            cache_seconds=number("CACHE_SECONDS", cls.cache_seconds, 0, 86400),
            max_body=int(number("MAX_BODY", cls.max_body, 1024, 2**40)),
            max_pending=int(number("MAX_PENDING", cls.max_pending, 1, 10_000_000)),
            collect_per_minute=int(number("COLLECT_PER_MINUTE", cls.collect_per_minute, 1, MAX_COLLECTED)),
            collect_per_address=int(number("COLLECT_PER_ADDRESS", cls.collect_per_address, 1, MAX_COLLECTED)),
            collect_names=int(number("COLLECT_NAMES", cls.collect_names, 1, MAX_COLLECTED)),
            max_connections=_max_connections(text("MAX_CONNECTIONS")),
            trusted_proxies=networks("TRUSTED_PROXIES"),
            cors_origins=_origins(text("CORS_ORIGINS")),
            geoip_db=Path(geoip_db) if geoip_db else None,
            organization=text("ORG"),
            log_level=choice("LOG_LEVEL", cls.log_level, ("debug", "info", "warning", "error")),
        )


def _origins(given: str | None) -> frozenset[str]:
    return frozenset(_origin(part.strip()) for part in (given or "").split(",") if part.strip())


def _origin(given: str) -> str:
    """An origin as browsers send it (RFC 6454): in lower case, without the default port of its scheme."""
    match = _ORIGIN.fullmatch(given)
    if match is None or (match[3] and not 0 < int(match[3]) <= 65535):
        raise SettingError(
            "TIDEMARK_CORS_ORIGINS must be a comma-separated list of origins such as https://dash.example.com, without "
            f"wildcards and paths; {given!r} is not an origin."
        )
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    is_usual = port is None or int(port) == _PORTS.get(scheme)
    return f"{scheme}://{host}" if is_usual else f"{scheme}://{host}:{int(port)}"


def _max_connections(given: str | None) -> MaxConnections:
    try:
        return MaxConnections() if given is None else MaxConnections.parse(given)
    except ValueError as error:
        raise SettingError(f"TIDEMARK_MAX_CONNECTIONS {error}.") from None


def _is_postgres_url(url: str) -> bool:
    try:
        port = urlsplit(url).port
    except ValueError:
        return False
    return port != 0 and urlsplit(url).scheme in ("postgres", "postgresql")
