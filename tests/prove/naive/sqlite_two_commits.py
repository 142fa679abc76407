"""Insert the row and the mark in autocommit: two transactions where one was meant."""

import sqlite3
import time

connection = sqlite3.connect("papers.db", isolation_level=None)
connection.execute("CREATE TABLE IF NOT EXISTS paper (key TEXT, citations INTEGER)")
connection.execute("CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY)")
done = {key for (key,) in connection.execute("SELECT key FROM done")}

for number in range(8):
    key = f"paper-{number}"
    if key not in done:
        time.sleep(0.004)  # fetch it
        connection.execute("INSERT INTO paper VALUES (?, ?)", (key, number * number))
        connection.execute("INSERT INTO done VALUES (?)", (key,))
