"""Any command over a list of items, resumable: what `leftoff each` does."""

from leftoff.shell.each import Summary, each_command, planned
from leftoff.shell.inputs import Source, from_file, from_words
from leftoff.shell.outputs import Finished

__all__ = ["Finished", "Source", "Summary", "each_command", "from_file", "from_words", "planned"]
