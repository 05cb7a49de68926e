from __future__ import annotations

from pbx.call.header_rules import HeaderRules

VALUES = {"number": "+4989200", "caller": "+4930101", "caller_name": "Al\r\nVia: x", "source": "extension/101"}
HEADERS = (("X-Account", "7"), ("X-Colour", "red"), ("x-account", "8"))


def test_set_remove_and_rewrite() -> None:
    rules = HeaderRules(
        frozenset(("x-colour",)),
        (("X-Account", "customer-{header.x-ACCOUNT}"), ("X-Who", "{caller} {source}"), ("X-None", "{header.X-Other}")),
    )
    assert rules.apply(HEADERS, VALUES) == (("X-Account", "customer-7"), ("X-Who", "+4930101 extension/101"))


def test_no_value_begins_a_header_of_its_own() -> None:
    (made,) = HeaderRules(set=(("X-Name", "{caller_name}"),)).apply((), VALUES)
    assert made == ("X-Name", "Al%0D%0AVia: x")


def test_without_rules_nothing_changes() -> None:
    assert HeaderRules().apply(HEADERS, VALUES) is HEADERS
