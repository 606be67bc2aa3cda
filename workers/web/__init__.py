"""The web pages, the API and the feeds: routes on one runtime."""

import sys

# FastAPI asks of every parameter whether it is one of pydantic's old models, which it refuses, and loads them for it.
sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]  # None: they count as not installed
