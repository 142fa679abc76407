"""leftoff, SQLite."""

from loop import FOLDER, finish, items, work

import leftoff

outcomes = leftoff.map(work, items(), FOLDER / "progress.db", run="work", progress=False)
finish({outcome.key: outcome.value for outcome in outcomes})
