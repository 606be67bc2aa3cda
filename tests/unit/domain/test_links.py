from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.links import EVIDENCE, LINK_KINDS, LinkData, find_links, link_from_url
from services.domain.text import clean, safe_url

CORPORA = Path(os.environ.get("BROADSHEET_CORPORA") or Path(__file__).parents[4] / "shared" / "corpora")


def found(text: str, evidence: str = "abstract") -> list[tuple[str, str, str | None]]:
    return [(link.kind, link.url, link.slug) for link in find_links(text, evidence=evidence)]


def code(slug: str) -> tuple[str, str, str]:
    return "code", f"https://github.com/{slug}", slug


# --- where an address ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Code: https://github.com/us/ours",
        "Code: https://github.com/us/ours.",
        "Code: https://github.com/us/ours, and more",
        "Code: https://github.com/us/ours; more",
        "(https://github.com/us/ours)",
        "(see https://github.com/us/ours).",
        "[https://github.com/us/ours]",
        '"https://github.com/us/ours"',
        "'https://github.com/us/ours'",
        "“https://github.com/us/ours”",
        "‘https://github.com/us/ours’.",
        "«https://github.com/us/ours»",
        "代码见https://github.com/us/ours。",
        "https://github.com/us/ours的代码",
        "https://github.com/us/ours…",
        "https://github.com/us/ours...",
        "https://github.com/us/ours!",
        "**https://github.com/us/ours**",
        "<https://github.com/us/ours>",
        "`https://github.com/us/ours`",
        "[code](https://github.com/us/ours)",
        "[https://github.com/us/ours](https://github.com/us/ours)",
        "https://github.com/us/ours's code",
        "https://github.com/us/ours(MIT licence)",
        "https://github.com/us/ours|mirror",
        "https://github.com/us/ours/",
        "https://github.com/us/ours//",
        "https://github.com/us/ours.git",
        "https://github.com/us/ours.git.",
        "https://github.com/us/ours#readme",
        "https://github.com/us/ours?tab=readme-ov-file",
        "https://github.com/us/ours/tree/main/sub_dir.",
        "https://github.com/us/ours/blob/main/a.py#L1-L3",
        "https://github.com/us/ours/issues/1",
        "http://github.com/us/ours",
        "https://www.github.com/us/ours",
        "HTTPS://GitHub.com/us/ours",
        "github.com/us/ours",
        "www.github.com/us/ours.",
        "https:/github.com/us/ours",
        "https://raw.githubusercontent.com/us/ours/main/README.md",
        r"\url{https://github.com/us/ours}",
        r"available at~\url{https://github.com/us/ours}.",
        r"\href{https://github.com/us/ours}{here}",
        r"\href{https://github.com/us/ours}{https://github.com/us/ours}.",
        r"$\href{https://github.com/us/ours}{\text{this https URL}}$.",
        r"$\href{https://github.com/us/ours.git}{\texttt{https://github.com/us/ours.git}}$.",
        r"\textbf{https://github.com/us/ours}",
        "{https://github.com/us/ours{link}}.",
        "https://github.com/us/ours{label}.",
        "https://github.com/us/ours{https://github.com/us/ours}.",
        "https://github.com/us/ours}{https://github.com/us/ours.",
        "{github.com/us/ours}$.",
        "https://github.com/us/ours,https://github.com/us/ours",
        "https://github.com/us/ours and HTTPS://github.com/US/Ours/issues",
        "https://github.com/us/\u200bours",
        "https://github.com/us/ours.Our model is",
    ],
)
def test_the_repository_is_found_once_whatever_surrounds_it(text: str) -> None:
    assert found(text) == [code("us/ours")]


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        (r"https://github.com/us/our\_repo\_2", "us/our_repo_2"),
        (r"https://github.com/us/our\\_repo", "us/our_repo"),
        ("https://github.com/us/audit.git", "us/audit"),
        ("https://github.com/us/audit", "us/audit"),
        ("https://github.com/us/digit.", "us/digit"),
        ("https://github.com/us/Ours.jl.", "us/Ours.jl"),
        ("https://github.com/us/ours-v1.1.", "us/ours-v1.1"),
        ("https://github.com/us/.github", "us/.github"),
        ("https://github.com/us-/ours", "us-/ours"),
        ("https://github.com/Us/OURS", "Us/OURS"),
        ("code atgithub.com/us/ours", "us/ours"),
    ],
)
def test_a_name_is_kept_as_written(text: str, slug: str) -> None:
    assert found(text) == [code(slug)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://github.com/us/\nours.", [code("us/ours")]),
        ("https://github.com/us/ ours-2.", [code("us/ours-2")]),
        ("https://github.com/us/\nOurs_v2 is", [code("us/Ours_v2")]),
        ("https://github.com/ us/ours.", [code("us/ours")]),
        ("https: // github. com/\nus-ai/ ours-2 .", [code("us-ai/ours-2")]),
        ("https://github.com/us/our-\nModel2.", [code("us/our-Model2")]),
        ("https://github.com/us/KD- OCT.", [code("us/KD-OCT")]),
        ("https:// github.com/us/ours", [code("us/ours")]),
        ("https://github$.$com/us/ours", [code("us/ours")]),
        ("https://us. github.io/ours/", [("project", "https://us.github.io/ours/", None)]),
        ("https://us-\nlab.github.io/.", [("project", "https://us-lab.github.io/", None)]),
        ("https://us.github.io/ ours/", [("project", "https://us.github.io/ours/", None)]),
        ("https://us.github.io/ Code:", [("project", "https://us.github.io/", None)]),
        ("https://us.github.io/ and/or", [("project", "https://us.github.io/", None)]),
        ("https://github.com/us/\nsoon.", [("organization", "https://github.com/us", "us")]),
        ("https://github.com/us/ GPT-4 is used", [("organization", "https://github.com/us", "us")]),
        ("https://github.com/us/ and here", [("organization", "https://github.com/us", "us")]),
        ("https://github.com/us/ours/\nThe code", [code("us/ours")]),
        ("https://github.com/us/ours\nis our code", [code("us/ours")]),
        ("https://github.com/us/ours-.", [code("us/ours-")]),
    ],
)
def test_a_broken_address_is_joined_only_where_both_ends_say_so(
    text: str, expected: list[tuple[str, str, str | None]]
) -> None:
    assert found(text) == expected


def test_brackets_of_the_address_stay() -> None:
    assert found("(see https://ours.test/a_(b))") == [("project", "https://ours.test/a_(b)", None)]
    assert found("https://en.wikipedia.org/wiki/Set_(maths).") == [
        ("other", "https://en.wikipedia.org/wiki/Set_(maths)", None)
    ]


def test_a_tilde_written_in_tex_is_a_tilde() -> None:
    expected = [("project", "https://www.ours.test/~me/x", None)]
    for tilde in ("~", r"\~", r"\~{}", r"{\textasciitilde}", r"$\sim$", r"\string~"):
        assert found(f"https://www.ours.test/{tilde}me/x") == expected, tilde


def test_several_things_come_in_the_order_they_are_named() -> None:
    text = (
        "Code is at https://github.com/us/ours, weights at https://huggingface.co/us/ours-7b and data at "
        "https://huggingface.co/datasets/us/ours-data; see https://us.github.io/ours."
    )
    assert found(text) == [
        code("us/ours"),
        ("model", "https://huggingface.co/us/ours-7b", "us/ours-7b"),
        ("dataset", "https://huggingface.co/datasets/us/ours-data", "us/ours-data"),
        ("project", "https://us.github.io/ours", None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No address here, e.g. none.",
        "The code will be on GitHub.",
        "reviews from shop.com and U.S.A.",
        "write to us@github.com/x",
        "https://",
        "http://localhost/x",
        "available at www.github.com.",
        "https://github.com/.",
        "https://github.com/xxxx",
        "https://github.com/xxx/xxx.",
        "https://github.com/anonymous",
        "https://github.com/open_upon_acceptance.",
        "https://arxiv.org/abs/2601.01234",
        "https://doi.org/10.1145/3543873.3587625",
        "https://huggingface.co/papers/2601.01234",
        "https://openreview.net/forum?id=AbC_de-123",
    ],
)
def test_no_link_is_made_of_what_is_none(text: str) -> None:
    assert found(text) == []


# --- kinds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kind", "clean_url", "slug"),
    [
        ("https://github.com/us", "organization", "https://github.com/us", "us"),
        ("https://github.com/orgs/us/repositories", "organization", "https://github.com/us", "us"),
        ("https://github.com/topics/llm", "other", "https://github.com/topics/llm", None),
        ("https://github.com/features/copilot", "other", "https://github.com/features/copilot", None),
        ("https://github.com/sponsors/us", "other", "https://github.com/sponsors/us", None),
        ("https://github.com/marketplace/x", "other", "https://github.com/marketplace/x", None),
        ("https://gist.github.com/us/0a1b", "other", "https://gist.github.com/us/0a1b", None),
        ("https://us.github.io", "project", "https://us.github.io", None),
        ("http://us.github.io/ours/", "project", "https://us.github.io/ours/", None),
        ("https://gitlab.com/us/ours", "code", "https://gitlab.com/us/ours", "us/ours"),
        ("https://gitlab.com/us/sub/ours/-/tree/main", "code", "https://gitlab.com/us/sub/ours", "us/sub/ours"),
        ("https://gitlab.ours.test/us/ours.git", "code", "https://gitlab.ours.test/us/ours", "us/ours"),
        ("https://codeberg.org/us/ours/src/branch/main", "code", "https://codeberg.org/us/ours", "us/ours"),
        ("https://bitbucket.org/us/ours/src", "code", "https://bitbucket.org/us/ours", "us/ours"),
        ("https://huggingface.co/us/ours/tree/main", "model", "https://huggingface.co/us/ours", "us/ours"),
        ("https://hf.co/us/ours", "model", "https://huggingface.co/us/ours", "us/ours"),
        ("https://huggingface.co/us", "organization", "https://huggingface.co/us", "us"),
        ("https://huggingface.co/us/models", "organization", "https://huggingface.co/us", "us"),
        ("https://huggingface.co/spaces/us", "organization", "https://huggingface.co/us", "us"),
        ("https://huggingface.co/organizations/us/activity", "organization", "https://huggingface.co/us", "us"),
        ("https://huggingface.co/datasets/us/d", "dataset", "https://huggingface.co/datasets/us/d", "us/d"),
        ("https://huggingface.co/datasets/us/d/viewer", "dataset", "https://huggingface.co/datasets/us/d", "us/d"),
        ("https://huggingface.co/datasets/old", "dataset", "https://huggingface.co/datasets/old", None),
        ("https://huggingface.co/spaces/us/s", "space", "https://huggingface.co/spaces/us/s", "us/s"),
        ("https://huggingface.co/collections/us/c-1a", "other", "https://huggingface.co/collections/us/c-1a", None),
        ("https://huggingface.co/blog/us/post", "other", "https://huggingface.co/blog/us/post", None),
        ("https://www.modelscope.cn/models/us/ours", "model", "https://modelscope.cn/models/us/ours", "us/ours"),
        ("https://youtu.be/abc", "video", "https://youtu.be/abc", None),
        ("https://www.youtube.com/watch?v=abc", "video", "https://www.youtube.com/watch?v=abc", None),
        ("https://vimeo.com/1", "video", "https://vimeo.com/1", None),
        ("https://www.bilibili.com/video/BV1", "video", "https://www.bilibili.com/video/BV1", None),
        ("https://ours.test/talk.mp4", "video", "https://ours.test/talk.mp4", None),
        ("https://colab.research.google.com/drive/1", "demo", "https://colab.research.google.com/drive/1", None),
        ("https://us-ours.hf.space", "demo", "https://us-ours.hf.space", None),
        ("https://replicate.com/us/ours", "demo", "https://replicate.com/us/ours", None),
        ("https://zenodo.org/records/123", "dataset", "https://zenodo.org/records/123", None),
        ("https://doi.org/10.5281/zenodo.123", "dataset", "https://doi.org/10.5281/zenodo.123", None),
        ("https://figshare.com/s/1", "dataset", "https://figshare.com/s/1", None),
        ("https://physionet.org/content/x", "dataset", "https://physionet.org/content/x", None),
        ("https://www.kaggle.com/datasets/us/d", "dataset", "https://www.kaggle.com/datasets/us/d", "us/d"),
        ("https://www.kaggle.com/competitions/c", "other", "https://www.kaggle.com/competitions/c", None),
        ("https://www.kaggle.com/writeups/us", "other", "https://www.kaggle.com/writeups/us", None),
        ("https://www.kaggle.com/general/12345", "other", "https://www.kaggle.com/general/12345", None),
        ("https://legit.health.org/us/page", "project", "https://legit.health.org/us/page", None),
        ("https://sites.google.com/view/ours", "project", "https://sites.google.com/view/ours", None),
        ("https://bit.ly/Ours", "project", "https://bit.ly/Ours", None),
        ("https://goo.gle/ours", "project", "https://goo.gle/ours", None),
        ("https://Ours.Test/Page/", "project", "https://ours.test/Page/", None),
        ("http://ours.test/page", "project", "http://ours.test/page", None),
        ("https://creativecommons.org/licenses/by/4.0/", "other", "https://creativecommons.org/licenses/by/4.0/", None),
        ("https://aclanthology.org/2026.acl-long.1/", "other", "https://aclanthology.org/2026.acl-long.1/", None),
    ],
)
def test_the_host_says_what_a_link_is(url: str, kind: str, clean_url: str, slug: str | None) -> None:
    assert found(f"see {url}.") == [(kind, clean_url, slug)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Project page: https://ours.test/x", "project"),
        ("Code and data are at https://ours.test/x", "project"),
        ("Project page with demos and videos: https://ours.test/x", "project"),
        ("A live demo is at https://ours.test/x", "demo"),
        ("Try the playground: https://ours.test/x", "demo"),
        ("The dataset is available at https://ours.test/x", "dataset"),
        ("Dataset: https://ours.test/x", "dataset"),
        ("Videos are available at https://ours.test/x", "video"),
        ("The demo video is at https://ours.test/x", "video"),
        ("A new dataset distillation method. See https://ours.test/x", "project"),
        ("First Dataset Distillation Challenge, https://ours.test/x", "project"),
        ("released under the licence https://ours.test/license/1", "other"),
        ("The data is at https://drive.google.com/file/d/1", "dataset"),
        ("Supplement: https://drive.google.com/file/d/1", "other"),
        ("Accepted at the Conference on Things (https://ours.test/2026)", "other"),
        ("Accepted to CONF 2026. Project page: https://ours.test/x", "project"),
        ("Conference website: https://ours.test/2026", "other"),
        ("from the THEIRS shop (www.theirs.test), with 11 titles", "other"),
        ("our tool is available online (www.ours.test)", "project"),
    ],
)
def test_words_decide_where_the_host_is_unknown(text: str, kind: str) -> None:
    assert [one for one, _, _ in found(text, "comment")] == [kind]


def test_an_unknown_host_in_a_feed_is_nobodys_project() -> None:
    assert found("Read https://ours.test/x", "feed") == [("other", "https://ours.test/x", None)]


def test_a_bare_domain_counts_only_where_words_promise_an_address() -> None:
    assert found("available at ours-page.org for all") == [("project", "https://ours-page.org", None)]
    assert found("visit ours-page.org/x.") == [("project", "https://ours-page.org/x", None)]
    assert found("bought from ours-shop.com yesterday") == []


# --- fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        "https://github.com/us/ours",
        " https://github.com/us/ours\n",
        "https://github.com/us/ours/",
        "https://github.com/us/ours//",
        "https://github.com/us/\nours",
        "https://github.com/us/ours\r\n/tree/main/sub",
        "https://github.com/us/ours/tree/main/sub",
        "https://github.com/us/ours.git",
        "github.com/us/ours",
        "https://github.com/us/ours (official)",
        "https://github.com/us/ours https://github.com/us/other",
    ],
)
def test_a_field_typed_by_hand_gives_its_repository(field: str) -> None:
    link = link_from_url(field, evidence="hf", default_kind="code")
    assert link == LinkData(url="https://github.com/us/ours", kind="code", slug="us/ours", evidence="hf")


def test_a_field_on_an_unknown_host_has_the_kind_the_field_stands_for() -> None:
    field = " https://ours.test/page"
    assert link_from_url(field, evidence="project_page", default_kind="project") == LinkData(
        url="https://ours.test/page", kind="project", evidence="project_page"
    )
    assert link_from_url(field, evidence="feed") == LinkData(
        url="https://ours.test/page", kind="other", evidence="feed"
    )


def test_a_field_with_an_owner_only_is_an_organization() -> None:
    link = link_from_url("https://github.com/us", evidence="hf", default_kind="code")
    assert link is not None
    assert (link.kind, link.slug) == ("organization", "us")


@pytest.mark.parametrize(
    "field", ["", " ", "none", "N/A", "javascript:alert(1)", "https://arxiv.org/abs/2601.01234", "ftp://ours.test/x"]
)
def test_a_field_without_a_usable_address_gives_none(field: str) -> None:
    assert link_from_url(field, evidence="hf") is None


# --- always ------------------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [
        "https://", "http:/", "github.com/", "huggingface.co/", "us/", "ours", ".git", ".", ",", ")", "(", "{", "}",
        "\\", "_", "\\url{", "[a](", " ", "\n", "-", "doi.org/10.", "www.", ".github.io", "’", "。", "#", "?a=b", "%",
        "@",
    ]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=30).map("".join) | st.text())
def test_any_text_gives_safe_links_of_known_kinds_each_once(text: str) -> None:
    links = find_links(text, evidence="abstract")
    for link in links:
        assert link.kind in LINK_KINDS
        assert link.evidence in EVIDENCE
        assert safe_url(link.url) == link.url
        if link.kind in ("code", "model", "space"):
            assert link.slug is not None
            assert "/" in link.slug
            assert not link.slug.endswith(".git")
    names = [(link.kind, link.slug.lower()) for link in links if link.slug and "github.com" in link.url]
    assert len(names) == len(set(names))


@given(st.lists(_PIECES, max_size=20).map("".join))
def test_a_found_link_found_again_is_the_same_link(text: str) -> None:
    for link in find_links(text, evidence="abstract"):
        again = link_from_url(link.url, evidence="abstract", default_kind=link.kind)
        assert again == link


@pytest.mark.parametrize(
    "hostile",
    [
        "https://" * 25_000,
        "https://a." * 5_000,
        "https://github.com/" + "a" * 200_000,
        "https://github.com/a/ " * 3_000,
        "(" * 200_000,
        "https://a.b/" + "(" * 100_000,
        "github.com/" * 18_000,
        "available at " * 15_000,
        "a." * 100_000,
        "\\url{" * 40_000,
        "http" * 50_000,
        "https://" + "a-" * 90_000,
    ],
)
def test_hostile_text_is_answered_in_time(hostile: str) -> None:
    begun = time.thread_time()
    find_links(hostile, evidence="abstract")
    assert time.thread_time() - begun < 5


# --- a listing of the wild, read by eye --------------------------------------------------------------------

SEEN_IN_THE_SEED = [
    "uni-medical/UniMedVL", "univanxx/3mdbench", "xmed-lab/Med-RwR",
    "YtongXie/Medical-Vision-and-Language-Tasks-and-Methodologies-A-Survey", "mbzuai-oryx/BiMediX2",
    "Felix-012/generate_to_ground", "Zhen-yu-Liu/AdaSFFuse", "jameszhou-gl/gpt-4v-distribution-shift",
    "aiming-lab/MMedPO", "ChengyinLee/MulModSeg_2024", "richard-peng-xia/MMed-RAG", "linjiemu/MMXU",
    "mingze-yuan/Awesome-LLM-Healthcare", "mbzuai-oryx/UniMed-CLIP", "FreedomIntelligence/Med-MAT", "justinhxy/ITFC",
    "uni-medical/GMAI-VL", "CAMMA-public/SurgVLP", "ShawnHuang497/MedPLIB", "Lucas-rbnt/BM-MAE",
    "simula/PointDetectCount", "rajesh-lab/symile", "Jupitern52/TextBraTS", "sony/aki", "hyn2028/llm-cxr",
    "Asunatan/EchoVLM", "heitorrapela/MiPa", "manglu097/Chiron-o1",
]  # fmt: skip
OTHERS_IN_THE_SEED = [
    ("model", "https://huggingface.co/InfiX-ai/InfiMed-Foundation-4B", "InfiX-ai/InfiMed-Foundation-4B"),
    ("organization", "https://github.com/openmedlab", "openmedlab"),
    ("project", "https://goo.gle/medgemma", None),
    ("project", "https://medrega.github.io", None),
    ("project", "https://uni-medical.github.io/GMAI-MMBench.github.io/", None),
]


@pytest.mark.corpora
@pytest.mark.parametrize("flatten", [str, clean], ids=["as copied", "as stored"])
def test_every_link_of_the_saved_listing_is_found_and_no_other(flatten: type[str]) -> None:
    files = sorted((CORPORA / "seed").glob("*.txt"))
    if not files:
        pytest.skip("the recorded payloads are not here (BROADSHEET_CORPORA)")
    lines = files[0].read_text("utf-8").splitlines()
    links = [link for line in lines for link in found(flatten(line))]
    assert sorted(links, key=str) == sorted([*map(code, SEEN_IN_THE_SEED), *OTHERS_IN_THE_SEED], key=str)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Launched in 2024, ours.org platform addresses the gap.", [("project", "https://ours.org")]),
        ("We tested it on the theirs.org platform.", []),
        ("The test is available online at ours.info/pl.", [("project", "https://ours.info/pl")]),
        ("NTIRE 2025 webpage: https://www.ours.net/ntire/2025.", [("other", "https://www.ours.net/ntire/2025")]),
        (
            "A workshop paper accepted at https://tides.github.io/switch/",
            [("other", "https://tides.github.io/switch/")],
        ),
        ("Presented at https://tides-workshop.github.io/", [("other", "https://tides-workshop.github.io/")]),
        ("The videos are presented at https://ours.net/web.", [("video", "https://ours.net/web")]),
        ("Code: https://github.cs.lantern.edu/lab/TIDES", [("code", "https://github.cs.lantern.edu/lab/TIDES")]),
    ],
)
def test_what_was_read_in_further_abstracts(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(link.kind, link.url) for link in find_links(text, evidence="abstract")] == expected
