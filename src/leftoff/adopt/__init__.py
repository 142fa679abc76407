"""Take over what another tool has done: its log, its list, its files become entries of a journal.

1. A key is adopted only where the source says that it is done, and nothing beside it says otherwise later.
2. What is torn, glued or cannot be read back is doubted: named, counted, and worked on again. Never the other way.
3. A source that cannot be right (another list, another command) is refused before anything is written.
4. Adopting again, or going on after a kill, adopts nothing twice: known keys are asked for and passed over.
"""

from leftoff.adopt.found import Done, Doubt, Found, NotDone, Note
from leftoff.adopt.joblog import joblog
from leftoff.adopt.keys_file import keys_of_csv, keys_of_jsonl, keys_of_lines
from leftoff.adopt.outputs import outputs
from leftoff.adopt.scrapy import requests_seen
from leftoff.adopt.take_over import Adopted, adopt

__all__ = [
    "Adopted",
    "Done",
    "Doubt",
    "Found",
    "NotDone",
    "Note",
    "adopt",
    "joblog",
    "keys_of_csv",
    "keys_of_jsonl",
    "keys_of_lines",
    "outputs",
    "requests_seen",
]
