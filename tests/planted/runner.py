"""Run tests on many copies of the product: this process has loaded what costs time, a fork of it runs each copy.

Reads a line of JSON for each: ``source``, the folder to import leftoff from, ``arguments`` for pytest, and ``output``,
a file. Answers with a line: the exit code.
"""

import json
import os
import sys

import hypothesis
import psycopg
import pytest

LOADED = (hypothesis, psycopg)

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["PYTHONPATH"] = order["source"]  # for the programs that tests start
        sys.path.insert(0, order["source"])
        code = int(pytest.main(order["arguments"]))
        sys.stdout.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
