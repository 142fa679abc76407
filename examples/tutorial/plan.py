import service

import leftoff

papers = [f"paper-{number:02}" for number in range(5, 45)]  # four are gone since then, and four are new


def count_words(paper: str) -> int:
    return len(service.fetch(paper).split(" "))


with leftoff.open("progress.jsonl") as journal:
    run = journal.run("dead_letters.count_words")
    plan = run.plan(papers, count_words)
    print(f"{len(plan.done)} done, {len(plan.dead)} dead, {len(plan.removed)} removed, {plan.work} to do")
    print("changed:", ", ".join(plan.changed or ["nothing"]))
    for outcome in run.map(count_words, papers, on_change="redo"):
        assert outcome.error is None
