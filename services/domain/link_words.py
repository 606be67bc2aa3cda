"""What the words before an address say it is, where its host says nothing.

`Demo: https://…`, `accepted at the workshop (https://…)`, `a video is available at https://…`. Only the sentence
that leads to the address counts, and of two sentences joined by "and" the second.
"""

from __future__ import annotations

import re

from services.domain.link_venues import names_a_venues_page, names_an_event, tells_of_the_place

REACH = 320
"""Characters before an address that are looked at."""

_PAGE = re.compile(r"project|home ?page|web ?(?:page|site)|\bpage\b|\bsite\b", re.I)
_OFFERED = re.compile(r"\b(?:available|release|open|publish|provide|project|page|site|code|demo)\w*", re.I)
_CODE = re.compile(
    r"\bcode(?:s|bases?)?\b|(?<!open[ -])\bsource|implementation|(?<!data )(?<!dataset )repositor"
    r"|\bmodels?\b|weights|checkpoint|harness|toolkit|leaderboard|\bresults?\s+and\b"
    r"|\band\s+(?:results?|related resources)\b",
    re.I,
)
_NAMED_IN_PASSING = re.compile(r"\(\s*$")
_SOMEBODY_ELSES = re.compile(
    r"\b(?:us(?:e|es|ed|ing)|based (?:up)?on|built (?:up)?on|built with|compar\w+ (?:with|to|against)|crawled|scraped"
    r"|collected|obtained|sourced|taken|derived|retrieved|powered by)\b[^.;:()]{0,120}\(\s*$",
    re.I,
)
_USED = re.compile(
    r"\b(?:(?<!to )use[sd]?|using|adopt(?:s|ed)?(?: by)?|(?:buil[td]|based|relies|rely) (?:up)?on(?: top of)?|on top of"
    r"|extend(?:s|ing)|(?<!be )(?:adapted|forked|taken|borrowed|collected|derived|sourced|obtained|mined|crawled) from"
    r"|fork of|(?:fine-?tuned|trained) (?:on|from)|evaluated? (?:on|with)|compar\w+ (?:with|to|against)"
    r"|powered by|such as|e\.g\.,?)\b(?P<what>(?:[^.;:()]|\.(?=\S)){0,80}[\s(\[]{0,3})$",
    re.I,
)
_BUILT_ON_IT = re.compile(r"\b(?:buil[td]|based) (?:up)?on(?: top of)?[\s(\[]*$", re.I)
_WORK = r"(?:codes?|code ?base|implementations?|scripts?|software|notebooks?|repositor(?:y|ies)|toolkit|package)"
_LEADS = rf"^\W*(?:(?:our|the|all|source|full|training|official) )*{_WORK}\b"
_OUR_WORK_AFTER = re.compile(
    # "as our backbone", "in our experiments" say what others made is for
    r"(?<!\bas )(?<!\bin )(?<!\bfor )(?<!\bof )\bour\b"
    rf"|\b(?:and|while|with|but)(?: (?:the|its|all|full|source|training|evaluation))* {_WORK}\b(?! (?:of|from|by)\b)"
    rf"|\b(?:this|the) {_WORK}(?: (?:in|at))?[\s(\[]*$"
    r"|\band the (?:data(?: ?sets?)?|corpus|corpora|benchmarks?|models?|weights|prompts?)[\s(\[]*$",
    re.I,
)
_OUR_WORK_BEFORE = re.compile(
    rf"{_LEADS}(?!.*\b(?:is|are|can|will|has|have|was|were)\b)"
    r"|(?<!\bin )(?<!\bfor )\bour [\w-]+(?: [\w-]+)?, (?:[\w-]+(?: [\w-]+)?, ?)?$",
    re.I,
)
_OUR_WORK_AT = re.compile(rf"{_LEADS}.*, *$", re.I)
"""`Code is built on X, https://…`"""
_USED_HERE = re.compile(
    rf"\b(?:{_WORK}|data(?: ?sets?)?|corpus|corpora|models?|prompts?|materials?|benchmarks?|weights|checkpoints?)"
    r" (?:that (?:was|were) |we )?used (?:here\b|(?:for|to)\b|(?:in|throughout) (?:this|the|our|all|these)\b)"
    r"(?!.*\b(?:is|are|was|were|from|by)\b)",
    re.I,
)
_OWN = re.compile(
    r"\b(?:available|accessible|accessed|releas\w+|open-?sourc\w+|publish\w*|public\w*|provid\w+|shar\w+|found|host\w*"
    r"|download\w*|refer|visit|see|by us|introduc\w+|present|propose|named|called"
    r"|reproduc(?:ed|ib\w+)|can be (?:\w+ly )?\w+ using|(?:is|are) (?:at|in)"
    r"|(?:our|the) (?:source )?(?:codes?|data ?sets?|implementation|repository) at)\b",
    re.I,
)
_FRONT_PAGE = re.compile(r"https?://(?P<www>www\.)?[^/]+/?", re.I)
_DATA_SET = r"(?:data ?sets?|databases?|corpus|corpora|annotations?)"
_DATA_NOUN = rf"(?:{_DATA_SET}|data)"
_CAN_BE_HAD = r"(?:available|accessible|released|accessed|found|downloaded)"
_DATA_OFFERED = re.compile(
    # Near the address only: "First Dataset Distillation Challenge, https://…" offers no data.
    rf"\b{_DATA_SET}\b(?:\s*[:(]|,? (?:and|&|here|via|in|from)\b|,? (?:please )?(?:see|visit|check)\W*$)"
    r"|(?:^\W*|\b(?:our|the|all|its|these|this) (?:[\w-]+ )?)data(?:\s*\(|,? (?:and|&|here|via|in|from)\b)"
    rf"|\b{_DATA_NOUN}\b(?:\s*:|,? (?:is|are|was|has|have|can|will|at|available|publicly|already|accessible|released"
    r"|stored|archived|deposited|downloads?|link|page|repository)\b|\s?\\footnote\{\s*$|\s*$"
    r"|(?: \w+){1,5} (?:is|are) (?:\w+ )?(?:available|accessible|released|open|public|online|hosted)\b"
    r"|(?: \w+){1,5} can be (?:accessed|downloaded|found|obtained|requested)\b|[^,.]{0,60}, (?:is|are|will be|can be)\b"
    rf"|,?[^.,]{{0,100}}\b(?:and|which) (?:is|are|will be|can be) (?:\w+ )?{_CAN_BE_HAD}\b[^,]*$"
    # "our dataset X, which features …, available at: …"
    r"|(?: [\w-]+)?, (?:which|that|with|featuring|containing|comprising|consisting|called|named|dubbed|termed)\b.*,"
    rf" (?:(?:is|are|will be|can be) )?(?:\w+ )?{_CAN_BE_HAD}\b[^,]*$)"
    # "we release the data behind this study under …", "we present X, a corpus of Y (…"
    rf"|\b(?:releas|shar|publish|provid|open-?sourc)\w* (?:[\w-]+ ){{0,4}}{_DATA_NOUN}\b[^,.]{{0,60}}"
    r"\b(?:at|under|on|via):?\s*$"
    r"|\b(?:introduc|present|propos|releas|describ|publish)\w*\b[^.;]{0,60}\b(?:an?|the|our|new|novel) (?:[\w-]+ ){0,4}"
    r"(?:data ?set|database|corpus)\b[^.,;]{0,80}[(\[{]\s*$",
    re.I,
)
_MEDIA = (
    (
        "video",
        re.compile(
            r"\b(?:demo\w*\s+)?(?:videos|movies?|video(?!s|[ -](?:data|corp|bench|model|gener|underst|diffusion|edit"
            r"|segment|retriev|caption|LLM|question|QA|language|analy|classif|recogn|track|compress|cod(?:ing|ec)|process"
            r"|platform|token|synth|predict|annot|encod|stream|game)))\b"
            r"|\bscreencast|\bwatch (?:the|our|a|it)\b"
            r"|\brecord(?:ed|ing of (?:the|our|an?)) (?:talk|presentation|demo)",
            re.I,
        ),
    ),
    (
        "demo",
        re.compile(
            r"(?<!video )(?<!videos )\bdemos?\b(?!\s+(?:videos?|movies?))|\bplayground\b|\bdemonstrators?\b"
            r"|\b(?:an?|live|online|interactive|web|system|working) demonstration\b(?!\s+(?:videos?|movies?|data))"
            r"|\binteractively (?:tested|used|tried)\b|\bexperienced (?:directly |online )?(?:at|via|on|through)\b"
            r"|\btr(?:y|ied) (?:it|out|them|our|the|this|online|live)\b",
            re.I,
        ),
    ),
    ("dataset", _DATA_OFFERED),
)
_STORES = re.compile(
    r"https?://(?:drive\.google\.com|(?:www\.)?dropbox\.com|pan\.baidu\.com|1drv\.ms|[a-z0-9-]+\.sharepoint\.com"
    r"|[a-z0-9.-]+\.amazonaws\.com|storage\.googleapis\.com)/",
    re.I,
)
_PAPERS_PATH = re.compile(
    r"/licen[cs]es?\b|\.pdf(?:[?#]|$)|/proceedings\b|/programme\b|accepted[-_]papers|/article/view/|/poster[-_s/]", re.I
)
_DATA_PATH = re.compile(r"/data-?sets?(?:/[^?]*)?$", re.I)
_RECORD_PATH = re.compile(r"https?://[^/]+/records?/\d+/?$", re.I)
"""Of an archive that runs Invenio, as Zenodo and many institutes' own do: `…/record/3668`."""
_DATA = re.compile(r"\bdata(?: ?sets?)?\b|\bcorp(?:us|ora)\b", re.I)
_SENTENCE_END = re.compile(r"[.!?;]\s+|https?://\S*")
_AND_ALSO = re.compile(r"https?://\S+?(?:,\s+(?:and\s+)?|\s+(?:and|&|or)\s+)(?:at\s+)?$")
"""The second of two addresses that one sentence leads to."""
_NEXT_CLAUSE = re.compile(
    r",?\s(?:and|while)\s(?:(?:the|our|a|an|its)\s)(?=[^,]*\b(?:is|are|can|will|has|have)\b)", re.I
)
_SECOND_OF_TWO = re.compile(
    r"\b(?:pages?|sites?|websites?|codes?|models?|data ?sets?|data|demos?|videos?) and"
    r" (?:(?:the|our|an?|online|live) )*"
    r"(?P<one>data ?set|data|demo|video)s?\b[^.!?;]*\bhttps?://\S+,? and (?:at )?$",
    re.I,
)
"""`The page and a demo are at https://… and https://…`"""
_FIRST_OF_TWO = re.compile(
    r"\b(?P<one>data ?set|data|demo|video)s? and (?:(?:the|our|an?|source|training|pre-?trained|model) )*"
    r"(?:pages?|codes?|models?|weights|implementation|data ?sets?|demos?|videos?)\b[^.!?;,]*"
    r"\b(?:at|on|from|via|in|here):?\s*$",
    re.I,
)
_AND_ANOTHER = re.compile(r"\s?,? and (?:at )?(?:https?://|(?:github|huggingface)\.com?/)", re.I)
_LABEL = re.compile(r"\}\s*\{(?:\\\w+\{)?([^{}]{1,40})\}")
"""What `\\href{https://…}{…}` shows of its address."""
_LABELS = (
    ("video", re.compile(r"\bvideos?\b", re.I)),
    ("demo", re.compile(r"\bdemos?\b(?! video)", re.I)),
    ("dataset", re.compile(r"\b(?:data ?sets?|data|corpus)\b", re.I)),
)
_DEMO_OF = re.compile(r"^\W*(?:an?|the|our)\s(?:[\w-]+ ){0,2}demos? (?:of|for)\b(?!.*\bcodes?\b)", re.I)
_A_DATA_SET_IT_IS = re.compile(
    r"\s?\)?,? (?:an?|the|our) (?:[\w-]+ ){0,4}(?:data ?set|corpus|database)\b(?! and)", re.I
)
"""`We introduce X (https://…), a new dataset of …`"""
_TRY = re.compile(r"\btry (?:it|out|them|our|the|this)\b[^.,;]*\b(?:at|on|via|here):?\s*$", re.I)
_TOOLS = r"(?:tools?|tool(?:box|kit)|framework|pipeline|software|scripts?|platform|library|package|server|extractors?)"
_AND = r",? (?:and|&|as well as|(?:along|together) with) (?:[\w-]+ ){0,3}"
_DATA_AND_TOOLS = re.compile(
    rf"\b(?:data ?sets?|data|corpus|corpora|benchmarks?)\b{_AND}{_TOOLS}\b"
    rf"|\b{_TOOLS}\b{_AND}(?:data|corp(?:us|ora)|benchmark|demo|video)",
    re.I,
)
_MEDIA_AND_MORE = re.compile(
    r"\b(?:videos?|demos?|movies?|demonstrations?)\b[^.:;]{0,20}\band (?:[\w-]+ ){0,2}(?:resources?|materials?"
    r"|instructions?|results?|comparisons?|details|images|visuali[sz]ations?|figures|examples|information|documents?|experiments)\b",
    re.I,
)
_BESIDE_THE_PAPER = re.compile(
    r"\b(?:blog(?:[ -]?posts?)?|slides?|poster|press release|news|podcast|interview|author'?s? (?:home ?page|page)"
    r"|contact|correspondence|e-?mail)(?: (?:is|are|available|online|link|at|on|here|to))*\W*$",
    re.I,
)
"""What authors point at that is neither the work nor its page."""
_VERB = re.compile(r"\b(?:is|are|can|will|has|have|was|were)\b", re.I)


def kind_by_words(before: str, url: str, default: str, *, after: str = "", looks_back: bool = False) -> str:
    """The kind of an address on a host that says nothing: `project`, `demo`, `video`, `dataset` or `other`.

    `before` is the text that leads to it (`REACH` characters are enough), `after` what follows. `default` is `project`
    where authors speak of their own work; with any other the words are not asked, and it is `other`. With
    `looks_back` an address that stands alone is what the sentence before says: comments are lists (`Accepted at …,
    Dresden. https://…`).
    """
    if default != "project" or _PAPERS_PATH.search(url):
        return "other"
    sentence = last_sentence(before, looks_back=looks_back)
    if names_a_venues_page(sentence) or names_an_event(before) or _BESIDE_THE_PAPER.search(sentence):
        return "other"
    if _is_somebody_elses(before, sentence, url):
        return "other"
    label = _LABEL.match(after)
    if label and (kind := _kind_of_label(label[1])):
        return kind
    one_of_two = _SECOND_OF_TWO.search(before) or (_FIRST_OF_TWO.search(before) if _AND_ANOTHER.match(after) else None)
    if one_of_two:
        return next((kind for kind in ("demo", "video") if kind in one_of_two["one"].lower()), "dataset")
    if _A_DATA_SET_IT_IS.match(after) and not _PAGE.search(sentence):
        return "dataset"
    if _TRY.search(before) or (_DEMO_OF.search(sentence) and " and " not in sentence):
        return "demo"
    if _RECORD_PATH.match(url) and _DATA.search(before):
        return "dataset"
    clause = _last_clause(sentence)
    media = [kind for kind, words in _MEDIA if words.search(clause)]
    if len(media) > 1 or any(words.search(clause) for words in (_PAGE, _CODE, _DATA_AND_TOOLS, _MEDIA_AND_MORE)):
        kind = "project"  # a page that holds several things
    elif media:
        kind = media[0]
    elif tells_of_the_place(sentence, before, url):
        kind = "other"
    else:
        kind = "dataset" if _DATA_PATH.search(url) else default
    # A file store holds files: it is nobody's page.
    return "other" if kind == "project" and _STORES.match(url) else kind


def names_what_was_used(before: str) -> bool:
    """Whether the repository after `before` is the work of others: `built on https://…`, `trained on X (https://…)`.

    In doubt it is the authors' own: to miss that costs more than to keep another's.
    """
    sentence = last_sentence(before)
    if _BUILT_ON_IT.search(sentence):
        return True
    used = _USED.search(sentence)
    if used is None or any(words.search(sentence) for words in (_OWN, _USED_HERE, _OUR_WORK_AT)):
        return False
    return not (_OUR_WORK_AFTER.search(used["what"]) or _OUR_WORK_BEFORE.search(sentence[: used.start()]))


def _kind_of_label(label: str) -> str | None:
    if _CODE.search(label) or _PAGE.search(label):
        return None
    kinds = [kind for kind, words in _LABELS if words.search(label)]
    return kinds[0] if len(kinds) == 1 else None


def _is_somebody_elses(before: str, sentence: str, url: str) -> bool:
    """`scraped from the JD platform (www.JD.com)`, `built on X (https://x.io)`: it says what was used."""
    front = _FRONT_PAGE.fullmatch(url)
    if front is None or not _NAMED_IN_PASSING.search(before) or _OFFERED.search(sentence):
        return False
    return bool(front["www"]) or _SOMEBODY_ELSES.search(before) is not None


def last_sentence(before: str, *, looks_back: bool = False) -> str:
    """The sentence that leads to an address; where it is empty and `looks_back`, the one before it, too."""
    if also := _AND_ALSO.search(before):
        before = before[: also.start()]
    pieces = _SENTENCE_END.split(before)
    alone = not pieces[-1].strip()
    return " ".join(pieces[-3:]) if alone and looks_back else pieces[-1]


def _last_clause(sentence: str) -> str:
    """Of `the code will be public and the video is at`, the second half; of `code and data are at`, all."""
    parts = list(_NEXT_CLAUSE.finditer(sentence))
    if parts and _VERB.search(sentence[: parts[-1].start()]):
        return sentence[parts[-1].end() :]
    return sentence
