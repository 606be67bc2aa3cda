"""`python -m tests.benchmarks.mail_sink`: a mail server in a process of its own that takes all and keeps nothing.

As little as SMTP allows, so that it is the last thing to be too slow. It prints its port, then serves until its stdin
ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 sink ESMTP\r\n")
    try:
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 2.0.0 taken\r\n")
            elif verb == b"EHLO":
                writer.write(b"250-sink\r\n250-8BITMIME\r\n250 SIZE 50000000\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 2.0.0 ok\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return  # whoever hung up midway wants nothing more of us
    finally:
        writer.close()


async def main() -> None:
    """Serve until stdin ends."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, limit=64 * 1024 * 1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def sink() -> Iterator[int]:
    """The port of a sink in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.mail_sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        finally:
            process.stdout.close()
            process.kill()


if __name__ == "__main__":
    asyncio.run(main())
