"""leftoff, JSON Lines."""

from common import FOLDER, finish, items, work

import leftoff

outcomes = leftoff.map(work, items(), FOLDER / "progress.jsonl", run="work", progress=False)
finish({outcome.key: outcome.value for outcome in outcomes})
