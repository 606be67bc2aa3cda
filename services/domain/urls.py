"""URLs as names: one spelling for one page."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, quote, unquote, unquote_plus, urlencode, urlsplit

from services.domain.errors import InvalidInput
from services.domain.text import ascii_host, clean

_TRACKING = re.compile(
    r"utm_.*|(?:fb|g|d|ms|y|tw)clid|gbraid|wbraid|mc_[ce]id|igshid|_hs(?:enc|mi)|mkt_tok|ref|ref_src|ref_url"
    r"|referrer|spm|cmpid|ncid|s_cid|vero_id|__s|trk|guccounter|wt\..*",
    re.I,
)
KEY_NAME = (
    # Where a query or one of its parts begins; an address may itself be the value of a query, percent-encoded.
    r"(?:[?&;]|%(?:25)*(?:3F|26))"
    # What asks for the next page, sorts or looks up is no key.
    r"(?!(?:(?:next|prev(?:ious)?)[_-]?)?(?:resumption|page|next|continuation|cursor|sync)[_-]?token(?:=|%)"
    r"|(?:[\w.-]{0,60}[_.-])?(?:sort|order|group|query|search|filter|db|hot|primary|foreign|partition|row|cache|index"
    r"|next|page)[_-]?key(?:=|%))"
    # Short words end innocent ones (monkey, oauth), so they stand by themselves: after a separator, a hump or a prefix.
    r"(?:(?:(?:[\w.\[\]-]|%(?!(?:25)*(?:3F|26|3D|23))[0-9A-F]{2}){0,60}?(?:[_.\[-]|%(?:25)*(?:5F|2D|2E|5B)"
    r"|(?-i:(?<=[a-z0-9])(?=[A-Z]))|api|app|access|auth|secret|private|user|feed|rss|account|client|licen[cs]e"
    r"|subscription|session|master|service|consumer|dev|developer|signing|pass))?(?:key|auth|sig)"
    r"|(?:[\w.\[\]-]|%(?!(?:25)*(?:3F|26|3D|23))[0-9A-F]{2}){0,60}?"
    r"(?:token|secret|password|passwd|pwd|signature|credentials?))(?:\]|%(?:25)*5D)?"
)
"""The name of a key in the query of an address, and what it begins with."""
_KEY = re.compile(rf"({KEY_NAME})(?:(=)([^&#]+)|(%(?:25)*3D)((?:(?!%(?:25)*26)[^&#])+))", re.I)
_BLOTTED = re.compile(r"(?:=|%(?:25)*3D)\*\*\*", re.I)
_SCHEME = re.compile(r"https?://", re.I)
_WITHOUT_SCHEME = re.compile(r"(?:[a-z]+\.)?(?:arxiv|doi)\.org/", re.I)
_FROM_A_FEED = {
    "source": re.compile(r"rss.*|feed.*|twitter|newsletter", re.I),
    "rss": re.compile(r"|1|yes|true", re.I),
}


def without_keys(url: str) -> str:
    """An address as it may be shown: values of its query that are keys, tokens, signatures or passwords are `***`.

    >>> without_keys("https://lab.example/feed?api_key=hush&day=1")
    'https://lab.example/feed?api_key=***&day=1'
    """
    return _KEY.sub(r"\1\2\4***", url)


def has_keys(url: str) -> bool:
    """Whether an address holds a key, as `without_keys` sees it."""
    return without_keys(url) != url


def keys_in(url: str) -> set[str]:
    """What `without_keys` hides, as it is written in the address and as it is meant."""
    values = (found[3] or found[5] for found in _KEY.finditer(url))
    return {form for value in values for form in (value, unquote_plus(value), unquote_plus(unquote_plus(value)))}


def whole(url: str) -> str:
    """An address with its keys; `InvalidInput` for one as `without_keys` shows it, which is of no use for asking."""
    if _BLOTTED.search(url):
        raise InvalidInput(f"{url} is how an address is shown, without its key; give it with its key")
    return url


def split_url(text: str) -> SplitResult | None:
    """An http(s) URL in parts, `arxiv.org/…` and `doi.org/…` without scheme too; `None` for anything else."""
    if _WITHOUT_SCHEME.match(text):
        text = "https://" + text
    if not _SCHEME.match(text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.hostname else None


def canonical_url(url: str) -> str:
    """One spelling for one page, the value of a `url` identifier. For comparing: what is shown stays as it
    came.

    https, lower-case punycode host, no default port, user name, fragment, tracking parameters or trailing
    slash; parameters sorted; percent-encoding in one form. `www.` stays: without it some hosts do not answer.
    Raises `InvalidInput` for what is no http(s) URL.
    """
    parts = split_url(clean(url, limit=4_000))
    host = ascii_host(parts.hostname or "") if parts else None
    if parts is None or host is None:
        raise InvalidInput(f"not an http or https address: {url[:200]!r}")
    port = "" if parts.port in (None, 80, 443) else f":{parts.port}"
    path = _without_dots(_one_encoding(parts.path)).rstrip("/") or "/"
    kept = sorted(
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
        if not _is_tracking(name, value)
    )
    query = urlencode(kept, errors="surrogateescape")
    return f"https://{host}{port}{path}" + (f"?{query}" if query else "")


def _one_encoding(path: str) -> str:
    """Percent-encoding where it is needed and nowhere else; an encoded slash stays one, it parts nothing."""
    pieces = re.split("%2f", path, flags=re.I)
    plain = (unquote(piece, errors="surrogateescape").encode("utf-8", "surrogateescape") for piece in pieces)
    return "%2F".join(quote(piece, safe="/!$&'()*+,;=:@~") for piece in plain)


def _is_tracking(name: str, value: str) -> bool:
    value_rule = _FROM_A_FEED.get(name.lower())
    return bool(_TRACKING.fullmatch(name) or (value_rule and value_rule.fullmatch(value)))


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for segment in re.sub("/{2,}", "/", path).split("/"):
        if segment == "..":
            if len(kept) > 1:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)
