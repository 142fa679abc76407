"""A client of Crossref as many are written: it walks a cursor, asks once more when an answer is none, and counts."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

HEADERS = {"User-Agent": "naive/1 (mailto:naive@example.org)"}


def get(url: str, **params: object) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a GET."""
    request = urllib.request.Request(f"{url}?{urllib.parse.urlencode(params)}" if params else url, headers=HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


def page(url: str, *, patient: bool, **params: object) -> dict[str, Any]:
    """Return the message of a list; a patient client asks for the same once more when that did not come whole."""
    try:
        status, headers, body = get(f"{url}/works", **params)
        if "x-rate-limit-limit" in headers:
            int(headers["x-rate-limit-limit"])
        if status != 200:
            raise RuntimeError(f"{status}: {body[:200]!r}")
        message: dict[str, Any] = json.loads(body)["message"]
    except (RuntimeError, ValueError, OSError):
        if not patient:
            raise
        return page(url, patient=False, **params)
    return message


def harvest(url: str, *, rows: int = 50, patient: bool = False, **params: object) -> dict[str, dict[str, Any]]:
    """Return the works of a list by their DOIs: until a page holds fewer than were asked for."""
    found: dict[str, dict[str, Any]] = {}
    cursor = "*"
    while True:
        message = page(url, patient=patient, rows=rows, cursor=cursor, **params)
        found |= {work["DOI"]: work for work in message["items"]}
        if len(message["items"]) < rows:
            return found
        cursor = message["next-cursor"]
