"""The address that a request comes from, behind any trusted proxies."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def client_address(peer: str | None, forwarded: Iterable[str], trusted: Sequence[Network]) -> str:
    """The peer's address or, behind trusted proxies, the last one in `X-Forwarded-For` that is not a trusted proxy's.

    `forwarded` are the values of that header. They are read from the end, up to the first untrusted address or the
    first value that is not an address: anybody may have written what precedes it.
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
    """An address as proxies and sockets write it, perhaps with a port, perhaps in brackets. None if it is not one."""
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
