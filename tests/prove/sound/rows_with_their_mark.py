"""Each paper's row commits with its mark."""

import time

import leftoff

with leftoff.open("papers.db") as journal:
    run = journal.run("fetch")
    run.connection.execute("CREATE TABLE IF NOT EXISTS paper (key TEXT, citations INTEGER)")
    for number in run.each(range(10), progress=False):
        time.sleep(0.004)  # fetch it
        run.connection.execute("INSERT INTO paper VALUES (?, ?)", (f"paper-{number}", number * number))
