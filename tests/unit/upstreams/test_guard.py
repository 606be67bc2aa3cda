from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.errors import InvalidInput, UpstreamRejected
from services.upstreams.guard import Guard, address_problem

FORBIDDEN = {
    # IPv4
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "shared",
    "100.100.100.200": "shared",
    "100.127.255.255": "shared",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "metadata",
    "169.254.0.1": "link-local",
    "169.254.169.254": "metadata",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.192": "special",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4",
    "192.168.0.1": "private",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "198.51.100.7": "documentation",
    "203.0.113.9": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    # IPv6
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "IPv4-compatible",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:8.8.8.8": "IPv4-mapped",
    "::ffff:7f00:1": "IPv4-mapped",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b::8.8.8.8": "NAT64",
    "64:ff9b:1::a00:1": "NAT64",
    "100::1": "reserved",
    "2001::1": "Teredo",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "Teredo",
    "2001:10::1": "special",
    "2001:db8::1": "documentation",
    "2002:7f00:1::1": "6to4",
    "2002:c0a8:101::": "6to4",
    "2600:1f18::5efe:10.0.0.1": "ISATAP",
    "2600:1f18::200:5efe:7f00:1": "ISATAP",
    "3ffe::1": "reserved",
    "3fff::1": "documentation",
    "4000::1": "reserved",
    "5f00::1": "reserved",
    "fc00::1": "unique local",
    "fd00:ec2::254": "unique local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "2606:4700::1%eth0": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    # no addresses at all
    "": "not an IP address",
    "127.1": "not an IP address",
    "0177.0.0.1": "not an IP address",
    "localhost": "not an IP address",
}

GLOBAL = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "126.255.255.255",
    "128.84.21.199",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.255.255",
    "223.255.255.254",
    "2001:200::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2a04:4e42::223",
]


@pytest.mark.parametrize(("address", "word"), FORBIDDEN.items())
def test_addresses_that_are_not_global_unicast_are_refused(address: str, word: str) -> None:
    problem = address_problem(address)
    assert problem is not None
    assert word in problem


@pytest.mark.parametrize("address", GLOBAL)
def test_global_unicast_addresses_pass(address: str) -> None:
    assert address_problem(address) is None


def test_there_are_enough_bad_spellings() -> None:
    assert len(FORBIDDEN) >= 40


@given(st.ip_addresses(v=4))
def test_nothing_passes_that_the_standard_library_calls_private(address: ipaddress.IPv4Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert address_problem(str(address)) is not None


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_passes_outside_the_global_block(address: ipaddress.IPv6Address) -> None:
    if int(address) >> 125 != 1:
        assert address_problem(str(address)) is not None


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_passes_inside_an_ipv6_one(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    tunnels = (number, 0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80)
    for tunnel in tunnels:
        assert address_problem(str(ipaddress.IPv6Address(tunnel))) is not None


URLS = {
    "": "only http and https",
    "feed.xml": "only http and https",
    "//example.org/feed": "only http and https",
    "file:///etc/passwd": "only http and https can be read, not file",
    "ftp://example.org/": "only http and https",
    "javascript:alert(1)": "only http and https",
    "data:text/xml,x": "only http and https",
    "http:///feed": "no host",
    "http:/example.org": "no host",
    "http:\\\\127.0.0.1\\": "no host",
    "http://user@example.org/": "user name",
    "http://user:pass@example.org/": "user name",
    "http://example.org\\@127.0.0.1/": "user name",
    "http://1.1.1.1 &@127.0.0.1# @8.8.8.8/": "user name",
    "http://2130706433/": "number posing",
    "http://0/": "number posing",
    "http://127.1/": "number posing",
    "http://0x7f000001/": "number posing",
    "http://0x7f.0.0.1/": "number posing",
    "http://0X7F.1/": "number posing",
    "http://017700000001/": "number posing",
    "http://1.2.3.4.5/": "number posing",
    "http://0177.0.0.1/": "no URL",
    "http://256.1.1.1/": "no URL",
    "http://127.0.0.1/": "loopback",
    "http://127.0.0.1./": "loopback",
    "http://127\u30020\u30020\u30021/": "loopback",
    "http://\uff11\uff12\uff17.0.0.1/": "no URL",
    "http://%31%32%37.0.0.1/": "number posing",
    "http://%31%32%37.example/": "no host name",
    "http://127.0.0.1%00.example.org/": "no host name",
    "http://[::1]/": "loopback",
    "http://[::ffff:127.0.0.1]/": "IPv4-mapped",
    "http://[::ffff:7f00:1]/": "IPv4-mapped",
    "http://[fe80::1%25eth0]/": "link-local|no host name|no URL",
    "http://[::]:80/": "unspecified",
    "http://169.254.169.254/latest/meta-data/": "metadata",
    "http://exa mple.org/": "no host name",
    "http://a..b/": "no host name",
    "http://-a.example/": "no host name",
    "http://example.org:22/": "port 22",
    "http://example.org:0/": "port 0",
    "https://example.org:8443/": "port 8443",
    "http://example.org:99999/": "port 99999|no URL",
    "http://example.org:80:80/": "no URL",
    "http://exam\nple.org/": "no URL",
    "http://example.org/\x00": "no URL",
    "http://" + "a" * 64 + ".example/": "no host name",
    "http://" + ".".join(["a" * 60] * 5) + "/": "no host name",
    "http://example.org/" + "a" * 9_000: "longer than",
}


@pytest.mark.parametrize(("url", "words"), URLS.items(), ids=[repr(url)[:60] for url in URLS])
def test_urls_that_may_not_be_called(url: str, words: str) -> None:
    with pytest.raises(UpstreamRejected, match=words):
        Guard().check_url(url)


@pytest.mark.parametrize(
    ("url", "called", "host", "port"),
    [
        ("http://example.org", "http://example.org", "example.org", 80),
        ("https://EXAMPLE.org:443/Feed?a=b#top", "https://example.org/Feed?a=b", "example.org", 443),
        ("http://example.org:443/", "http://example.org:443/", "example.org", 443),
        ("https://example.org./x", "https://example.org/x", "example.org", 443),
        ("https://b\u00fccher.example/", "https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443),
        ("https://under_score.example/", "https://under_score.example/", "under_score.example", 443),
        ("http://93.184.216.34/", "http://93.184.216.34/", "93.184.216.34", 80),
        ("http://[2606:4700:4700::1111]/", "http://[2606:4700:4700::1111]/", "2606:4700:4700::1111", 80),
        ("http://3com.example/", "http://3com.example/", "3com.example", 80),
    ],
)
def test_urls_that_may_be_called(url: str, called: str, host: str, port: int) -> None:
    target = Guard().check_url(url)
    assert (str(target.url), target.host, target.port, target.allowed) == (called, host, port, False)


def test_a_password_is_kept_out_of_the_error() -> None:
    with pytest.raises(UpstreamRejected) as caught:
        Guard().check_url("https://reader:hush@example.org/")
    assert "hush" not in str(caught.value) + caught.value.url


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(UpstreamRejected) as caught:
        Guard().check_url("http://192.168.1.20/feed")
    assert str(caught.value) == (
        "192.168.1.20 is a private address; add 192.168.1.20:80 to BROADSHEET_ALLOWED_PRIVATE_HOSTS if this is meant"
    )


@pytest.mark.parametrize(
    ("entries", "url", "passes"),
    [
        ({"127.0.0.1"}, "http://127.0.0.1/", True),
        ({"127.0.0.1"}, "http://127.0.0.1:8080/", True),
        ({"127.0.0.1:8080"}, "http://127.0.0.1:8080/", True),
        ({"127.0.0.1:8080"}, "http://127.0.0.1:8081/", False),
        ({"127.0.0.1:8080"}, "http://127.0.0.1/", False),
        ({"127.0.0.1"}, "http://127.0.0.2/", False),
        ({"127.0.0.1:443"}, "https://127.0.0.1/", True),
        ({" Localhost:8080 "}, "http://localhost:8080/", True),
        ({"localhost:8080"}, "http://LOCALHOST.:8080/", True),
        ({"localhost:8080"}, "http://notlocalhost:8080/", False),
        ({"feeds.lan"}, "http://evil.feeds.lan:8080/", False),
        ({"[::1]:8080"}, "http://[::1]:8080/", True),
        ({"[::1]:8080"}, "http://[::1]:8081/", False),
        ({"::1"}, "http://[0:0:0:0:0:0:0:1]:99/", True),
        ({"127.0.0.1"}, "http://2130706433/", False),
        ({"127.0.0.1"}, "http://user@127.0.0.1/", False),
        ({"127.0.0.1"}, "file://127.0.0.1/etc/passwd", False),
    ],
)
def test_allowed_private_hosts_pass_and_their_neighbours_do_not(entries: set[str], url: str, passes: bool) -> None:
    guard = Guard(entries)
    if passes:
        assert guard.check_url(url).allowed
    else:
        with pytest.raises(UpstreamRejected):
            guard.check_url(url)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        ":8080",
        "host:",
        "host:http",
        "host:0",
        "host:70000",
        "http://host/",
        "*",
        "[::1",
        "::1]:80",
        "127.1",
    ],
)
def test_an_entry_that_is_no_host_is_refused_at_the_start(entry: str) -> None:
    with pytest.raises(InvalidInput, match="BROADSHEET_ALLOWED_PRIVATE_HOSTS"):
        Guard({entry})


def test_one_forbidden_address_condemns_them_all() -> None:
    with pytest.raises(UpstreamRejected, match=r"mixed\.example resolves to 10\.0\.0\.1, a private address"):
        Guard().check_addresses("mixed.example", 443, ["1.1.1.1", "10.0.0.1"])


def test_addresses_of_an_allowed_host_are_not_judged() -> None:
    guard = Guard({"feeds.lan:8080"})
    assert guard.check_addresses("feeds.lan", 8080, ["10.0.0.1", "10.0.0.1"]) == ("10.0.0.1",)
    with pytest.raises(UpstreamRejected):
        guard.check_addresses("feeds.lan", 80, ["10.0.0.1"])


@pytest.mark.parametrize(
    ("source", "location", "passes"),
    [
        ("https://a.example/", "/feed", True),
        ("https://a.example/", "//b.example/feed", True),
        ("https://a.example/", "http://b.example/feed", True),
        ("https://a.example/", "http://feeds.lan:8080/", False),
        ("http://feeds.lan:8080/", "/other", True),
        ("http://feeds.lan:8080/", "http://wiki.lan/", True),
        ("http://feeds.lan:8080/", "http://feeds.lan:8081/", False),
        ("http://feeds.lan:8080/", "http://10.0.0.1/", False),
        ("https://a.example/", "https://a.example:8443/", True),
        ("https://b.example/", "https://a.example:8443/", False),
    ],
)
def test_where_a_redirect_may_lead(source: str, location: str, passes: bool) -> None:
    guard = Guard({"feeds.lan:8080", "wiki.lan", "a.example:8443"})
    target = guard.check_url(source)
    if passes:
        guard.check_redirect(target, location)
    else:
        with pytest.raises(UpstreamRejected):
            guard.check_redirect(target, location)


@given(st.text(max_size=60))
def test_any_text_is_refused_or_becomes_a_plain_target(text: str) -> None:
    for url in (text, f"http://{text}", f"http://example.org/{text}"):
        try:
            target = Guard().check_url(url)
        except UpstreamRejected:
            continue
        assert target.url.scheme in {"http", "https"}
        assert target.port in {80, 443}
        assert target.host == target.url.raw_host.decode()
        assert not target.url.userinfo
