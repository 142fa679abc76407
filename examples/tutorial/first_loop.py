import service

import leftoff

papers = [f"paper-{number:02}" for number in range(1, 41)]

for paper in leftoff.each(papers, "progress.jsonl"):
    text = service.fetch(paper)
    with leftoff.replacing(f"{paper}.txt") as file:  # the file is on the disk before the paper is done
        file.write(text)
