"""Bodies off the wire: decoded by hand, so that a small body cannot become a large one unseen.

A gzip body of 194 kB can hold 200 MB. `Decoder` inflates in pieces and stops at the cap.
"""

from __future__ import annotations

import zlib

from services.domain.errors import UpstreamRejected, UpstreamUnavailable

ACCEPT_ENCODING = "gzip, deflate"

_PIECE = 256 * 1024
_MAX_MEMBERS = 100
"""A gzip file may hold several members; thousands of tiny ones only cost time."""
_GZIP_MAGIC = 0x1F
_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


class Decoder:
    """One body, fed as it comes: `feed` each chunk, then `finish`.

    `encoding` is the answer's Content-Encoding. `max_bytes` caps what comes out. Raises
    `UpstreamRejected` for an encoding we did not ask for, for bytes that are not in it and for a body over
    the cap; `UpstreamUnavailable` for a compressed body that ends too early.
    """

    def __init__(self, encoding: str | None, *, max_bytes: int) -> None:
        names = [name.strip().lower() for name in (encoding or "").split(",")]
        names = [name for name in names if name and name != "identity"]
        if len(names) > 1 or any(name not in _NAMES for name in names):
            raise UpstreamRejected(f"the answer is encoded as {(encoding or '')[:60]!r}; we asked for gzip or deflate")
        self._coding = _NAMES[names[0]] if names else None
        self._max_bytes = max_bytes
        self._out = bytearray()
        self._inflater: zlib._Decompress | None = None
        self._members = 0
        self._ended = False

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes off the wire."""
        if self._coding is None:
            self._keep(chunk)
            return
        try:
            self._inflate(chunk)
        except zlib.error as error:
            raise UpstreamRejected(f"the body is said to be {self._coding} and is not: {error}") from error

    def finish(self) -> bytes:
        """The whole body, decoded."""
        if self._inflater is not None and not self._inflater.eof:
            raise UpstreamUnavailable(f"the {self._coding} body ends too early")
        return bytes(self._out)

    def so_far(self) -> bytes:
        """What has been decoded until now, complete or not."""
        return bytes(self._out)

    def _keep(self, data: bytes) -> None:
        if len(self._out) + len(data) > self._max_bytes:
            raise UpstreamRejected(f"the body is larger than {self._max_bytes:,} bytes once unpacked")
        self._out += data

    def _inflate(self, chunk: bytes) -> None:
        while chunk and not self._ended:
            if self._inflater is None or self._inflater.eof:
                # What follows the end and does not begin a further gzip member is padding.
                if self._inflater is not None and (self._coding != "gzip" or chunk[0] != _GZIP_MAGIC):
                    self._ended = True
                    return
                self._inflater = self._new_inflater(chunk)
            inflater = self._inflater
            self._keep(inflater.decompress(chunk, _PIECE))
            while inflater.unconsumed_tail:
                self._keep(inflater.decompress(inflater.unconsumed_tail, _PIECE))
            # All input may be taken while output still waits inside.
            while not inflater.eof and (piece := inflater.decompress(b"", _PIECE)):
                self._keep(piece)
            chunk = inflater.unused_data

    def _new_inflater(self, chunk: bytes) -> zlib._Decompress:
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise UpstreamRejected("the gzip body is made of too many members")
        if self._coding == "gzip":
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        # "deflate" means zlib's format (RFC 9110, 8.4.1.2); some servers send the bare stream.
        return zlib.decompressobj(zlib.MAX_WBITS if chunk[0] & 0x0F == 0x08 else -zlib.MAX_WBITS)
