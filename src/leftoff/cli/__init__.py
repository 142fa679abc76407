"""The command line: one file a command, each a skin over one call of the library."""

from leftoff.cli.group import main

__all__ = ["main"]
