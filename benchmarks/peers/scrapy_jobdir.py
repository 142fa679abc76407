"""Scrapy with JOBDIR: a request an item (``data:`` URLs, no server), results in a feed."""

import json

import scrapy
from loop import FOLDER, finish, items, work
from scrapy.crawler import CrawlerProcess

FEED = FOLDER / "out.jsonl"


class Spider(scrapy.Spider):
    """Request each item once."""

    name = "work"

    async def start(self):
        """Yield the requests."""
        for item in items():
            yield scrapy.Request(f"data:,{item}")

    def parse(self, response):
        """Work on an item."""
        yield {"item": response.text, "value": work(response.text)}


process = CrawlerProcess(
    {"JOBDIR": str(FOLDER / "job"), "FEEDS": {str(FEED): {"format": "jsonlines"}}, "LOG_LEVEL": "CRITICAL",
     "CONCURRENT_REQUESTS": 1, "TELNETCONSOLE_ENABLED": False, "FEED_STORE_EMPTY": True}
)  # fmt: skip
process.crawl(Spider)
process.start()
found = {}
for line in FEED.read_text().splitlines() if FEED.exists() else []:
    try:
        entry = json.loads(line)
    except ValueError:  # a line that a kill cut
        continue
    found[entry["item"]] = entry["value"]
finish(found)
