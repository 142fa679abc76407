"""leftoff, JSON Lines."""

from loop import FOLDER, finish, items, work

import leftoff

outcomes = leftoff.map(work, items(), FOLDER / "progress.jsonl", run="work", progress=False)
finish({outcome.key: outcome.value for outcome in outcomes})
