"""Which IP addresses are public."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that is given out. Addresses that embed IPv4 are outside (mapped, NAT64) or not global (6to4)."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to anybody on the internet, and not to this machine, its network or no host.

    Source: the special-purpose address registries of IANA (RFC 6890), as `ipaddress` knows them.
    """
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is when it is no name: IPv6, or four decimal numbers; None otherwise."""
    try:
        return ip_address(host)
    except ValueError:
        return None
