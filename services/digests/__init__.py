"""What an edition looks like: `render` turns a view into a message. No storage, no transport, no clock."""

from services.digests.render import render

__all__ = ["render"]
