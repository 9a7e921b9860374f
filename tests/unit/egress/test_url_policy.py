import contextlib
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.egress.addresses import is_public
from inferq.egress.url_policy import LONGEST_URL, UrlPolicy
from inferq.errors import InvalidInputError
from inferq.settings import Settings

NOT_PUBLIC = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
    "240.0.0.0/4", "255.255.255.255/32",
]  # fmt: skip
NOT_PUBLIC_6 = [
    "::/128", "::1/128", "::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64",
    "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "4000::/3", "e000::/4",
]  # fmt: skip
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: RUF100
PUBLIC = UrlPolicy()
ANY = UrlPolicy(allows_private=True)


def members(networks, kind):
    return st.sampled_from(networks).flatmap(
        lambda network: st.integers(int(kind(network).network_address), int(kind(network).broadcast_address))
    )


@given(members(NOT_PUBLIC, IPv4Network))
def test_no_ipv4_address_that_is_not_public_passes_in_any_spelling(number):
    address = IPv4Address(number)
    a, b, c, d = address.packed
    spellings = [
        str(address), str(number), hex(number), oct(number).replace("0o", "0"),
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{c << 8 | d}", f"0x{a:x}.{b}.{c}.{d}", f"0{a:o}.{b}.{c}.{d}",
        f"{a:04}.{b:03}.{c:03}.{d:03}", f"{address}.", f"[::ffff:{address}]", f"[::{address}]",
        f"[64:ff9b::{address}]", f"[::ffff:{a:02x}{b:02x}:{c:02x}{d:02x}]",
    ]  # fmt: skip
    assert not is_public(address)
    for host in spellings:
        with pytest.raises(InvalidInputError):
            PUBLIC.check(f"http://{host}/")


@given(members(NOT_PUBLIC_6, IPv6Network))
def test_no_ipv6_address_that_is_not_public_passes(number):
    address = IPv6Address(number)
    assert not is_public(address)
    for host in (f"[{address}]", f"[{address.exploded}]", f"[{address.exploded.upper()}]"):
        with pytest.raises(InvalidInputError):
            PUBLIC.check(f"https://{host}:8443/")


@pytest.mark.parametrize("host", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1"])
def test_public_addresses_pass(host):
    assert is_public(ip_address(host))
    assert PUBLIC.check(f"https://[{host}]/" if ":" in host else f"https://{host}/").host == host


@given(st.text(max_size=60))
def test_whatever_is_written_is_refused_or_names_a_host(text):
    for url in (text, f"http://{text}", f"https://{text}/x"):
        with contextlib.suppress(InvalidInputError):
            target = PUBLIC.check(url)
            assert target.host
            assert target.scheme in ("http", "https")
            assert target.path.startswith("/")
            assert not set(target.authority) & set("/?#@\\ ")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "character"),
        ("ftp://example.com/", "begins with https"),
        ("file:///etc/passwd", "begins with https"),
        ("//example.com/", "begins with https"),
        ("example.com/hook", "begins with https"),
        ("http:example.com", "begins with https"),
        ("http:///x", "no host"),
        ("http://me:secret@example.com/", "user name or password"),
        ("http://example.com@127.0.0.1/", "user name or password"),
        ("http://example.com/#top", "fragment"),
        ("http://example.com\\@127.0.0.1/", "character"),
        ("http://exa mple.com/", "character"),
        ("http://example.com/\r\nX: y", "character"),
        ("http://例え.jp/", "character"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:65536/", "not a URL"),
        ("http://example.com:x/", "not a URL"),
        ("http://[::1/", "not a URL"),
        ("http://exa%6dple.com/", "no host"),
        ("http://-example.com/", "no host"),
        ("http://a..b/", "no host"),
        (f"http://{'a' * 64}.com/", "no host"),
        ("http://[fe80::1%25eth0]/", "zone"),
        ("http://localhost:6379/", "not public"),
        ("http://x.LOCALHOST/", "not public"),
        ("http://127.1/", "odd address"),
        ("http://2130706433/", "odd address"),
        ("http://0x7f000001/", "odd address"),
        ("http://0177.0.0.1/", "odd address"),
        ("http://192.168.257/", "odd address"),
        (f"http://example.com/{'a' * LONGEST_URL}", "2067 characters"),
    ],
)
def test_what_is_wrong_is_said(url, words):
    with pytest.raises(InvalidInputError, match=words):
        PUBLIC.check(url)


def test_url_is_taken_apart():
    target = PUBLIC.check("HTTPS://Hooks.Example.COM.:8443/a/b?c=d&e")
    assert (target.scheme, target.host, target.port) == ("https", "hooks.example.com", 8443)
    assert (target.path, target.authority) == ("/a/b?c=d&e", "hooks.example.com:8443")
    assert PUBLIC.check("http://example.com?q").path == "/?q"
    assert ANY.check("http://[::1]:81").authority == "[::1]:81"
    assert PUBLIC.check("https://example.com:443/").origin == "https://example.com"


def test_only_hosts_of_the_list_pass_where_there_is_one():
    rules = UrlPolicy.for_webhooks(
        Settings(
            webhook_secret=SECRET,
            webhook_allowed_hosts="Api.example.org, *.example.com,8.8.8.8,[2606:4700::1]",
        )
    )
    for host in ("api.example.org", "a.example.com", "A.b.EXAMPLE.com", "8.8.8.8", "[2606:4700:0::1]"):
        rules.check(f"https://{host}/")
    for host in ("example.com", "example.org", "badexample.com", "api.example.org.evil.com", "8.8.4.4"):
        with pytest.raises(InvalidInputError, match="INFERQ_WEBHOOK_ALLOWED_HOSTS"):
            rules.check(f"https://{host}/")


def test_private_addresses_pass_where_the_setting_says_so():
    assert ANY.check("http://127.0.0.1:8000/x").port == 8000
    assert ANY.check("http://localhost/").host == "localhost"
    with pytest.raises(InvalidInputError, match="odd address"):
        ANY.check("http://127.1/")


def test_webhooks_are_off_without_a_secret():
    assert UrlPolicy.for_webhooks(Settings()) is None
