"""The script everybody writes first, in twenty lines: it believes every answer, so that each fault breaks it."""

from __future__ import annotations

import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET

Paper = tuple[str, str]  # title, DOI


def harvest(base, term, *, history=False, get=False, page=10_000, batch=200, timeout=None, kind="*", **more):
    def call(tool, **params):
        form = urllib.parse.urlencode(params | {"db": "pubmed", "retmode": "xml"})
        url = f"{base}/{tool}.fcgi"
        with urllib.request.urlopen(f"{url}?{form}" if get else url, None if get else form.encode(), timeout) as answer:
            return ET.fromstring(answer.read())

    papers: dict[str, Paper] = {}
    start, ids = 0, [""] * page
    while len(ids) == page:
        found = call("esearch", term=term, retstart=start, retmax=page, usehistory="y" if history else "n", **more)
        ids = [element.text or "" for element in found.iter("Id")]
        for low in range(0, len(ids), batch):
            asked = {
                "WebEnv": found.findtext("WebEnv"),
                "query_key": found.findtext("QueryKey"),
                "retstart": start + low,
            }
            asked = asked | {"retmax": batch} if history else {"id": ",".join(ids[low : low + batch])}
            for record in call("efetch", **asked).findall(kind):
                papers[record.findtext(".//PMID", "")] = paper(record)
        start += page
    return papers


def paper(record: ET.Element) -> Paper:
    title = record.find(".//ArticleTitle")
    title = record.find(".//BookTitle") if title is None else title
    doi = record.find("PubmedData/ArticleIdList/ArticleId[@IdType='doi']")
    return "" if title is None else "".join(title.itertext()), "" if doi is None else doi.text or ""
