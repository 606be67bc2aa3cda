"""Loading: how a process that stays loads its modules, quickly and without what it has no use for."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = ("attr", "greenlet", "msgpack", "pygments", "rich", "yaml")
"""What libraries bring along because it is installed, for things that we do not ask of them: structlog's tracebacks and
httpx's command in colours (rich, Pygments, attrs), structlog's loggers for greenlets, kombu's other formats. 8 MB."""


@contextmanager
def loading() -> Iterator[None]:
    """Load modules inside, before there are other threads.

    `EXTRAS` count as not installed meanwhile, and are there again afterwards. Next to nothing of what loading makes is
    garbage, and the collector would look for it over and over, which took a fifth of the start: it rests, and leaves
    all that is there alone afterwards.
    """
    hidden = [name for name in EXTRAS if name not in sys.modules]
    gc.disable()
    try:
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import of it fails
        yield
    finally:
        gc.enable()
        for name in hidden:
            sys.modules.pop(name, None)
        gc.freeze()
