"""`broadsheet worker` whose main process fails when it first loses its broker, as it does at times inside kombu."""

from __future__ import annotations

import os
import sys
from typing import Any

from celery.worker.consumer import Consumer

from workers.cli import main
from workers.restarts import FAILURES


def fail(*_: Any) -> None:
    """What kombu's Redis transport says of a connection that is gone."""
    raise AttributeError("'NoneType' object has no attribute 'hostname'")


if FAILURES not in os.environ:
    for when in ("before", "after"):
        setattr(Consumer, f"on_connection_error_{when}_connected", fail)
sys.argv[0] = "broadsheet"
main()
