"""How `pbx check` shows who reaches what costs money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pbx.cli.asking import print_table

if TYPE_CHECKING:
    from pbx.config.schema import Settings
    from pbx.dialplan.proof import Proof, Reach

__all__ = ["print_forwarders", "print_proof", "proof_data"]

_KINDS = {"": "usual", "international": "international", "premium": "premium"}


def print_proof(proof: Proof) -> None:
    """Print one line for each source, kind of number and route; sources for which the same holds share them."""
    ways: dict[str, list[tuple[str, ...]]] = {source: [] for source in proof.sources}
    for reach in proof.reaches:
        ways[reach.source].append(_way(reach))
    alike: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for source, found in ways.items():
        alike.setdefault(_merged(found), []).append(source)
    rows: list[tuple[str, ...]] = []
    for shared, sources in alike.items():
        who = ", ".join(sources)
        rows += [(who, *way) for way in shared] or [(who, "nothing", "", "", "")]
    print("Who reaches what costs money, proven for every number:")
    print_table(("from", "numbers", "over", "by the route", "for example"), rows)


def print_forwarders(settings: Settings) -> None:
    """Print who may send calls on, so that a caller gets where he may not call himself: as far as they may."""
    extensions = [f"extension/{name}" for name, one in settings.extensions.items() if one.redirects == "follow"]
    if extensions:
        print(f"Calls to {', '.join(extensions)} go where their phones send them on (3xx), as far as they may call.")
    trunks = [f"trunk/{name}" for name, one in settings.trunks.items() if one.redirects == "follow"]
    if trunks:
        print(f"Calls over {', '.join(trunks)} go to any number behind any trunk where it sends them on (3xx).")


def _way(reach: Reach) -> tuple[str, ...]:
    example = "" if reach.example is None else f"{reach.example} as {reach.sent}"
    return _KINDS[reach.restriction], reach.target, f"{reach.route}, line {reach.position.line}", example


def _merged(ways: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Return ways that differ only in what they go over as one."""
    over: dict[tuple[str, str, str], list[str]] = {}
    for kind, target, route, example in ways:
        over.setdefault((kind, route, example), []).append(target)
    return tuple((kind, ", ".join(targets), route, example) for (kind, route, example), targets in over.items())


def proof_data(proof: Proof) -> list[dict[str, Any]]:
    """Return the same for programs."""
    return [
        {
            "source": reach.source,
            "target": reach.target,
            "numbers": _KINDS[reach.restriction],
            "route": reach.route,
            "line": reach.position.line,
            "example": reach.example,
            "sent": reach.sent,
        }
        for reach in proof.reaches
    ]
