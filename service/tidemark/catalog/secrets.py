"""Ids, keys and tokens: how they are made, and the only form in which secrets are stored."""

import hashlib
import re
import secrets
import string

_API_KEY = re.compile("[0-9a-f]{40}")
_LETTERS_AND_DIGITS = string.ascii_letters + string.digits


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(length))


def new_organization_id() -> str:
    """An opaque organization id."""
    return _random_text(24)


def new_api_key() -> str:
    """An organization key: 160 random bits."""
    return secrets.token_hex(20)


def looks_like_api_key(secret: str) -> bool:
    """Whether a secret has the form of an organization key, which no token has."""
    return _API_KEY.fullmatch(secret) is not None


def new_token() -> str:
    """An API token: 256 random bits behind a prefix that secret scanners can look for."""
    return f"tidemark_{secrets.token_hex(32)}"


def new_sensor_id() -> str:
    """A sensor id: `sen` and ten letters or digits."""
    return f"sen{_random_text(10)}"


def new_site_id() -> str:
    """A site id: 24 hexadecimal digits."""
    return secrets.token_hex(12)


def secret_hash(secret: str) -> bytes:
    """SHA-256, which is enough for secrets that are random and long."""
    return hashlib.sha256(secret.encode()).digest()
