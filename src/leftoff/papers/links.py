"""Read what a record says of other papers: what it retracts, corrects, comments on, is a preprint of; in one
vocabulary for both services.

1. Each kind has its inverse. A notice says ``retracts``, the article it is about ``retracted-by``; either may know of
   the other alone.
2. A link names its target as the service does: by PMID, DOI, both, something else, or in words only. What cannot be
   read as an identifier stays as text; no link is dropped but citations, which are the list of references.
3. A title says nothing here: "Retracted: ..." is, at one large publisher, the title of the notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from lxml import etree

from leftoff.papers import doi as dois
from leftoff.papers.dates import from_parts, in_words
from leftoff.papers.record import Link
from leftoff.papers.text import by_name, grandchildren, text_of

# What one paper does to another, and what the other then is. Of these the first is always the later paper.
LATER = {
    "retracts": "retracted-by",
    "withdraws": "withdrawn-by",
    "partly-retracts": "partly-retracted-by",
    "raises-concern": "concern-by",
    "corrects": "corrected-by",
    "updates": "updated-by",
    "republishes": "republished-as",
    "comments-on": "commented-by",
}
SIDE_BY_SIDE = {
    "reviews": "reviewed-by",
    "summarizes": "summarized-by",
    "supplements": "supplemented-by",
    "translates": "translated-as",
    "preprint-of": "has-preprint",
    "version-of": "has-version",
    "part-of": "has-part",
    "identical-to": "identical-to",
    "related-to": "related-to",
}
ACTIVE = LATER | SIDE_BY_SIDE
INVERSE = ACTIVE | {passive: active for active, passive in ACTIVE.items()}
# What a paper is that such a link leads from; a paper all of whose records are gone is `DELETED`.
STATUSES = {
    "retracted-by": "retracted",
    "withdrawn-by": "withdrawn",
    "partly-retracted-by": "partly retracted",
    "concern-by": "concern",
    "corrected-by": "corrected",
}
DELETED = "deleted"
STRENGTH = ("retracted", "withdrawn", "partly retracted", "concern", DELETED, "corrected")  # the strongest first

REF_TYPES = {
    "RetractionIn": "retracted-by",
    "RetractionOf": "retracts",
    "RetractedandRepublishedIn": "retracted-by",
    "RetractedandRepublishedFrom": "retracts",
    "PartialRetractionIn": "partly-retracted-by",
    "PartialRetractionOf": "partly-retracts",
    "ExpressionOfConcernIn": "concern-by",
    "ExpressionOfConcernFor": "raises-concern",
    "ErratumIn": "corrected-by",
    "ErratumFor": "corrects",
    "CorrectedandRepublishedIn": "corrected-by",
    "CorrectedandRepublishedFrom": "corrects",
    "RepublishedIn": "republished-as",
    "RepublishedFrom": "republishes",
    "ReprintIn": "republished-as",
    "ReprintOf": "republishes",
    "UpdateIn": "updated-by",
    "UpdateOf": "updates",
    "CommentIn": "commented-by",
    "CommentOn": "comments-on",
    "OriginalReportIn": "summarizes",
    "SummaryForPatientsIn": "summarized-by",
    "AssociatedDataset": "supplemented-by",
    "AssociatedPublication": "supplements",
    "PreprintIn": "has-preprint",
    "PreprintOf": "preprint-of",
}
UPDATES = {
    "retraction": "retracts",
    "withdrawal": "withdraws",
    "removal": "withdraws",
    "partial_retraction": "partly-retracts",
    "expression_of_concern": "raises-concern",
    "concern": "raises-concern",
    "correction": "corrects",
    "erratum": "corrects",
    "corrigendum": "corrects",
    "addendum": "corrects",
    "clarification": "corrects",
    "new_version": "updates",
    "new_edition": "updates",
}
RELATIONS = {
    "is-preprint-of": "preprint-of",
    "has-preprint": "has-preprint",
    "is-version-of": "version-of",
    "has-version": "has-version",
    "replaces": "updates",
    "is-replaced-by": "updated-by",
    "is-review-of": "reviews",
    "has-review": "reviewed-by",
    "is-comment-on": "comments-on",
    "has-comment": "commented-by",
    "is-reply-to": "comments-on",
    "has-reply": "commented-by",
    "is-supplement-to": "supplements",
    "is-supplemented-by": "supplemented-by",
    "is-translation-of": "translates",
    "has-translation": "translated-as",
    "is-part-of": "part-of",
    "has-part": "has-part",
    "is-identical-to": "identical-to",
    "is-same-as": "identical-to",
}
CITATIONS = frozenset({"Cites", "cites", "is-cited-by", "references", "is-referenced-by"})
# PubMed links a preprint and its article as an update; where it does, the text begins with the server's name.
SERVERS = ("biorxiv", "medrxiv", "arxiv", "res sq", "chemrxiv", "ssrn", "preprints")
RETRACTED, REPUBLISHED, PREPRINT = "Retracted Publication", "Corrected and Republished Article", "Preprint"


def links_of_citation(citation: etree._Element, types: Iterable[str], date: str | None) -> tuple[Link, ...]:
    """Return what a record of PubMed says of others.

    citation: its MedlineCitation; types: its publication types; date: its own. A retracted publication that names no
    notice is ``retracted-by`` nobody in particular.
    """
    known = frozenset(types)
    found = [
        link
        for each in grandchildren(citation, "CommentsCorrectionsList", "CommentsCorrections")
        if (link := _link_of(each, known, date)) is not None
    ]
    if RETRACTED in known and all(link.kind != "retracted-by" for link in found):
        found.append(Link("retracted-by", text=RETRACTED))
    return _distinct(found)


def _link_of(element: etree._Element, types: frozenset[str], date: str | None) -> Link | None:
    name = element.get("RefType") or ""
    if not name or name in CITATIONS:  # nearly all of them are citations
        return None
    said = by_name(element)
    source, note, number = (text_of(said, name) or "" for name in ("RefSource", "Note", "PMID"))
    if not (source or note or number):
        return None
    kind = _as_preprint(REF_TYPES.get(name, "related-to"), types, source)
    if name == "RepublishedFrom" and REPUBLISHED in types:
        kind = "corrects"  # the name that RefType had before there was one for corrected articles
    text = f"{source} ({note})" if source and note else source or note
    return Link(
        kind,
        doi=dois.find(source),
        pmid=int(number) if number.isdecimal() else None,
        text=(text if name in REF_TYPES else f"{name}: {text}") or None,
        date=date if kind in LATER else _date_of_later(kind, source),
    )


def _date_of_later(kind: str, source: str) -> str | None:
    """Return the date in a citation, if what is cited is the later of the two; a DOI in it may look like a year."""
    return in_words(source.lower().partition("doi")[0]).date if INVERSE[kind] in LATER else None


def _as_preprint(kind: str, types: frozenset[str], source: str) -> str:
    """Return what an update is where just one of the two is a preprint."""
    preprint, of_preprint = PREPRINT in types, source.lower().startswith(SERVERS)
    if kind == "updated-by" and preprint and not of_preprint:
        return "preprint-of"
    if kind == "updates" and of_preprint and not preprint:
        return "has-preprint"
    return kind


def links_of_work(fields: Mapping[str, Any]) -> tuple[Link, ...]:
    """Return what a work of Crossref says of others: what it updates, what updates it, what it is related to."""
    updates = list(map(_update_of, _updates(fields.get("update-to"))))
    updated = [replace(link, kind=INVERSE[link.kind]) for link in map(_update_of, _updates(fields.get("updated-by")))]
    return _distinct([*updates, *updated, *_relations(fields.get("relation"))])


def _updates(listed: object) -> Iterator[Mapping[str, Any]]:
    return (each for each in _mappings(listed) if _text(each.get("type")) or _text(each.get("DOI")))


def _update_of(fields: Mapping[str, Any]) -> Link:
    """Return one entry of ``update-to``; the types are those of Crossmark, and whatever else a member wrote."""
    name, label, target = (_text(fields.get(key)) for key in ("type", "label", "DOI"))
    doi = dois.normal(target)
    return Link(
        UPDATES.get(_word(name).replace("-", "_"), "updates"),
        doi=doi,
        other=None if doi else target or None,
        text=label or name or None,
        date=from_parts(fields.get("updated")).date,
        asserted_by=_text(fields.get("source")) or None,
    )


def _relations(relation: object) -> Iterator[Link]:
    for name, listed in relation.items() if isinstance(relation, dict) else ():
        word = _word(str(name))
        for each in () if word in CITATIONS else _mappings(listed):
            if target := _text(each.get("id")):
                yield _relation_of(word, _text(each.get("id-type")).lower(), target, _text(each.get("asserted-by")))


def _relation_of(name: str, id_type: str, target: str, asserted_by: str) -> Link:
    kind = RELATIONS.get(name, "related-to")
    if update := UPDATES.get(name.replace("-", "_")):  # asserted by the notice always, whichever of the two it is
        kind = INVERSE[update] if asserted_by == "object" else update
    doi = dois.normal(target) if id_type in ("doi", "uri") else None
    pmid = int(target) if id_type == "pmid" and target.isdecimal() else None
    kept = target if id_type in ("doi", "uri", "") else f"{id_type}:{target}"
    return Link(
        kind,
        doi=doi,
        pmid=pmid,
        other=kept if doi is None and pmid is None else None,
        text=name if kind == "related-to" else None,
        asserted_by=asserted_by or None,
    )


def _distinct(links: Iterable[Link]) -> tuple[Link, ...]:
    """Return each link once, in their order; what is said twice of one target has both who said it."""
    found: dict[object, Link] = {}
    for link in links:
        target = (link.doi, link.pmid, link.other)
        name = (link.kind, *(target if any(target) else (link.text,)))
        if (first := found.get(name)) is None:
            found[name] = link
            continue
        said = dict.fromkeys(each for each in (first.asserted_by, link.asserted_by) if each)
        found[name] = replace(
            first, text=first.text or link.text, date=first.date or link.date, asserted_by="; ".join(said) or None
        )
    return tuple(found.values())


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [each for each in (value if isinstance(value, list) else (value,)) if isinstance(each, dict)]


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, (str, int)) else ""


def _word(name: str) -> str:
    return "-".join(name.lower().replace("_", " ").replace("-", " ").split())
