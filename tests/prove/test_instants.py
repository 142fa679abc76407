from __future__ import annotations

from leftoff.prove.changes import Change
from leftoff.prove.instants import Plan

SEEN = [0.5 + 0.01 * n for n in range(151)]  # changes between 0.5 s and 2 s of a run of 2.2 s


def changes(items: int) -> list[Change]:
    """Three calls an item, and one at the start."""
    made = [Change("make", "out.txt", "", at_once=False, call="openat", nth=7)]
    for item in range(items):
        made.append(Change("write", "out.txt", "", at_once=False, call="write", nth=2 * item + 1))
        made.append(Change("write", f"done/{item}", "", at_once=False, call="write", nth=2 * item + 2))
        made.append(Change("rename", f"done/{item}", f"kept/{item}", at_once=False, call="rename", nth=item + 1))
    return made


def test_instants_lie_where_the_work_is(seed: int) -> None:
    """At least 80 % of the kills by the clock lie between the first and the last change, and all parts are met."""
    plan = Plan(seed, 2.2, SEEN)
    instants = [plan.journey(number, 1)[0].after for number in range(1, 201)]
    inside = [at for at in instants if SEEN[0] <= at <= SEEN[-1]]
    assert len(inside) >= 160
    assert {int(10 * (at - 0.5) / 1.5) for at in inside} >= set(range(10))


def test_each_sort_of_boundary_comes_early(seed: int) -> None:
    """A thousand items have four sorts of boundaries: the first journeys meet each, whatever the numbers in names."""
    plan = Plan(seed, 2.2, SEEN, changes(1000))
    first = [plan.journey(number, 1)[0] for number in (1, 2, 3, 5, 6, 7)]
    assert len({kill.call + kill.where.split()[3][:4] for kill in first}) == 3 + 1
    assert all(kill.call for kill in first)
    assert not plan.journey(4, 1)[0].call


def test_each_boundary_comes_before_one_comes_twice(seed: int) -> None:
    """With as many journeys as there are boundaries each is met once."""
    plan = Plan(seed, 2.2, SEEN, changes(5))
    met = [plan.journey(number, 1)[0] for number in range(1, 22) if number % 4]
    assert len(met) == len({(kill.call, kill.nth) for kill in met}) == 16


def test_a_plan_is_made_again_by_its_seed(seed: int) -> None:
    """The same run and seed make the same kills; a journey has as many as it may."""
    first, again = (Plan(seed, 2.2, SEEN, changes(9)) for _ in range(2))
    for number in range(1, 20):
        assert first.journey(number, 3) == again.journey(number, 3)
        assert len(first.journey(number, 3)) == 3
    assert [Plan(seed + 1, 2.2, SEEN, changes(9)).journey(n, 3) for n in range(1, 20)] != [
        first.journey(n, 3) for n in range(1, 20)
    ]


def test_a_call_that_strace_cannot_count_to_is_left_out(seed: int) -> None:
    """Beyond 65,535 calls kills come by the clock."""
    far = [Change("write", "out.txt", "", at_once=False, call="write", nth=70_000)]
    assert not Plan(seed, 2.2, SEEN, far).journey(1, 1)[0].call
    assert not Plan(seed, 0.1, []).journey(1, 2)[1].call
