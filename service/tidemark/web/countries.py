"""The country of an address, from a database in MaxMind's format."""

from pathlib import Path

import maxminddb

from tidemark.base.settings import SettingError


class Countries:
    """The country database, if one is configured."""

    def __init__(self, path: Path | None) -> None:
        """Open the database. Raises SettingError if the file cannot be used."""
        self._reader = None
        if path is not None:
            try:
                self._reader = maxminddb.open_database(path)
            except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
                name = "TIDEMARK_GEOIP_DB"
                raise SettingError(
                    name, f"{name} must be the path of a database in MaxMind's format: {error}."
                ) from None

    def country(self, address: str) -> str | None:
        """The country of an IP address as an ISO 3166-1 alpha-2 code; None if unknown."""
        if self._reader is None:
            return None
        try:
            found = self._reader.get(address)
        except ValueError:  # not an address, or an IPv6 address and a database of IPv4
            return None
        country = found.get("country") if isinstance(found, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else None
        return code if isinstance(code, str) and len(code) == 2 else None

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.close()
