"""Write a report as one page of HTML: no script, no request, readable on a phone, in the dark and without eyes.

1. All that is from a record goes through `text`: records hold anything.
2. The page forbids itself everything but its own style, by the hash of that.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence

from leftoff.papers.came import Came, NewPaper, ServiceCame
from leftoff.papers.charts import Bar, bars, text
from leftoff.papers.page_style import STYLE
from leftoff.papers.report_days import both_widths, in_time, table

AUTHORS = 4  # of a paper that are named
HEADS = ("query", "new", "revised", "merged", "retracted", "missing")
STANDING = ("query, service", "held", "absent", "missing", "counted", "gap", "surplus", "last complete")


def page(came: Came) -> str:
    """Return the page."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = f"Papers since {came.since}"
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="referrer" content="no-referrer">\n<title>{title}</title>\n<style>{STYLE}</style>',
        f"</head>\n<body>\n<header>\n<h1>{title}</h1>",
        f'<p class="soft">{text(came.db)}, as of {text(_moment(came.made_at))}</p>\n</header>\n<main>',
        _sums(came),
        *in_time(came),
        *_queries(came),
        *_papers(came),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _sums(came: Came) -> str:
    totals = came.totals
    sums = [("new", totals.new), ("revised", totals.revised), ("merged", totals.merged)]
    sums += [("retracted", totals.retracted), ("missing", totals.missing), ("held in all", totals.papers)]
    items = (
        f"<li{_warn(count and name in ('retracted', 'missing'))}><b>{count:,}</b>{name}</li>" for name, count in sums
    )
    return f'<ul class="sums">{"".join(items)}</ul>'


def _warn(wanted: object) -> str:
    return ' class="warn"' if wanted else ""


def _queries(came: Came) -> Iterator[str]:
    """Yield what came in of each query, and how each stands with its services."""
    yield "<section>\n<h2>Query by query</h2>"
    yield table(
        HEADS,
        ((each.name, each.new, each.revised, each.merged, each.retracted, each.missing) for each in came.queries),
    )
    yield '<p class="soft">A paper that several queries find counts in each of them.</p>\n</section>'
    standing = [(each.name, service) for each in came.queries for service in each.services]
    rows = [Bar(f"{name}, {service.source}", service.held, service.counted) for name, service in standing]
    yield "<section>\n<h2>Held, of what the services count</h2>\n<figure>"
    yield from both_widths("held", lambda name, width: bars(name, rows, width))
    yield "</figure>\n<details open><summary>The numbers</summary>"
    yield table(STANDING, (_standing(name, service) for name, service in standing))
    yield "</details>\n</section>"


def _standing(name: str, service: ServiceCame) -> Sequence[object]:
    at = "never" if service.complete_at is None else service.complete_at[:10]
    began = "" if service.open_since is None else f"; one is open since {_moment(service.open_since)}"
    limit = "" if service.limit is None else f" (the newest {service.limit:,})"
    return (
        f"{name}, {service.source}{limit}", service.held, service.absent, service.missing, service.counted,
        service.gap, service.surplus, at + began,
    )  # fmt: skip


def _papers(came: Came) -> Iterator[str]:
    """Yield the newest papers."""
    more = came.totals.new - len(came.papers)
    yield "<section>\n<h2>The newest papers</h2>"
    yield f'<ol class="papers">{"".join(map(_paper, came.papers))}</ol>' if came.papers else "<p>None came in.</p>"
    yield (f'<p class="soft">And {more:,} more.</p>\n' if more > 0 else "") + "</section>"


def _paper(paper: NewPaper) -> str:
    names = [*paper.authors[:AUTHORS], *(["et al"] if len(paper.authors) > AUTHORS else [])]
    links = " ".join(f'<a href="{text(link)}" rel="noreferrer">{text(link.split("//")[1])}</a>' for link in paper.links)
    where = ". ".join(each for each in (", ".join(names), paper.journal, paper.date) if each)
    retracted = '<span class="warn">Retracted.</span> ' if paper.retracted else ""
    found = f" · {text(', '.join(paper.queries))}" if paper.queries else ""
    return (
        f"<li>{retracted}<b><bdi>{text(paper.title or '(no title)')}</bdi></b><br><bdi>{text(where)}</bdi><br>{links} "
        f'<span class="soft">{text(paper.at[:10])}{found}</span></li>'
    )


def _moment(at: str) -> str:
    return f"{at[:10]} {at[11:16]} UTC"
