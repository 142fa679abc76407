#!/usr/bin/env python3
"""Write docs/cli.md from what each command says of itself; a test holds that the page is current."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from leftoff.cli import main
from leftoff.cli.exits import MEANINGS

PAGE = Path(__file__).parent / "cli.md"
WIDTH = 100

INTRODUCTION = """\
# The command line

<!-- Written by docs/generate_cli.py from the commands themselves: change those, then run it again. -->

`leftoff VERB JOURNAL …`: the journal's name tells its format: `progress.jsonl`, `papers.db`, `progress/` or
`postgresql://…`.

```
leftoff status progress.jsonl              # where does it stand, and does somebody work on it now?
leftoff status --watch progress.jsonl      # the same again and again, with rate and time left
leftoff log -f progress.jsonl              # what happens, as it happens
leftoff dead progress.jsonl                # what was set aside after its attempts, and why
leftoff retry progress.jsonl               # let the next run try all of that again
leftoff forget progress.jsonl --all        # start over
leftoff verify progress.jsonl              # is every byte what was written?
leftoff repair progress.jsonl              # put what can be believed of a damaged journal in its place
leftoff compact progress.jsonl             # leave out what no longer matters
leftoff copy progress.jsonl progress.db    # the same journal in another place or format; --move goes on there
leftoff plan progress.jsonl -a list.txt    # what would be done with this list now
leftoff export progress.jsonl -o done.csv  # what is done and dead as CSV, JSON Lines or Parquet
leftoff adopt progress.jsonl --from jobs.log --command 'gzip {}'    # take over what GNU parallel has done
leftoff prove -- python my_script.py       # does my own program resume? it is killed 40 times
leftoff each -a urls.txt -- curl -fsSO {}  # a command for each line of a list, resumable
leftoff papers sync "asthma[mh] AND 2024[dp]" --db papers.db    # what PubMed finds, into a database
leftoff papers search 'asthma adheren*' --db papers.db          # papers of that database by their words
```

- `status`, `log`, `plan`, `dead`, `export`, `verify`, `papers list` and `papers duplicates` never lock and never change
  a byte: use them while the work goes on. (SQLite makes its own `-wal` and `-shm` files beside a database that somebody
  reads.)
- `retry`, `forget`, `adopt` and `papers split` own the run for a moment, `repair` and `compact` the whole journal, so
  they are refused (exit code 5) while it is being worked on.
- A journal, a run or a key that is not there is an error; none is ever created, except by `each`, `adopt` and
  `papers sync`.
- `--json` prints one object for `status`, `plan`, `retry`, `forget`, `verify`, `repair`, `compact`, `copy`, `adopt`,
  `export -o`, `prove`, `papers sync`, `papers show` and `papers split`, and JSON Lines for `log`, `dead`, `export`,
  `each`, `status --watch`, `papers list`, `papers search` and `papers duplicates`. Times are UTC.
- For people, control characters in keys and errors are shown escaped (`\\x1b`), so that no key can drive a terminal;
  `--json` has them exact.
- What went wrong is one line on stderr, `leftoff: …`.

## Exit codes

The same for every command:

| code | meaning |
|---:|---|
"""


def every_command(command: click.Command, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Yield a context for the command and for each one below it."""
    settings = {**command.context_settings, "max_content_width": WIDTH}
    context = click.Context(command, info_name=command.name, parent=parent, terminal_width=WIDTH, **settings)
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from every_command(below, context)


def page() -> str:
    """Return the page."""
    codes = "".join(f"| {code:d} | {meaning.replace('|', chr(92) + '|')} |\n" for code, meaning in MEANINGS.items())
    commands = "".join(
        f"\n## {context.command_path}\n\n```\n{context.command.get_help(context).rstrip()}\n```\n"
        for context in every_command(main)
        if context.parent is not None
    )
    return f"{INTRODUCTION}{codes}{commands}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
