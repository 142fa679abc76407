"""Turn text that Crossref's members deposited, with tags and entities in it, into the text that a reader sees."""

from __future__ import annotations

import html
import re

TAG = re.compile(r"</?[A-Za-z][\w.:-]*(?:\s[^<>]*)?/?>")
ANNOTATION = re.compile(r"<(?P<tag>(?:\w+:)?(?:tex-math|annotation))\b.*?</(?P=tag)>", re.DOTALL)
# Depositors lose the spaces around italics ("of the<i>Drosophila</i>group"), hardly ever those of other tags.
BEFORE_ITALICS = re.compile(r"([a-z]{2}|[,;:)])(<(?:jats:)?(?:i|em|italic)>(?=\w))")
BEHIND_ITALICS = re.compile(r"(</(?:jats:)?(?:i|em|italic)>)(?=[A-Za-z]{2})")
ENDS = re.compile(r"</(?:jats:)?(?:p|sec|list-item|disp-quote)>|<br\s*/?>")
HEADING = re.compile(r"<(?:jats:)?title\b[^<>]*>(.*?)</(?:jats:)?title>\s*", re.DOTALL)


def in_a_line(text: str) -> str:
    """Return a title or a name without its mark-up, white space as one space: ``H<sub>2</sub>O`` is ``H2O``.

    A ``<`` that begins no tag stays.
    """
    read = html.unescape(text)  # some is escaped once more than it should be: "&lt;i&gt;"
    spaced = BEHIND_ITALICS.sub(r"\1 ", BEFORE_ITALICS.sub(r"\1 \2", ANNOTATION.sub("", read)))
    return " ".join(html.unescape(TAG.sub("", spaced)).split())


def in_paragraphs(text: str) -> str:
    """Return an abstract in JATS as paragraphs with an empty line between them, each led by its section's title."""
    labelled = HEADING.sub(lambda match: f"\x00{in_a_line(match[1]).rstrip(':. ')}: ", text)
    paragraphs = [in_a_line(part) for part in re.split(r"\x00", ENDS.sub("\x00\x01", labelled))]
    found: list[str] = []
    label = ""
    for paragraph in (each.replace("\x01", "").strip() for each in paragraphs):
        if paragraph.endswith(":") and len(paragraph) < 80:  # a title whose text stands in the next paragraph
            label = "" if paragraph.lower() in ("abstract:", "summary:") else f"{paragraph} "
        elif paragraph:
            found.append(label + re.sub(r"^(?:abstract|summary):\s*", "", paragraph, flags=re.IGNORECASE))
            label = ""
    return "\n\n".join(found)
