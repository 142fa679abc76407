import service

import leftoff

papers = [f"paper-{number:02}" for number in range(1, 41)]


def save(connection, outcome) -> None:
    connection.execute("INSERT INTO paper VALUES (?, ?)", (outcome.key, outcome.value))


with leftoff.open("papers.db") as journal:
    run = journal.run("fetch")
    run.connection.execute("CREATE TABLE IF NOT EXISTS paper (id TEXT PRIMARY KEY, text TEXT)")
    for _ in run.map(service.fetch, papers, workers=4, rate="200/s", write=save):  # rows and progress commit together
        pass
    print(run.report())
