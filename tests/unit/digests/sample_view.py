"""A realistic edition of twelve papers. The papers, people and repositories are invented."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from services.domain.digests import CodeFacts, EditionItem, EditionView, SourceStatus

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
WEB = "https://papers.example.org"


def code(slug: str, stars: int | None, **facts: object) -> CodeFacts:
    """A repository checked forty minutes before the edition."""
    given: dict[str, object] = {
        "slug": slug,
        "url": f"https://github.com/{slug}",
        "stars": stars,
        "evidence": "abstract",
        "checked_at": NOW - timedelta(minutes=40),
    }
    return CodeFacts(**(given | facts))  # type: ignore[arg-type]


def item(number: str, title: str, **facts: object) -> EditionItem:
    """A paper on arXiv announced on the edition's day."""
    given: dict[str, object] = {
        "key": f"arxiv:{number}",
        "title": title,
        "url": f"https://arxiv.org/abs/{number}",
        "web_url": f"{WEB}/papers/arxiv:{number}",
        "pdf_url": f"https://arxiv.org/pdf/{number}",
        "why": ("listed by Daily Papers",),
        "sentence_source": "abstract",
        "announced_on": date(2026, 11, 24),
        "version": 1,
    }
    return EditionItem(**(given | facts))  # type: ignore[arg-type]


ITEMS = (
    item(
        "2611.01234",
        "Speculative Decoding Without a Draft Model",
        authors=("Ada Rossi", "Bo Chen", "Marta Lind", "Sven Aker", "Ines Vidal", "Kenji Ito"),
        authors_count=6,
        organization="ETH Zürich",
        why=('matches "speculative decoding"', "near “Medusa”, which you saved"),
        sentence=(
            "Removes the draft model by letting the target's own early layers propose tokens: "
            "2.3× faster at equal quality."
        ),
        categories=("cs.CL", "cs.LG"),
        upvotes=87,
        comments_count=12,
        code=(
            code(
                "ethz/nodraft",
                412,
                stars_gained_24h=180,
                license="Apache-2.0",
                language="Python",
                pushed_at=NOW - timedelta(hours=3),
            ),
        ),
        project_urls=("https://nodraft.example.org",),
        models=1,
        datasets=1,
        feeds=("arxiv-cs-cl", "daily-papers"),
    ),
    item(
        "2611.01377",
        r"KV-Caches in $O(\log n)$: Provably Small Memory for Long-Context Inference",
        authors=("Priya Raman", "Tomás Novák"),
        authors_count=2,
        why=('matches "kv cache"', "follows Priya Raman"),
        sentence=r"We prove that $O(\log n)$ cached keys per head suffice for $\epsilon$-accurate attention.",
        categories=("cs.LG", "cs.DS", "stat.ML"),
        upvotes=41,
        comments_count=3,
    ),
    item(
        "2611.00871",
        "FP4 Everywhere: Training and Serving 70B Models in Four Bits",
        authors=("Lena Hoff", "Jun Park", "Rui Costa", "Ola Berg"),
        authors_count=58,
        organization="Northlake AI",
        why=('matches "quantization"', "★ 2.1k, +640 in 24 h"),
        sentence=(
            "A training recipe keeps weights, activations and gradients in four bits and loses 0.3 points "
            "on average over nine benchmarks."
        ),
        sentence_source="HF AI",
        categories=("cs.LG",),
        upvotes=1204,
        comments_count=33,
        version=2,
        late=True,
        announced_on=date(2026, 11, 23),
        code=(
            code(
                "northlake/fp4",
                2134,
                stars_gained_24h=640,
                license="MIT",
                language="CUDA",
                pushed_at=NOW - timedelta(minutes=25),
                evidence="hf",
            ),
            code(
                "northlake/fp4-kernels",
                96,
                language="C++",
                pushed_at=NOW - timedelta(days=9),
                evidence="project_page",
            ),
        ),
        models=4,
        spaces=1,
    ),
    item(
        "2611.02210",
        "What Do Attention Sinks Store? A Causal Study",
        authors=("Noor Haddad", "Eli Stone", "Grace Wu"),
        authors_count=3,
        organization="Mila",
        sentence="Removing a single sink token raises perplexity more than removing 12% of all others.",
        categories=("cs.CL",),
        upvotes=29,
        code=(code("mila-lab/sinks", 18, language="Python", archived=True, pushed_at=NOW - timedelta(days=400)),),
    ),
    item(
        "2611.01903",
        "Batching Is Not Free: Tail Latency of LLM Servers Under Bursty Load",
        authors=("Hugo Petit", "Ana Sousa", "Wei Zhang", "Oluwaseun Ade", "Tim Kerr"),
        authors_count=5,
        why=('matches "serving"',),
        sentence=(
            "We replay eleven production traces and find that p99 latency is set by batch admission, not by compute."
        ),
        categories=("cs.DC", "cs.PF"),
    ),
    item(
        "2611.02755",
        "TinyMoE: Routing Experts on Phones",
        authors=("Yuki Mori", "Sara Lindqvist", "Diego Luna", "Kofi Mensah"),
        authors_count=4,
        organization="University of Helsinki",
        why=('matches "mixture of experts"',),
        sentence="Loads experts from flash a layer ahead of use and runs a 9B mixture in 2 GB of memory.",
        categories=("cs.LG", "cs.AR"),
        upvotes=64,
        comments_count=7,
        code=(
            code(
                "helsinki-ml/tinymoe",
                1530,
                license="BSD-3-Clause",
                language="Rust",
                pushed_at=NOW - timedelta(days=1),
                evidence="comment",
            ),
        ),
    ),
    item(
        "2611.03014",
        "Rechnen mit Unschärfe: Uncertainty-Aware Early Exit for Encoder–Decoder Models",
        authors=("Jörg Weiß", "Émilie Dûval"),
        authors_count=2,
        sentence=("Layers are skipped where a calibrated head is sure; translation costs 38% less at the same BLEU."),
        categories=("cs.CL",),
    ),
    item(
        "2611.00042",
        "Lossless Prompt Compression by Arithmetic Coding",
        authors=("Max Orlov",),
        authors_count=1,
        why=('matches "prompt compression"',),
        sentence=None,
        sentence_source=None,
        withdrawn=True,
        categories=("cs.IT",),
    ),
    item(
        "2611.01488",
        "高效推理：面向大语言模型的稀疏注意力综述",
        authors=("李明", "王芳", "张伟"),
        authors_count=3,
        organization="清华大学",
        why=('matches "sparse attention"',),
        sentence="A survey of 214 sparse attention methods with one common benchmark.",
        categories=("cs.CL",),
        upvotes=15,
    ),
    item(
        "2611.02001",
        "Distilling Reasoning Into Short Chains",
        authors=("Beatriz Alonso", "Farid Karimi", "Nils Holm", "Chiara Greco"),
        authors_count=4,
        sentence=None,
        sentence_source=None,
        abstract=(
            "Reasoning models write long. In this paper, we propose to distil only the steps that change "
            "the answer, "
            "which shortens chains by 61% at equal accuracy. "
            "Code is available at https://github.com/shortchain/shortchain."
        ),
        categories=("cs.AI", "cs.CL"),
        upvotes=52,
        comments_count=1,
        code=(
            code(
                "shortchain/shortchain",
                77,
                license="Apache-2.0",
                language="Python",
                pushed_at=NOW - timedelta(hours=20),
            ),
        ),
    ),
    item(
        "2611.03500",
        "Compiler-Guided Kernel Fusion for State-Space Models",
        authors=("Anika Bose", "Pavel Horák"),
        authors_count=2,
        why=('matches "kernel"',),
        sentence=(
            "A fusion pass finds the schedules experts write by hand and beats them by 1.4× on two accelerators."
        ),
        categories=("cs.PL", "cs.LG"),
    ),
    EditionItem(
        key="url:https://blog.example.org/serving-notes",
        title="Notes on Serving One Million Requests a Day From a Single Node",
        url="https://blog.example.org/serving-notes",
        web_url=f"{WEB}/papers/url:https%3A%2F%2Fblog.example.org%2Fserving-notes",
        authors=("Example Engineering",),
        authors_count=1,
        why=('matches "serving"', "listed by Example Engineering"),
        sentence="What broke, in order: the tokenizer, the load balancer, the log volume.",
        sentence_source="feed",
        published_at=datetime(2026, 11, 23, 23, 30, tzinfo=UTC),
    ),
)

VIEW = EditionView(
    name="efficient LLM inference",
    query='"speculative decoding" OR "kv cache" OR quantization OR serving',
    edition_date=date(2026, 11, 24),
    timezone="Europe/Berlin",
    composed_at=NOW,
    items=ITEMS,
    matched=21,
    considered=126,
    sources=(
        SourceStatus(feed="arxiv-cs-cl", title="arXiv cs.CL", state="complete", announced=126, stored=126),
        SourceStatus(feed="daily-papers", title="Hugging Face", state="late", stored=0),
        SourceStatus(feed="arxiv-cs-lg", title="arXiv cs.LG", state="quiet", note="holiday"),
    ),
    facts_checked_at=NOW - timedelta(minutes=40),
    cadence="daily at 08:00",
    web_url=f"{WEB}/editions/118",
    all_url=f"{WEB}/?day=2026-11-24",
    feed_url=f"{WEB}/feeds/efficient-llm-inference.atom",
    preferences_url=f"{WEB}/s/abc123",
    pause_url=f"{WEB}/s/abc123/pause",
    unsubscribe_url=f"{WEB}/u/abc123",
    one_click_url=f"{WEB}/u/abc123/one-click",
)

QUIET = replace(
    VIEW,
    name="Daily Papers",
    query=None,
    items=(),
    matched=0,
    considered=0,
    sources=(SourceStatus(feed="daily-papers", title="Hugging Face", state="quiet"),),
    facts_checked_at=None,
)
