"""Define the views of links: each link from both its ends, and what the links make of a paper.

A link is kept where it was said. What it means to the other paper is looked up and never stored, so that it does not
matter which of the two came first, or whether both did.
"""

from __future__ import annotations

from leftoff.papers.links import DELETED, STATUSES, STRENGTH

# `identifier.value` is text. Each join has its condition once for either order of the two tables: by index both ways.
BY_PMID = "named.kind = 'pmid' AND named.value = CAST(link.pmid AS TEXT) AND link.pmid = CAST(named.value AS INTEGER)"
HELD = "(SELECT paper_id FROM identifier WHERE kind = 'pmid' AND value = CAST(link.pmid AS TEXT))"

SAID = "link.text, link.date, link.asserted_by, link.source, link.identifier"
LINKED = f"""
    CREATE VIEW IF NOT EXISTS linked AS
    SELECT link.paper_id, link.kind, link.doi, link.pmid, link.other, {SAID},
           coalesce({HELD}, (SELECT paper_id FROM identifier WHERE kind = 'doi' AND value = link.doi)) AS other_id
    FROM link
    UNION ALL
    SELECT named.paper_id, link.inverse, paper.doi, paper.pmid, NULL, {SAID}, link.paper_id
    FROM link JOIN identifier AS named ON {BY_PMID} JOIN paper ON paper.id = link.paper_id
    UNION ALL
    SELECT named.paper_id, link.inverse, paper.doi, paper.pmid, NULL, {SAID}, link.paper_id
    FROM link JOIN identifier AS named ON named.kind = 'doi' AND named.value = link.doi AND {HELD} IS NULL
    JOIN paper ON paper.id = link.paper_id
"""  # noqa: S608  (words of our own)


def _status() -> str:
    """Return the view of the strongest status of each paper that has one, with the record that says so."""
    cases = " ".join(f"WHEN '{kind}' THEN '{status}'" for kind, status in STATUSES.items())
    kinds = ", ".join(f"'{kind}'" for kind in STATUSES)
    ranks = " ".join(f"WHEN '{status}' THEN {rank}" for rank, status in enumerate(STRENGTH))
    return f"""
    CREATE VIEW IF NOT EXISTS status AS
    SELECT paper_id, status, date, source, identifier FROM (
        SELECT *, row_number() OVER (
            PARTITION BY paper_id
            ORDER BY CASE status {ranks} END, date IS NULL, date, source DESC, identifier
        ) AS place FROM (
            SELECT paper_id, CASE kind {cases} END AS status, date, source, identifier FROM linked
            WHERE kind IN ({kinds})
            UNION ALL
            SELECT paper_id, '{DELETED}', substr(deleted_at, 1, 10), source, identifier FROM raw
            WHERE deleted_at IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM raw AS kept WHERE kept.paper_id = raw.paper_id AND kept.deleted_at IS NULL)
        )
    ) WHERE place = 1
"""  # noqa: S608  (words of our own)


VIEWS = (LINKED, _status())
