"""Look into the elements of PubMed's XML, and turn them into the text a reader sees."""

from __future__ import annotations

import html
from collections.abc import Iterator

from lxml import etree

Children = dict[str, etree._Element]


def plain(element: etree._Element) -> str:
    """Return the element's text without its mark-up, white space as one space: ``H<sub>2</sub>O`` is ``H2O``."""
    if not len(element):  # nearly all, and quick
        text = element.text
        return " ".join(text.split()) if text else ""
    return " ".join("".join(_pieces(element)).split())


def by_name(element: etree._Element | None) -> Children:
    """Return the first child of each name, none where there is no element: a look for each name costs more."""
    return {} if element is None else {child.tag: child for child in reversed(element)}


def grandchildren(element: etree._Element, name: str, child: str) -> Iterator[etree._Element]:
    """Iterate what is called ``child`` in the lists of one name; a record may have two of them."""
    for each in element.iterchildren(name):
        yield from each.iterchildren(child)


def text_of(children: Children, *names: str) -> str | None:
    """Return the text of the first of the names that has one, None if none has."""
    for name in names:
        if name in children and (text := plain(children[name])):
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
