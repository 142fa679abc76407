import service

import leftoff

papers = [f"paper-{number:02}" for number in range(1, 41)]


def count_words(paper: str) -> int:
    text = service.fetch(paper)
    if paper == "paper-13":
        raise ValueError("it is only a scan")
    return len(text.split())


words = 0
for outcome in leftoff.map(count_words, papers, "progress.jsonl", attempts=2):
    if outcome.error is None:
        words += outcome.value
    else:
        print(f"{outcome.key} was set aside: {outcome.error}")
print(f"{words} words")
