"""What the collector accepts from a page: the document that the script sends, and where it may come from."""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import orjson

from tidemark.base.errors import forbidden, invalid
from tidemark.base.rules import ascii_host, filled, limited, one_of, text

KINDS = ("pageview", "event", "leave")
MAX_BODY = 64 * 1024
MAX_SENT = 1024
"""Maximum length of a URL, referrer or name, in characters; longer ones are refused."""
MAX_PATHNAME = 500
"""Maximum length of a pathname, in characters; the rest is cut off."""
MAX_NAME_BYTES = 2048
"""Maximum length of a name, in bytes of UTF-8; the rest is cut off. Names are part of an index key in the roll-ups, and
such a key has room for 2,700 bytes."""

OTHER = "(other)"
"""What further names count as once a day has as many as it may. No pathname or host can have this form."""

_HOST = re.compile(r"[a-z0-9_.:\[\]-]{1,253}")
# Characters that browsers leave unchanged in a path; all others are percent-encoded, as in browsers.
_SAFE = "/%:@!$&'()*+,;=~[]|^"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a page has sent: the site, what happened, and where."""

    site_id: str
    kind: str
    name: str | None
    host: str
    pathname: str
    referrer: str | None
    """Host of the referrer, including `www.`; None if there is none."""


def decode_sent(body: bytes) -> Sent:
    """Decode the body of a collector request. Raises TidemarkError (400), which names the field at fault."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid("body", f"The body is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise invalid("body", "The body must be a JSON object.")
    site_id = filled("site", document.get("site"))
    kind = one_of("type", document.get("type"), *KINDS)
    name = text("name", document.get("name"), MAX_SENT) if kind == "event" else None
    url = filled("url", document.get("url"), MAX_SENT)
    host = host_of(url)
    if host is None:
        raise invalid("url", "url must be the http or https address of the page.")
    referrer = document.get("referrer")
    if referrer is not None and not isinstance(referrer, str):
        raise invalid("referrer", "referrer must be text.")
    limited("referrer", referrer or "", MAX_SENT)
    pathname = as_pathname(urlsplit(url).path)
    return Sent(site_id, kind, name and _kept(name), host, pathname, host_of(referrer) if referrer else None)


def host_of(url: str) -> str | None:
    """The host of an http or https address, in lower case and as punycode; None for anything else."""
    try:
        parts = urlsplit(url)
        host = ascii_host(parts.hostname or "")
    except ValueError:
        return None
    return host if parts.scheme in ("http", "https") and _HOST.fullmatch(host) else None


def as_pathname(path: str) -> str:
    """A path in the form that identifies a page: percent-encoded as in browsers, at most 500 characters."""
    return quote(path or "/", safe=_SAFE, errors="replace")[:MAX_PATHNAME]


def belongs(host: str, domain: str) -> bool:
    """Whether a host is a site's domain or one of its subdomains."""
    return host == domain or host.endswith(f".{domain}")


def check_domain(sent: Sent, origin: str | None, domain: str) -> None:
    """Raise TidemarkError (403) if the page, or the origin that the browser names, is not on the site's domain."""
    if not belongs(sent.host, domain):
        raise forbidden("The page is not on the site's domain.", "url")
    if origin is not None and not belongs(host_of(origin) or "", domain):
        raise forbidden("The origin is not on the site's domain.", "Origin")


def external_referrer(sent: Sent, domain: str) -> str | None:
    """The referrer's host without `www.`; None if there is none or if it is the site itself."""
    if sent.referrer is None or belongs(sent.referrer, domain):
        return None
    return sent.referrer.removeprefix("www.") or None


def _kept(name: str) -> str:
    """The part of a name that is stored."""
    return name.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
