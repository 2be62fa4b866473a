"""The address that a request comes from, through the proxies that are trusted."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def client_address(peer: str | None, forwarded: Iterable[str], trusted: Sequence[Network]) -> str:
    """The peer's address; behind trusted proxies the last one in `X-Forwarded-For` that is not such a proxy's.

    `forwarded` are the values of that header. What stands before the first untrusted address anybody may have written,
    so it is not looked at; nor is anything before a value that is no address.
    """
    address = address_of(peer or "")
    if address is None:
        return peer or ""
    hops = [hop for value in forwarded for hop in value.split(",")]
    while hops and any(address in network for network in trusted):
        before = address_of(hops.pop())
        if before is None:
            break
        address = before
    return str(address)


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies and sockets write it: perhaps with a port, perhaps in brackets. None where it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
