"""Take what a journal concluded elsewhere: a row an item, as JSON Lines, CSV or Parquet.

1. An item has one row: its newest conclusion.
2. A file is there whole, or as it was (P1); it is private, for a journal is.
3. Memory does not grow with the journal, apart from what its store itself holds of the keys.
"""

from leftoff.export.columns import Columns
from leftoff.export.export import Exported, export
from leftoff.export.rows import Row, rows

__all__ = ["Columns", "Exported", "Row", "export", "rows"]
