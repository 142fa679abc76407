"""The accounts as people read them; that they are exact is test_passes.py's."""

from __future__ import annotations

import dataclasses

from leftoff import Report


def test_a_report_says_what_there_is_and_leaves_out_the_rest():
    """Zeros that mean nothing are left out; missing is named once it is known."""
    report = Report("r", 3, 2, 1)
    assert str(report) == "r: 3 items = 2 done + 1 dead"
    report = dataclasses.replace(report, missing=0, resumed=2, repeated=1, duplicates=4)
    told = ["r: 3 items = 2 done + 1 dead + 0 missing", "2 were done before", "1 begun before and repeated"]
    assert str(report).split(", ") == [*told, "4 duplicates skipped"]
