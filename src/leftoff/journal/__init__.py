"""WHERE progress is kept: entries, the checksum chain, recovery, ownership, sync, and one file per store."""
