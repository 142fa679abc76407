"""Turn a marked-up element into the text a reader sees."""

from __future__ import annotations

import html
from collections.abc import Iterator

from lxml import etree


def plain(element: etree._Element) -> str:
    """Return the element's text without its mark-up, white space as one space: ``H<sub>2</sub>O`` is ``H2O``."""
    if not len(element):  # nearly all, and quick
        text = element.text
        return " ".join(text.split()) if text else ""
    return " ".join("".join(_pieces(element)).split())


def texts(element: etree._Element) -> dict[str, str]:
    """Return the text of the first child of each name: a look for each name costs more."""
    return {child.tag: plain(child) for child in element.iterchildren(reversed=True)}


def text_at(element: etree._Element | None, *paths: str) -> str | None:
    """Return the text at the first of the paths that has one, None if none has or there is no element."""
    if element is None:
        return None
    for path in paths:
        found = element.find(path)
        if found is not None and (text := plain(found)):
            return text
    return None


def _pieces(element: etree._Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if isinstance(child.tag, str):
            yield from _pieces(child)
        elif isinstance(child, etree._Entity):
            yield html.unescape(child.text or "")  # a name of HTML is read; any other stays as it was written
        yield child.tail or ""
