"""Server-side request forgery: no address of ours is called because a stranger named it, however it is spelled.

Each case goes through the client that everything is fetched with; nothing may be dialled but what is public.
"""

from __future__ import annotations

import itertools

import pytest

from services.domain.errors import UpstreamRejected
from services.upstreams.http import Fetched
from tests.attacks.wires import PUBLIC, answer, world

REFUSED_AS_WRITTEN = {
    # another scheme
    "file:///etc/passwd": "only http and https",
    "gopher://127.0.0.1:6379/_FLUSHALL": "only http and https",
    "dict://127.0.0.1:11211/stats": "only http and https",
    "ftp://example.org/feed": "only http and https",
    "ldap://example.org/": "only http and https",
    "jar:http://example.org/a!/b": "only http and https",
    "data:text/xml,<rss/>": "only http and https",
    "unix:///var/run/docker.sock": "only http and https",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info": "only http and https",
    # another port
    "http://example.org:22/": "port 22",
    "http://example.org:6379/": "port 6379",
    "http://example.org:25/": "port 25",
    "https://example.org:2375/": "port 2375",
    # somebody's name before the host
    "http://example.org@169.254.169.254/": "user name",
    "http://example.org:80@127.0.0.1/": "user name",
    "http://127.0.0.1\\@example.org/": "user name|no URL|no host name|loopback",
    "http://example.org#@127.0.0.1/": None,
    # numbers that some resolvers read as an address
    "http://2130706433/": "number posing",
    "http://0x7f000001/": "number posing",
    "http://017700000001/": "number posing",
    "http://0177.0.0.1/": "number posing|no URL",
    "http://0x7f.0x0.0x0.0x1/": "number posing",
    "http://127.1/": "number posing",
    "http://127.0.1/": "number posing",
    "http://0/": "number posing",
    "http://127.0.0.1.5/": "number posing",
    "http://2852039166/latest/meta-data/": "number posing",
    "http://169.254.43518/": "number posing",
    "http://425.510.425.510/": "no URL|number posing",
    # plain addresses
    "http://127.0.0.1/": "loopback",
    "http://127.8.8.8/": "loopback",
    "http://0.0.0.0/": "unspecified",
    "http://10.1.2.3/": "private",
    "http://172.31.0.1/": "private",
    "http://192.168.1.1/": "private",
    "http://169.254.169.254/latest/meta-data/": "metadata",
    "http://100.100.100.200/latest/meta-data/": "shared",
    "http://168.63.129.16/machine": "metadata",
    "http://192.0.0.192/opc/v2/": "special",
    "http://224.0.0.1/": "multicast",
    "http://255.255.255.255/": "reserved",
    # IPv6, and IPv4 inside it
    "http://[::1]/": "loopback",
    "http://[::]/": "unspecified",
    "http://[0:0:0:0:0:0:0:1]/": "loopback",
    "http://[::ffff:127.0.0.1]/": "IPv4-mapped",
    "http://[::ffff:a9fe:a9fe]/": "IPv4-mapped",
    "http://[::127.0.0.1]/": "IPv4-compatible",
    "http://[64:ff9b::a9fe:a9fe]/": "NAT64",
    "http://[64:ff9b:1::7f00:1]/": "NAT64",
    "http://[2002:7f00:1::]/": "6to4",
    "http://[2001:0:7f00:1::]/": "Teredo",
    "http://[fe80::1]/": "link-local",
    "http://[fe80::1%25eth0]/": "link-local|no URL|no host name",
    "http://[fe80::1%eth0]/": "link-local|no URL|no host name",
    "http://[fd00:ec2::254]/": "unique local",
    "http://[fec0::1]/": "site-local",
    "http://[ff02::1]/": "multicast",
    "http://[2600:1f18::5efe:7f00:1]/": "ISATAP",
    "http://[::1": "no URL",
    "http://[v1.fe80::a+en1]/": "no URL|no host",
    # the same in disguise
    "http://127.0.0.1./": "loopback",
    "http://127.0.0.1../": "no host name|number posing|no URL",
    "http://127。0。0。1/": "loopback",
    "http://①②⑦.⓪.⓪.①/": "loopback|no URL|number posing",
    "http://１２７.0.0.1/": "loopback|no URL|number posing",
    "http://%31%32%37.0.0.1/": "number posing|no host name",
    "http://127.0.0.1%2f@example.org/": "user name",
    "http://127.0.0.1%00.example.org/": "no host name",
    "http://127.0.0.1\t.example.org/": "no URL|no host name",
    "http://exam\u200bple.org\u2044@x/": "user name|no URL|no host name",
    " http://127.0.0.1/": "no URL|only http|loopback",
    "http:/127.0.0.1/": "no host",
    "http:127.0.0.1/": "no host|only http",
    "//127.0.0.1/": "only http and https",
    "HTTP://LOCALHOST:8080/": "port 8080",
}


@pytest.mark.parametrize(
    ("url", "words"), [(u, w) for u, w in REFUSED_AS_WRITTEN.items() if w], ids=lambda value: ascii(value)[:70]
)
def test_an_address_that_leads_inside_is_refused_and_nothing_is_dialled(url: str, words: str) -> None:
    with world({}) as (http, dialled):
        with pytest.raises(UpstreamRejected, match=words):
            http.get(url)
        assert dialled == []


def test_what_stands_behind_the_fragment_is_no_host() -> None:
    with world({"example.org/": answer(200, b"public")}) as (http, dialled):
        fetched = http.get("http://example.org#@127.0.0.1/")
        assert isinstance(fetched, Fetched)
        assert fetched.body == b"public"
    assert dialled == [PUBLIC]


NAMES = {
    "localhost": ["127.0.0.1"],
    "localhost.": ["127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "one-of-many.example": [PUBLIC, "1.1.1.1", "10.0.0.7"],
    "first-of-many.example": ["::1", PUBLIC],
    "mapped.example": ["::ffff:10.0.0.1"],
    "nat64.example": ["64:ff9b::a00:1"],
    "tunnel.example": ["2002:a00:1::1"],
    "scoped.example": ["fe80::1%2"],
    "odd.example": ["not an address"],
    "xn--lcalhost-6bb.example": ["127.0.0.1"],
}


@pytest.mark.parametrize(("name", "addresses"), NAMES.items())
def test_a_name_that_stands_for_one_address_inside_is_refused(name: str, addresses: list[str]) -> None:
    with world({}, lambda *_: addresses) as (http, dialled):
        with pytest.raises(UpstreamRejected, match=r"resolves to .*, "):
            http.get(f"http://{name}/")
        assert dialled == []


def test_a_name_that_changes_its_answer_is_dialled_at_the_address_that_was_checked() -> None:
    turns = itertools.cycle([[PUBLIC], ["127.0.0.1"], ["169.254.169.254"]])
    asked: list[str] = []

    def rebinding(host: str, _: int) -> list[str]:
        asked.append(host)
        return next(turns)

    with world({"rebind.example/": answer(200, b"public")}, rebinding) as (http, dialled):
        assert http.get("http://rebind.example/").status == 200
        for _ in range(2):
            with pytest.raises(UpstreamRejected, match=r"rebind\.example resolves to (127|169)"):
                http.get("http://rebind.example/")
    assert (len(asked), dialled) == (3, [PUBLIC]), "one look-up for each call, and only the checked address"


def test_a_redirect_to_itself_is_looked_up_and_checked_again() -> None:
    turns = iter([[PUBLIC], ["10.0.0.1"]])
    answers = {"rebind.example/": answer(302, Location="/again")}
    with world(answers, lambda *_: next(turns)) as (http, dialled):
        with pytest.raises(UpstreamRejected, match=r"resolves to 10\.0\.0\.1"):
            http.get("http://rebind.example/")
        assert dialled == [PUBLIC]


LOCATIONS = {
    "http://127.0.0.1/": "loopback",
    "http://169.254.169.254/latest/": "metadata",
    "http://[::ffff:10.0.0.1]/": "IPv4-mapped",
    "//[::1]/": "loopback",
    "http://2130706433/": "number posing",
    "file:///etc/passwd": "only http and https",
    "gopher://x.example/": "only http and https",
    "http://x.example:6379/": "port 6379",
    "http://user:pw@x.example/": "user name",
    "http://127。0。0。1/": "loopback",
    "http://inside.example/": r"resolves to 10\.9\.9\.9",
    "\\\\127.0.0.1\\share": "404",
}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("hop", range(5))
@pytest.mark.parametrize(("location", "words"), LOCATIONS.items(), ids=lambda value: ascii(value)[:40])
def test_every_hop_of_a_redirect_is_checked(scheme: str, hop: int, location: str, words: str) -> None:
    answers = {f"hop{n}.example/": answer(302, Location=f"{scheme}://hop{n + 1}.example/") for n in range(hop)}
    answers[f"hop{hop}.example/"] = answer(307, Location=location)

    def names(host: str, _: int) -> list[str]:
        return ["10.9.9.9"] if host == "inside.example" else [PUBLIC]

    with world(answers, names) as (http, dialled):
        with pytest.raises(UpstreamRejected, match=words):
            http.get(f"{scheme}://hop0.example/")
        assert set(dialled) == {PUBLIC}


def test_the_list_of_allowed_hosts_lets_through_what_it_names_and_no_neighbour() -> None:
    def names(host: str, _: int) -> list[str]:
        return [PUBLIC] if host == "stranger.example" else ["10.0.0.5"]

    answers = {
        "wiki.lan:8080/": answer(200, b"ours"),
        "stranger.example/": answer(302, Location="http://wiki.lan:8080/"),
    }
    with world(answers, names, allowed_private_hosts={"wiki.lan:8080"}) as (http, dialled):
        assert http.get("http://wiki.lan:8080/").status == 200
        for url in ("http://wiki.lan/", "http://wiki.lan:8081/", "http://x.wiki.lan:8080/", "http://10.0.0.5:8080/"):
            with pytest.raises(UpstreamRejected):
                http.get(url)
        with pytest.raises(UpstreamRejected, match="only when asked for directly"):
            http.get("http://stranger.example/")
    assert dialled == ["10.0.0.5", PUBLIC]


def test_what_is_sent_is_checked_as_what_is_read() -> None:
    with world({"hook.example/": answer(302, Location="http://127.0.0.1/")}) as (http, dialled):
        for url in ("http://127.0.0.1/hook", "http://[::1]/", "http://2130706433/", "http://hook.example:6379/"):
            with pytest.raises(UpstreamRejected):
                http.post(url, json={})
        with pytest.raises(UpstreamRejected, match="redirects are not followed"):
            http.post("http://hook.example/", json={})
        assert dialled == [PUBLIC]


def test_the_list_is_as_long_as_it_should_be() -> None:
    assert len(REFUSED_AS_WRITTEN) + len(NAMES) + len(LOCATIONS) * 10 >= 200
