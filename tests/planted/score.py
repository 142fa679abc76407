"""Fail where the tests saw fewer than nine of ten mutants: score.py STATS, what `mutmut export-cicd-stats` wrote."""

import json
import sys
from pathlib import Path

LEAST = 0.9

stats = json.loads(Path(sys.argv[1]).read_text("utf-8"))
seen = stats["killed"] + stats["timeout"] + stats["segfault"]
score = seen / stats["total"]
print(f"{seen} of {stats['total']} mutants seen: {score:.1%}")
sys.exit(score < LEAST)
