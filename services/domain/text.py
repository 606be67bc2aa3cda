"""Texts from outside become plain text here, and TeX becomes something one can read.

Whatever a source sends is data: `clean` and `clean_html` give plain Unicode with nothing invisible or
executable in it, which templates then escape on the way out.
"""

from __future__ import annotations

import html
import ipaddress
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from pylatexenc import latex2text, latexwalker

MAX_URL = 2_000
"""Longest URL kept, in characters."""

# Dropped without trace: C0 and C1 controls (whitespace apart), soft hyphen, bidi marks, embeddings and
# isolates, zero-width characters, variation-free fillers, interlinear marks, tag characters, lone
# surrogates and noncharacters. They hide text from a reader or break a database (NUL in PostgreSQL).
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e0fff\ud800-\udfff]"
)
_TAG = re.compile(
    r"<(?:/?[a-zA-Z][a-zA-Z0-9:-]*(?:\s[^<>]*)?/?|!--.*?--|!\[CDATA\[.*?\]\]|![a-zA-Z][^<>]*|\?[^<>]*)>", re.S
)
_BREAKING_TAG = re.compile(
    r"(</?(?:address|article|aside|blockquote|br|dd|div|dl|dt|figcaption|figure|footer|h[1-6]|header|hr|li|main"
    r"|ol|p|pre|section|table|td|th|tr|ul)\b)",
    re.I,
)
_LONE_ANGLE = re.compile(r"<(?![a-zA-Z/!?])")
_PRINTABLE = re.compile(r"[ -~]*")


def strip_invisible(value: str) -> str:
    """`value` without control, zero-width and bidi characters; line breaks and tabs stay."""
    return _INVISIBLE.sub("", value)


def clean(value: str, *, limit: int = 20_000) -> str:
    """Plain text from any text: NFC, nothing invisible, single spaces, trimmed, at most `limit` characters."""
    text = value.replace("\n", " ").strip(" ")
    # Most text: there is nothing to look for but double spaces. The pattern is the faster, the longer a text is.
    if text.isascii() and (text.isprintable() if len(text) < 64 else _PRINTABLE.fullmatch(text)):
        text = " ".join(text.split()) if "  " in text else text
    else:
        text = " ".join(unicodedata.normalize("NFC", _INVISIBLE.sub("", value)).split())
    return text if len(text) <= limit else text[: max(limit, 0)].rstrip()


def clean_html(value: str, *, limit: int = 20_000) -> str:
    """Plain text from HTML, or from text that holds entities.

    Elements go, scripts and styles go with what they hold, block elements part words, entities are resolved
    once. A `<` that begins no tag (`a < b`) stays a `<`.
    """
    text = _INVISIBLE.sub("", value)
    if "<" in text:
        text = (
            _BREAKING_TAG.sub(r" \1", _LONE_ANGLE.sub("&lt;", text)) if _TAG.search(text) else text.replace("<", "&lt;")
        )
        import nh3  # here, as pylatexenc below: an idle process has no use for them

        text = nh3.clean(text, tags=set(), clean_content_tags={"script", "style"})
    return clean(html.unescape(text), limit=limit)


def excerpt(value: str, limit: int) -> str:
    """`value` in at most `limit` characters, cut at a word's end and closed with an ellipsis when cut."""
    if limit <= 0:
        return ""
    if len(value) <= limit:
        return value
    head = value[: limit - 1]
    if not value[limit - 1].isspace():
        at = max(head.rfind(" "), head.rfind("\n"))
        # A text without spaces near the end (Chinese, a long URL) is cut where it is.
        if at > limit // 2:
            head = head[:at]
    return head.rstrip(" \n\t,;:.-–—") + "…"


def safe_url(value: str) -> str | None:
    """`value` trimmed if it is an http or https URL one may put in a page or call, else `None`.

    A host is required (non-ASCII hosts come back in punycode); user names, control characters, spaces,
    backslashes and the delimiters `<`, `>` and `"` are refused, as is anything over `MAX_URL` characters.
    """
    url = value.strip()
    if len(url) < 250 and _PLAIN_URL.fullmatch(url):  # the usual one, of which nothing would be changed
        return url
    if not url or len(url) > MAX_URL or re.search(r"[\s<>\"\\`]", url) or _INVISIBLE.search(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or "@" in parts.netloc:
        return None
    host = ascii_host(parts.hostname or "")
    if host is None:
        return None
    netloc = host if port is None else f"{host}:{port}"
    whole = parts._replace(scheme=parts.scheme.lower(), netloc=netloc).geturl()
    # Code points that nobody has given a shape are shown as their bytes.
    return whole if whole.isprintable() else "".join(char if char.isprintable() else quote(char) for char in whole)


_PLAIN_URL = re.compile(
    r"https?://[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+(?:/[A-Za-z0-9._~/-]*)?"
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")


def ascii_host(host: str) -> str | None:
    """A host name in lower-case ASCII (punycode), an IPv6 address in brackets; `None` when it is neither."""
    if not host:
        return None
    if ":" in host:
        try:
            return f"[{ipaddress.IPv6Address(host)}]"
        except ValueError:
            return None
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    host = host.lower().removesuffix(".")
    if len(host) > 253 or not all(len(label) <= 63 and _LABEL.fullmatch(label) for label in host.split(".")):
        return None
    return host


# --- TeX ---------------------------------------------------------------------------------------------------

_TEXISH = re.compile(r"[\\$~^{}_`'-](?:(?<=[\\$~^{}_])|(?<=-)-|(?<=`)`|(?<=')')")
_MATH = re.compile(
    r"(?<!\\)\$\$(?P<display>.+?)(?<!\\)\$\$"
    # What holds a macro, an exponent or a group is a formula (`$\sim$90`); else as in Pandoc: no space just
    # inside the dollars and no digit after them, so `$5 to $10` stays money.
    r"|(?<!\\)\$(?P<marked>(?!\d[\d.,]*\s)[^$]*?(?:\\[a-zA-Z]|[\^_{])[^$]*)\$"
    r"|(?<!\\)\$(?P<sign>\s*[<>=~+±-]{1,2}\s*)\$"
    r"|(?<!\\)\$(?P<tight>(?!\s)[^$]*?[^$\s\\])\$(?!\d)"
    r"|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]",
    re.S,
)
_HREF = re.compile(r"\\href\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_URL_MACRO = re.compile(r"\\(?:url|path|nolinkurl)\s*\{([^{}]*)\}")
_BARE_URL = re.compile(r"https?://[^\s{}\ue000\ue001]+")
_HELD = re.compile("\ue000([\u0300-\u036f]*\\d[\\d\u0300-\u036f]*)\ue001[\u0300-\u036f]*")
"""What is held back, by its number; an accent on it (`\\^{$x$}`) lands on each sign."""
_SUPER = str.maketrans("0123456789+-=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ")
_SUB = str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎")
# arXiv's own accent code turns `\rho` into `\r{ho}`, and authors write `360{\deg}`.
_ARXIV_SLIPS = re.compile(r"(\{\\deg\}|\\deg(?![a-zA-Z]))|\\r\{ho\}")
_RAISED = re.compile(r"\^(?:\{([0-9+\-=()ni]+)\}|([0-9ni]))")
_LOWERED = re.compile(r"(?<!\\)_(?:\{([0-9+\-=()]+)\}|([0-9]))")
_DEGREE = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-zA-Z]))")
_FUNCTION = re.compile(r"\\(arg|cos|det|dim|exp|gcd|inf|ker|lim|ln|log|max|min|Pr|sin|sup|tan|tanh)(?![a-zA-Z])\s*")
_SILENT = re.compile(
    r"bf|it|sc|em|rm|tt|sf|sl|(?:bf|rm|sf|tt|md)(?:series|family)|(?:it|sc|sl|up)shape|normalfont|normalsize|tiny|small"
    r"|footnotesize|scriptsize|[Ll]arge|LARGE|huge|centering|noindent|left|right|[Bb]igg?[lr]?|(?:display|text|script)style"
    r"|(?:no)?limits|protect|relax|maketitle|newline|linebreak"
)
"""Macros that only dress what follows."""
_DROPPED_WITH_ARGUMENT = re.compile(
    r"\\(?:cite[a-z]*|label|footnote|thanks|vspace|hspace|input|include|includegraphics|(?:eq|page|auto|c)?ref)"
    r"\*?\s*(?:\[[^\[\]]*\])*\s*\{[^{}]*\}"
)
_ESCAPED = re.compile(r"\\([_%#&~$])")


def latex_to_text(value: str) -> str:
    r"""TeX as Unicode text for display: accents, `\emph{..}`, `$x^2$`, `~`, `--` become what they stand for.

    Never raises: what cannot be read as TeX loses its backslashes and braces only. URLs inside are left
    alone, a `%` is a per cent sign and `$5 to $10` is money.
    """
    text = clean(value.replace("\ue000", "").replace("\ue001", ""))
    if not _TEXISH.search(text):
        return text
    held: list[str] = []

    def hold(piece: str) -> str:
        held.append(piece)
        return f"\ue000{len(held) - 1}\ue001"

    def bring_back(piece: re.Match[str]) -> str:
        number = int(re.sub(r"\D", "", piece[1]))
        return held[number] if number < len(held) else ""

    text = _ARXIV_SLIPS.sub(lambda m: "°" if m[1] else "ρ", text)
    text = _HREF.sub(lambda m: _labelled(m[2], m[1], hold), text)
    text = _URL_MACRO.sub(lambda m: hold(_plain_url(m[1])), text)
    text = _BARE_URL.sub(lambda m: hold(_plain_url(m[0])), text)
    text = _DROPPED_WITH_ARGUMENT.sub("", text)
    text = _MATH.sub(lambda m: hold(_math_to_text(next(g for g in m.groups() if g is not None))), text)
    # What pairs as no formula is a sign of its own; pylatexenc would take it, `%`, `&` and `#` for syntax.
    text = re.sub(r"(?<!\\)([$%#&])", r"\\\1", text)
    text = _convert(text)
    for _ in range(3):  # a label may hold a formula that holds a URL
        text = _HELD.sub(bring_back, text)
    return clean(text)


def _labelled(label: str, url: str, hold: Callable[[str], str]) -> str:
    address = _plain_url(url)
    if _plain_url(label) == address or not safe_url(address):
        return hold(_plain_url(label)) if label else ""
    return f"{label} ({hold(address)})" if label else hold(address)


def _plain_url(url: str) -> str:
    return _ESCAPED.sub(r"\1", url)


def _math_to_text(source: str) -> str:
    source = _FUNCTION.sub(r" \1 ", _DEGREE.sub("°", source)).replace("( ", "(").replace("[ ", "[")
    source = _RAISED.sub(lambda m: (m[1] or m[2]).translate(_SUPER), source)
    source = _LOWERED.sub(lambda m: (m[1] or m[2]).translate(_SUB), source)
    return _convert(re.sub(r"(?<!\\)([%#&])", r"\\\1", source), math=True)


def _unknown_macro(node: latexwalker.LatexMacroNode, l2tobj: latex2text.LatexNodes2Text) -> str:
    """A macro of the authors' own (`\\ourmodel`) is shown by its name: a word is better than a hole.

    Macros the parser knows to take arguments, and nothing more (`\\texttt`), are shown as these.
    """
    arguments = node.nodeargd.argnlist if node.nodeargd is not None else None
    if arguments:
        return str(l2tobj.nodelist_to_text([one for one in arguments if one is not None]))
    name, space = str(node.macroname), str(node.macro_post_space or "")
    if name == "xspace":
        return space
    return "" if _SILENT.fullmatch(name) or not name.isalpha() else name + space


@cache
def _text_context() -> object:
    from pylatexenc import latex2text

    context = latex2text.get_default_latex_context_db()
    context.set_unknown_macro_spec(latex2text.MacroTextSpec("", simplify_repl=_unknown_macro))
    return context


def _convert(source: str, *, math: bool = False) -> str:
    if not _TEXISH.search(source):
        return source
    if source.count("{") > 200 or len(source) > 20_000:
        return _stripped(source)  # deep nesting is no prose, and costs pylatexenc its stack
    from pylatexenc import latex2text

    ends: list[Exception] = []
    try:
        # Made anew each time (30 µs): it keeps state while it works and may be called from several threads.
        converter = latex2text.LatexNodes2Text(
            latex_context=_text_context(), math_mode="text", keep_comments=True, strict_latex_spaces=False
        )
        prepared = f"${source}$" if math else source
        walker = _walker()(prepared, ends, tolerant_parsing=False)
        return str(converter.nodelist_to_text(walker.get_latex_nodes()[0]))
    except Exception:  # its parser raises many kinds on malformed TeX; the text itself is still readable
        return _stripped(source)
    finally:
        for end in ends:
            end.__traceback__ = None


@cache
def _walker() -> type[latexwalker.LatexWalker]:
    """pylatexenc's parser, which also lists the exceptions by which it tells itself that the text ends.

    It keeps them in the very frames that they name: all of their callers with all they hold, as a page of papers,
    would stay until the collector comes by.
    """
    from pylatexenc import latexwalker

    class Walker(latexwalker.LatexWalker):  # type: ignore[misc]
        def __init__(self, source: str, ends: list[Exception], **options: object) -> None:
            super().__init__(source, **options)
            self._ends = ends

        def get_token(self, *place: object, **options: object) -> object:
            try:
                return super().get_token(*place, **options)
            except latexwalker.LatexWalkerEndOfStream as end:
                self._ends.append(end)
                raise

    return Walker


def _stripped(source: str) -> str:
    def shown(match: re.Match[str]) -> str:
        return "" if match[1] is None or _SILENT.fullmatch(match[1]) else match[1]

    return re.sub(r"\\([a-zA-Z]+)\*?|[{}\\]", shown, source)
