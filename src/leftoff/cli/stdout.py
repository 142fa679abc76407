"""Standard output for what is written as bytes."""

from __future__ import annotations

import codecs
import io
import sys
from typing import IO, Any

from leftoff.cli.text import printable


def stdout_bytes() -> IO[bytes]:
    """Return standard output for bytes; on a terminal, which no data may drive, what is not printable is escaped."""
    return _ForEyes() if sys.stdout.isatty() else sys.stdout.buffer  # type: ignore[return-value]  # all that is used


class _ForEyes(io.RawIOBase):
    """Print text to a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        text = self._decode(bytes(data))
        sys.stdout.write("\n".join(printable(line) for line in text.replace("\r\n", "\n").split("\n")))
        return len(data)
