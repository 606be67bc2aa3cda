"""The shape of the code base: who may know whom, how large a file may be, what stands where."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from workers.loading import EXTRAS

ROOT = Path(__file__).parents[1]
CODE = ("workers", "services", "config")
FOLDERS = {"workers", "services", "config", "tests"}
BUILT = {"build", "dist", "node_modules", "htmlcov", "__pycache__"}
"""Folders that tools make and nobody keeps."""
LONGEST = 560
"""Lines in a file of ours; migrations, which are written by a tool and kept as they are, may be longer."""
IN_ONE_LOOK = {"services/storage/tables.py"}
"""The schema: one class a table, and worth having in one place."""


def modules(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "__pycache__" not in path.parts and "versions" not in path.parts
    )


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every module a file imports, wherever in it, with the line."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def uses(paths: list[Path], names: set[str]) -> list[str]:
    """Where these modules, or what is in them, are imported: `file:line`."""
    return [
        f"{named(path)}:{line}"
        for path in paths
        for line, name in imports_of(path)
        if name in names or name.split(".")[0] in names
    ]


OURS = modules(*CODE)
SERVICES = modules("services")


def test_there_is_code_to_look_at() -> None:
    assert len(OURS) > 60
    assert len(SERVICES) > 40


def test_the_import_contracts_hold(tmp_path: Path) -> None:
    code = (
        "import sys; from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(cache_dir=sys.argv[1], verbose=False))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "0 broken" in done.stdout


def test_every_module_says_what_it_is_for() -> None:
    silent = []
    for path in OURS:
        text = path.read_text(encoding="utf-8")
        words = ast.get_docstring(ast.parse(text)) or ""
        if len(words.split()) < 3 and not (path.name == "__init__.py" and not text.strip()):
            silent.append(named(path))
    assert silent == []


def test_every_file_is_short_enough_to_be_read() -> None:
    lines = {named(path): path.read_text(encoding="utf-8").count("\n") for path in OURS}
    assert {name: number for name, number in lines.items() if number > LONGEST and name not in IN_ONE_LOOK} == {}


def test_there_are_no_other_folders_at_the_top() -> None:
    found = {p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith(".")}
    assert found - BUILT - {n for n in found if n.endswith(".egg-info")} == FOLDERS


def test_celery_is_known_to_the_workers_alone() -> None:
    celery = {"celery", "kombu", "billiard"}
    assert uses(modules("services", "config"), celery) == []
    assert uses(modules("workers"), celery) != []


def test_services_do_not_print() -> None:
    calls = [
        f"{named(path)}:{node.lineno}"
        for path in SERVICES
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "breakpoint"}
    ]
    assert calls == []


def test_the_domain_does_not_look_at_the_clock() -> None:
    """Whoever asks a question of the domain says what time it is."""
    clocks = {("datetime", "now"), ("datetime", "utcnow"), ("date", "today"), ("time", "time"), ("time", "monotonic")}
    looks = [
        f"{named(path)}:{node.lineno}"
        for path in modules("services/domain")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in clocks
    ]
    assert looks == []


def test_all_outgoing_http_goes_through_the_one_client() -> None:
    """A second client would be a way around the guard against private addresses."""
    clients = {"requests", "urllib3", "aiohttp", "urllib.request", "http.client", "httpx", "httpcore"}
    the_client = {f"services/upstreams/{name}.py" for name in ("connections", "exchange", "guard", "http", "transport")}
    found = uses(OURS, clients)
    assert [where for where in found if where.partition(":")[0] not in the_client] == []
    assert found != []


def test_what_an_idle_service_has_no_use_for_is_not_loaded() -> None:
    asked = ["alembic", "cryptography", "css_inline", "feedparser", "joserfc", "lxml", "mako", "nh3", "pylatexenc"]
    asked += ["prometheus_client"]
    script = (
        "import sys, workers.cli\n"
        "from workers.commands.output import say\n"
        "from workers.loading import loading\n"
        "with loading(): import workers.embedded, workers.web.app, uvicorn\n"
        "say('up')\n"
        "print(*[name for name, module in sys.modules.items() if module])"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert {*asked, *EXTRAS, "pydantic.v1"} & set(found.stdout.split()) == set()
