"""What a decision costs: a plan of fifty routes, asked for the first route, the last one, and one that is not there.

    python bench/dialplan.py

Goal: at most 20 µs each. Prints CPU µs per decision, the best of several rounds.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pbx.config.tree import parse_tree
from pbx.dialplan.decision import Query
from pbx.dialplan.loader import load_dialplan
from pbx.dialplan.model import Dialplan

ROUNDS, DECISIONS = 7, 5000


def plan_of(count: int, *, alike: bool) -> Dialplan:
    """Return a plan of `count` routes; `alike` ones all begin with the same digit, where no index helps."""
    lines = ["zone: Europe/Berlin", "routes:"]
    for number in range(count - 1):
        pattern = f"0{number + 100}X." if alike else f"{number % 10}{number}X."
        lines += [
            f"  - name: route {number}",
            f'    when: {{from: extension, number: "{pattern}"}}',
            "    do:",
            '      - set: {number: {strip: 1, prefix: "+49"}}',
            "      - dial: [trunk/a, trunk/b]",
            "        on: {busy: [{voicemail: '{number}'}], any: [{play: busy}]}",
        ]
    lines += [
        "  - name: last",
        '    when: {from: extension, number: "/09([1-9])(\\\\d+)/", at: "Mon-Sun 00:00-24:00"}',
        "    do:",
        "      - dial: extension/{1}",
    ]
    loaded = load_dialplan(parse_tree("\n".join(lines), "bench.yaml").root)  # type: ignore[arg-type]
    assert loaded.plan is not None, [str(fault) for fault in loaded.faults]
    return loaded.plan


def measure(plan: Dialplan, number: str, source: str = "extension/101") -> tuple[float, str | None]:
    """Return the best CPU µs per decision, and the route taken."""
    query = Query(source, number, datetime(2026, 11, 20, 10, 0, tzinfo=UTC))
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(DECISIONS):
            plan.decide(query)
        best = min(best, time.process_time() - begun)
    return best / DECISIONS * 1e6, plan.decide(query).route


def main() -> None:
    """Print the table."""
    print(f"{'plan':<34}{'call':<16}{'route':<10}{'µs per decision':>16}")
    for alike in (False, True):
        plan = plan_of(50, alike=alike)
        for number in ("00012345" if not alike else "010012345", "0912345678", "abc"):
            cost, route = measure(plan, number)
            name = "50 routes, one first digit" if alike else "50 routes, all first digits"
            print(f"{name:<34}{number:<16}{route or 'none':<10}{cost:>16.1f}")
    bridge = parse_tree(
        "routes:\n- {name: a, when: {from: trunk/a, number: '.'}, do: [{dial: trunk/b}]}", "bench.yaml"
    ).root
    plan = load_dialplan(bridge).plan  # type: ignore[arg-type, assignment]
    cost, route = measure(plan, "4930123456", "trunk/a")
    print(f"{'1 route, trunk to trunk':<34}{'4930123456':<16}{route or 'none':<10}{cost:>16.1f}")


if __name__ == "__main__":
    main()
