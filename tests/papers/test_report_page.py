"""The report as a page, in a real browser: its numbers, what it asks for, and what records cannot do in it."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import lxml.html
import pytest

from leftoff.papers import Came, Day, NewPaper, QueryCame, ServiceCame, Totals, report_days
from leftoff.papers.charts import COLOURS

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> & \u202egnp.exe \x00\x1b[2J\ud800"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# What a browser asks for on its own is no request of the page.
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-sync",
    "--disable-dev-shm-usage", "--virtual-time-budget=3000",
]  # fmt: skip


def paper(number: int, title: str | None = "A title", **fields: object) -> NewPaper:
    made = NewPaper(
        f"pmid:{number}", "2026-03-09T08:00:00.000000Z", title, ("Ada Lovelace", "B"), "J", "2026-03", "10.1000/a",
        number, ("https://doi.org/10.1000/a", f"https://pubmed.ncbi.nlm.nih.gov/{number}/"), ("asthma",), False,
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]


@pytest.fixture
def came() -> Came:
    """A report that is made: two queries, one of them with a name that would like to be code."""
    asthma = ServiceCame("pubmed", "asthma", 1204, 2, 0, 1206, 0, 0, None, "2026-03-09T08:00:00.000000Z", None)
    evil = ServiceCame("crossref", EVIL, 40, 0, 3, 50, 0, 7, None, None, "2026-03-10T08:00:00.000000Z")
    return Came(
        db=f"/data/{EVIL}.db",
        since="2026-03-03",
        made_at="2026-03-10T12:00:00.000000Z",
        totals=Totals(1240, 37, 5, 4, 1, 3),
        queries=(QueryCame("asthma", 30, 5, 4, 1, 0, (asthma,)), QueryCame(EVIL, 9, 0, 0, 0, 3, (evil,))),
        days=(Day("2026-03-04", 11, {"asthma": 7, EVIL: 4}, 0, 0), Day("2026-03-09", 26, {"asthma": 20}, 3, 3)),
        papers=(
            paper(1),
            paper(2, EVIL, authors=(EVIL,) * 9, journal=EVIL, retracted=True),
            paper(3, None, authors=()),
        ),
    )


@dataclass
class Browser:
    """A browser that reaches nothing but this server, which writes down what it is asked for."""

    program: str
    folder: Path
    port: int
    asked: list[str]
    bodies: dict[str, bytes]

    def open(self, body: str, *options: str) -> tuple[lxml.html.HtmlElement, str]:
        """Return the page as it is when it is loaded, and what the browser wrote of it."""
        self.bodies["http://page.test/"] = body.encode("utf-8")
        command = [self.program, *QUIET, f"--user-data-dir={self.folder}", f"--proxy-server=127.0.0.1:{self.port}"]
        command += ["--enable-logging=stderr", *options, "--dump-dom", "http://page.test/"]
        ended = subprocess.run(command, check=True, capture_output=True, timeout=120)
        return lxml.html.document_fromstring(ended.stdout.decode()), ended.stderr.decode(errors="replace")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        (pytest.fail if os.environ.get("LEFTOFF_CI") else pytest.skip)("no browser here: install the package chromium")
    asked: list[str] = []
    bodies: dict[str, bytes] = {}

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = bodies.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body or b"")

        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_error(502)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Browser(program, tmp_path / "profile", server.server_address[1], asked, bodies)
    server.shutdown()
    thread.join()
    server.server_close()


def cells(tree: lxml.html.HtmlElement) -> list[list[str]]:
    return [[cell.text_content() for cell in row.iter("th", "td")] for row in tree.iter("tr")]


def of_tests(asked: list[str]) -> list[str]:
    """Return what was asked for of hosts that only a page can have named."""
    return [each for each in asked if ".test" in each]


def test_a_browser_shows_the_numbers_and_asks_for_nothing(browser: Browser, came: Came) -> None:
    """The DOM has each number of the JSON report and no script; the page itself is the only request."""
    tree, said = browser.open(came.as_html())
    assert of_tests(browser.asked) == ["http://page.test/"]
    assert "CONSOLE" not in said, said
    rows = cells(tree)
    for query in came.as_dict()["queries"]:
        numbers = [f"{query[name]:,}" for name in ("new", "revised", "merged", "retracted", "missing")]
        assert numbers in [row[1:] for row in rows]
        for service in query["services"]:
            names = ("held", "absent", "missing", "counted", "gap", "surplus")
            assert [f"{service[name]:,}" for name in names] in [row[1:7] for row in rows]
    for day in came.days:
        (row,) = [row for row in rows if row[0] == day.day]
        assert row[-1] == str(day.new)
    shown = [item.findtext("b") for item in tree.iter("li") if item.getparent().get("class") == "sums"]
    assert shown == ["37", "5", "4", "1", "3", "1,240"]
    assert not list(tree.iter("script", "img", "link", "iframe"))
    links = [link.get("href") for link in tree.iter("a")]
    assert links == [link for each in came.papers for link in each.links]


def test_the_browser_would_have_told(browser: Browser, came: Came) -> None:
    """A page that asks for something, and one with another style than it allows, are seen."""
    policy = came.as_html().split('Content-Security-Policy" content="')[1].split('"')[0]
    browser.open('<img src="http://other.test/a.png">')
    assert "http://other.test/a.png" in browser.asked
    html = came.as_html()
    _, said = browser.open(html.replace("<style>", "<style>/**/"))
    assert "CONSOLE" in said
    browser.asked.clear()
    _, said = browser.open(html.replace("<main>", '<main><img src="http://other.test/b.png">'))
    assert of_tests(browser.asked) == ["http://page.test/"]
    assert "CONSOLE" in said
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize(("width", "shown"), [(1000, "wide"), (500, "narrow")])
def test_it_fits_a_desk_and_a_phone(browser: Browser, came: Came, width: int, shown: str) -> None:
    """Nothing is wider than the window, and of each chart the one for that width is shown; measured by a script."""
    policy = came.as_html().split('Content-Security-Policy" content="')[1].split('"')[0]
    measure = """<script>
        const seen = [...document.querySelectorAll(".wide, .narrow")].filter(each => each.offsetWidth > 0);
        document.body.dataset.shown = seen.map(each => each.className).join();
        document.body.dataset.over = document.documentElement.scrollWidth - window.innerWidth;
    </script></body>"""
    html = came.as_html().replace(policy, "").replace("</body>", measure)
    tree, _ = browser.open(html, f"--window-size={width},900")
    assert tree.find("body").get("data-shown") == f"{shown},{shown}"
    assert int(tree.find("body").get("data-over")) <= 0


@pytest.mark.parametrize(("dark", "ground", "bar"), [(False, "ffffff", "0072b2"), (True, "0f1318", "4aa3dd")])
def test_it_is_drawn_light_and_dark(
    browser: Browser, came: Came, dark: bool, ground: str, bar: str, tmp_path: Path
) -> None:
    """A screenshot has the ground and the bars in the colours of the mode that the reader prefers."""
    picture = tmp_path / "page.png"
    mode = ["--blink-settings=preferredColorScheme=0"] if dark else []
    browser.open(came.as_html(), *mode, "--window-size=900,560", f"--screenshot={picture}")
    colours = pixels(picture.read_bytes())
    assert colours.most_common(1)[0][0] == ground
    assert colours[bar] > 100


def pixels(png: bytes) -> Counter[str]:
    """Return how often each colour is in a picture of 8 bits a channel."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) in ((8, 2), (8, 6))
    size, data, place = (3 if kind == 2 else 4), b"", 8
    while place < len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        data += png[place + 8 : place + 8 + length] if name == b"IDAT" else b""
        place += 12 + length
    lines, found, above = zlib.decompress(data), Counter[str](), bytes(width * size)
    for row in range(height):
        start = row * (width * size + 1)
        line = bytearray(lines[start + 1 : start + 1 + width * size])
        for at in range(len(line)):
            left = line[at - size] if at >= size else 0
            line[at] = (
                line[at] + _predicted(lines[start], left, above[at], above[at - size] if at >= size else 0)
            ) % 256
        found.update(bytes(line[at : at + 3]).hex() for at in range(0, len(line), size))
        above = bytes(line)
    return found


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:  # Paeth
        return min((left, up, corner), key=lambda each: abs(left + up - corner - each))
    return (0, left, up, (left + up) // 2)[kind]


def test_what_a_record_says_is_text(came: Came) -> None:
    """Mark-up in a title, a name, a query, the path of the database stays text; what drives or hides is replaced."""
    html = came.as_html()
    html.encode("utf-8")
    for forbidden in ("<script", "<img", "\u202e", "\x00", "\x1b"):
        assert forbidden not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    tree = lxml.html.document_fromstring(html)
    assert not [name for each in tree.iter() for name in each.attrib if name.startswith("on") or name == "style"]
    titles = [item.findtext(".//bdi") for item in tree.iter("li") if item.getparent().get("class") == "papers"]
    assert titles[0] == "A title"
    assert titles[1].startswith("<script>alert(1)</script>\"'><img src=x onerror=alert(2)> & ")
    assert titles[2] == "(no title)"
    ids = [each.get("id") for each in tree.iter() if each.get("id")]
    assert len(ids) == len(set(ids)) > 0
    for svg in tree.iter("svg"):
        if svg.get("role") == "img":
            assert {each.get("id") for each in svg} >= set(svg.get("aria-labelledby").split())


@pytest.mark.parametrize(
    ("since", "unit", "bars"), [("2026-03-03", "day", 8), ("2025-12-01", "week", 15), ("2020-03-01", "month", 73)]
)
def test_a_long_time_is_told_in_weeks_or_months(came: Came, since: str, unit: str, bars: int) -> None:
    """No chart has more bars than can be told apart, and their sum is what came in."""
    late = replace(came, since=since)
    label, labels = report_days._labels(date.fromisoformat(since), date(2026, 3, 10))
    assert (label, len(labels)) == (unit, bars)
    tree = lxml.html.document_fromstring(late.as_html())
    table = next(iter(tree.iter("table")))
    rows = [[cell.text_content() for cell in row.iter("th", "td")] for row in table.iter("tr")]
    assert rows[0][0] == unit
    assert sum(int(row[-1]) for row in rows[1:]) == came.totals.new


def test_many_queries_share_the_colours_there_are(came: Came) -> None:
    """Of many queries the largest have a colour of their own, the others one together, and nothing is lost."""
    names = {f"query {number:02}": number + 1 for number in range(30)}
    day = Day("2026-03-09", sum(names.values()) + 5, names, 4, 1)
    many = replace(came, days=(day,), queries=tuple(QueryCame(name, 1, 0, 0, 0, 0, ()) for name in names))
    series = report_days._series(many)
    assert len(series) == COLOURS
    assert [name for name, _ in series][-3:] == ["other queries", "several queries", "no query"]
    assert sum(column(day) for _, column in series) == day.new


def test_nothing_is_shown_too(came: Came) -> None:
    """A week without papers, and a database without searches, make a page all the same."""
    nothing = replace(came, totals=Totals(0, 0, 0, 0, 0, 0), queries=(), days=(), papers=())
    assert "None came in." in nothing.as_html()
