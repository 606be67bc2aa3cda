"""Which addresses may be called: the rules against server-side request forgery.

A feed's address comes from a stranger, and so does every redirect. Two questions are asked:

* of a URL, before anything is sent (`Guard.check_url`): http or https, a plain host name or address,
  the usual ports, no user name;
* of every address a name stands for, at the moment of dialling (`Guard.check_addresses`): global
  unicast and nothing else. One forbidden answer among many condemns the name.

What is allowed is listed, what is forbidden is what remains: for IPv6 2000::/3 less the tunnels
(RFC 4291, RFC 6890 and IANA's special-purpose registries). `ipaddress.is_global` alone is not
enough: it lets through IPv4-compatible, site-local, ISATAP and multicast addresses.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpx

from services.domain.errors import InvalidInput, UpstreamRejected

DEFAULT_PORTS = {"http": 80, "https": 443}
ALLOW_SETTING = "BROADSHEET_ALLOWED_PRIVATE_HOSTS"

_MAX_URL = 8_000
_HOST_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER_LABEL = re.compile(r"0x[0-9a-f]*|[0-9]+")

_IPV4_PURPOSES: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), purpose)
    for network, purpose in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier's shared address"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a cloud metadata address"),
        ("169.254.0.0/16", "a link-local or cloud metadata address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a special-purpose address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.31.196.0/24", "a special-purpose address"),
        ("192.52.193.0/24", "a special-purpose address"),
        ("192.88.99.0/24", "a 6to4 relay address"),
        ("192.168.0.0/16", "a private address"),
        ("192.175.48.0/24", "a special-purpose address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)
_IPV6_GLOBAL = IPv6Network("2000::/3")
_IPV6_PURPOSES: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), purpose)
    for network, purpose in (
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("::ffff:0:0/96", "an IPv4-mapped address"),
        ("::/96", "an IPv4-compatible address"),
        ("64:ff9b::/96", "a NAT64 address"),
        ("64:ff9b:1::/48", "a NAT64 address"),
        ("2001::/32", "a Teredo address"),
        ("2001::/23", "a special-purpose address"),
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "a 6to4 address"),
        ("3ffe::/16", "a reserved address"),
        ("3fff::/20", "a documentation address"),
        ("fc00::/7", "a private (unique local) address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
)
_ENTRY = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?|(?P<bare>[0-9a-f:.]+)")
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""The upper half of an interface identifier that embeds an IPv4 address (RFC 5214, section 6.1)."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be called. `allowed` says that its host stands in the list of allowed private hosts."""

    url: httpx.URL
    host: str
    """Lower case, punycode, no brackets, no closing dot."""
    port: int
    allowed: bool

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what credentials belong to."""
        return (self.url.scheme, self.host, self.port)


class Guard:
    """The rules, with the exceptions an operator has made.

    `allowed_private_hosts` holds `host` (any port) or `host:port`; IPv6 with a port is `[::1]:8080`.
    Raises `InvalidInput` for an entry that is neither.
    """

    def __init__(self, allowed_private_hosts: Collection[str] = frozenset()) -> None:
        self._allowed = frozenset(_allowed_entry(entry) for entry in allowed_private_hosts)

    def allows(self, host: str, port: int) -> bool:
        """Whether this host and port were let through by name."""
        return (host, None) in self._allowed or (host, port) in self._allowed

    def check_url(self, url: str | httpx.URL) -> Target:
        """The URL taken apart, ready to be called. Raises `UpstreamRejected` when it may not be."""
        shown = str(url)[:200]
        if len(str(url)) > _MAX_URL:
            raise UpstreamRejected(f"the URL is longer than {_MAX_URL} characters", url=shown)
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise UpstreamRejected(f"this is no URL: {error}", url=shown) from error
        if parsed.scheme not in DEFAULT_PORTS:
            raise UpstreamRejected(
                f"only http and https can be read, not {parsed.scheme[:20] or 'a URL without a scheme'}",
                url=shown,
            )
        if parsed.userinfo:
            # The URL is kept out of the error: what stands before the @ is somebody's password.
            raise UpstreamRejected(f"{parsed.host}: a URL with a user name or password in it is refused")
        host = _canonical(parsed.raw_host.decode("ascii", "replace").lower())
        port = parsed.port if parsed.port is not None else DEFAULT_PORTS[parsed.scheme]
        problem = _host_problem(host)
        if problem:
            raise UpstreamRejected(problem, url=shown)
        allowed = self.allows(host, port)
        if not allowed and port not in DEFAULT_PORTS.values():
            raise UpstreamRejected(
                f"port {port} of {host} is refused, only 80 and 443 are open; "
                f"add {_entry(host, port)} to {ALLOW_SETTING} if this is meant",
                url=shown,
            )
        if _is_address(host):
            self.check_addresses(host, port, (host,))
        return Target(url=parsed.copy_with(host=host, fragment=None), host=host, port=port, allowed=allowed)

    def check_redirect(self, source: Target, location: str) -> Target:
        """Where a redirect leads, if it may be followed.

        A stranger's redirect does not reach a host that only the operator may name: an allowed private host
        is followed to from itself, or from another allowed one.
        """
        try:
            joined = source.url.join(location)
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise UpstreamRejected(
                f"{source.host} redirects to what is no URL: {error}", url=str(source.url)
            ) from error
        target = self.check_url(joined)
        if target.allowed and not source.allowed and target.host != source.host:
            raise UpstreamRejected(
                f"{source.host} redirects to {_entry(target.host, target.port)}, "
                "which is allowed only when asked for directly",
                url=str(source.url),
            )
        return target

    def check_addresses(self, host: str, port: int, addresses: Iterable[str]) -> tuple[str, ...]:
        """The addresses, once each, if **all** may be dialled. Raises `UpstreamRejected` otherwise."""
        found = tuple(dict.fromkeys(addresses))
        if self.allows(host, port):
            return found
        for address in found:
            problem = address_problem(address)
            if problem:
                what = f"{host} is {problem}" if address == host else f"{host} resolves to {address}, {problem}"
                raise UpstreamRejected(f"{what}; add {_entry(host, port)} to {ALLOW_SETTING} if this is meant")
        return found


def address_problem(address: str) -> str | None:
    """Why an IP address may not be dialled (`a loopback address`), or `None` when it is global unicast."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "not an IP address"
    if isinstance(parsed, IPv4Address):
        return _ipv4_problem(parsed)
    return _ipv6_problem(parsed)


def _ipv4_problem(address: IPv4Address) -> str | None:
    for network, purpose in _IPV4_PURPOSES:
        if address in network:
            return purpose
    return None if address.is_global else "a special-purpose address"


def _ipv6_problem(address: IPv6Address) -> str | None:
    if address.scope_id is not None:
        return "a link-local address"
    for network, purpose in _IPV6_PURPOSES:
        if address in network:
            return purpose
    if address not in _IPV6_GLOBAL:
        return "a reserved address"
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return "an ISATAP address"
    return None if address.is_global else "a special-purpose address"


def _canonical(host: str) -> str:
    """One spelling for each host: no closing dot, addresses as `ipaddress` writes them."""
    name = host.removesuffix(".")
    return str(ipaddress.ip_address(name)) if _is_address(name) else name


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host_problem(host: str) -> str | None:
    """What is wrong with how a host is written; resolvers read more spellings than people expect."""
    if not host:
        return "the URL has no host"
    if _is_address(host):
        return None
    labels = host.split(".")
    if _NUMBER_LABEL.fullmatch(labels[-1]):
        return f"{host[:100]} is a number posing as a host; write addresses as four decimal numbers"
    if len(host) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        return f"{host[:100]!r} is no host name"
    return None


def _entry(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _allowed_entry(entry: str) -> tuple[str, int | None]:
    found = _ENTRY.fullmatch(entry.strip().lower())
    host = _canonical(found["v6"] or found["host"] or found["bare"]) if found else ""
    port = int(found["port"]) if found and found["port"] else None
    if _host_problem(host) or (port is not None and not 0 < port < 65_536):
        raise InvalidInput(f"{entry!r} in {ALLOW_SETTING} is neither a host nor host:port")
    return (host, port)
