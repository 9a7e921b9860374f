"""Which IP addresses are public."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All allocated addresses. Those that embed IPv4 are outside (mapped, NAT64) or not global (6to4)."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is a host's on the internet, and not of this machine or its network.

    Source: the special-purpose address registries of IANA (RFC 6890), as `ipaddress` knows them.
    """
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST


def parse_address(host: str) -> IPv4Address | IPv6Address | None:
    """Returns the address of a host given as IPv6 or as four decimal numbers; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None
