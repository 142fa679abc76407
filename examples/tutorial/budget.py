import sys

import service

import leftoff

papers = [f"paper-{number:02}" for number in range(1, 41)]


def summarize(paper: str) -> str:
    item = leftoff.current()
    answer = service.fetch(f"{paper} {item.token}")  # the token tells the service that this is the same request again
    item.charge(usd=0.05)
    return answer


for outcome in leftoff.map(summarize, papers, "progress.jsonl", budget={"usd": float(sys.argv[1])}):
    print(outcome.key, outcome.resumed)
