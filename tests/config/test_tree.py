from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.config.tree import MAXIMUM_DEPTH, parse_tree, read_tree
from pbx.positions import MappingNode, Node, ScalarNode, SequenceNode


def plain(node: Node | None) -> object:
    if isinstance(node, MappingNode):
        return {entry.key: plain(entry.value) for entry in node}
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return None if node is None or node.null else node.text


def faults(text: str) -> list[str]:
    return [str(fault) for fault in parse_tree(text, "f.yaml").faults]


def test_values_are_taken_as_written() -> None:
    text = "{a: 0301, b: 10:30, c: no, d: 'null', e: null, f: ~, g: , h: 1.0, i: \"x\\ty\", j: !!str null}"
    tree = parse_tree(text, "f.yaml")
    assert plain(tree.root) == {
        "a": "0301",
        "b": "10:30",
        "c": "no",
        "d": "null",
        "e": None,
        "f": None,
        "g": None,
        "h": "1.0",
        "i": "x\ty",
        "j": "null",
    }


def test_positions_count_from_one_in_characters() -> None:
    root = parse_tree("ä: 1\nb:\n  - {ö: ü, x: y}\n", "f.yaml").root
    assert isinstance(root, MappingNode)
    assert str(root.entries[0].value.position) == "f.yaml:1:4"
    entry = root.get("b")
    assert entry is not None
    assert str(entry.position) == "f.yaml:2:1"
    assert isinstance(entry.value, SequenceNode)
    item = entry.value.items[0]
    assert isinstance(item, MappingNode)
    inner = item.get("x")
    assert inner is not None
    assert isinstance(inner.value, ScalarNode)
    assert (inner.position.column, inner.value.position.column) == (12, 15)


def test_aliases_and_merges() -> None:
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [{z: 1}, *a]}\n"
    assert plain(parse_tree(text, "f.yaml").root) == {
        "a": {"x": "1", "y": "2"},
        "b": {"x": "1", "y": "2"},
        "c": {"y": "3", "x": "1"},
        "d": {"z": "1", "x": "1", "y": "2"},
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "f.yaml:1:1: the file is empty"),
        ("# nothing\n", "f.yaml:1:1: the file is empty"),
        ("a: 1\na: 2", "f.yaml:2:1: the key `a` is given twice, first at line 1; remove one"),
        ("a: 1\n---\nb: 1", "f.yaml:2:1: a second document begins here; a configuration is one, remove the `---`"),
        ("a: *b", "f.yaml:1:4: there is no anchor `&b` before this alias"),
        ("a: &a [*a]", "f.yaml:1:8: there is no anchor `&a` before this alias"),
        ("a: !!python/object:x 1",
         "f.yaml:1:4: tags such as `tag:yaml.org,2002:python/object:x` are not understood here; remove it"),
        ("? [a]\n: 1", "f.yaml:1:3: a key must be a single value, not a list or mapping"),
        ("<<: 1", "f.yaml:1:5: `<<` takes a mapping, such as an alias of one"),
        ("a:\n\tb: 1", "f.yaml:2:1: a tab stands where YAML wants spaces; indent with spaces"),
        ("a: \x07", "f.yaml:1:4: this character may not stand in a YAML file; remove it"),
        ("[" * (MAXIMUM_DEPTH + 2) + "]" * (MAXIMUM_DEPTH + 2),
         f"f.yaml:1:{MAXIMUM_DEPTH + 2}: values are nested more than {MAXIMUM_DEPTH} deep"),
    ],
)  # fmt: skip
def test_faults(text: str, fault: str) -> None:
    assert faults(text) == [fault]


@pytest.mark.parametrize("text", ["a: [1", "a: 'x", "a: b: c", "%x", "a: @b", "{a", "- a\nb: c"])
def test_what_is_not_yaml_is_said_where(text: str) -> None:
    (fault,) = faults(text)
    assert "this is not YAML" in fault
    assert fault.startswith("f.yaml:")
    assert ":0:" not in fault


def test_a_few_lines_cannot_stand_for_millions_of_values() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{place}: &a{place} [{', '.join([f'*a{place - 1}'] * 9)}]" for place in range(1, 9)]
    (fault,) = faults("\n".join(lines))
    assert "aliases written out" in fault


def test_files(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    assert [str(fault) for fault in read_tree(missing).faults] == [
        f"{missing}: there is no such file; correct the path, or make one with `pbx init DIR`"
    ]
    assert "cannot be read: Is a directory" in str(read_tree(tmp_path).faults[0])
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: M\xfcller\n")
    assert [str(fault) for fault in read_tree(latin).faults] == [
        f"{latin}:2:5: this is not UTF-8; save the file as UTF-8"
    ]
    marked = tmp_path / "bom.yaml"
    marked.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert plain(read_tree(marked).root) == {"a": "1"}


@given(st.one_of(st.text(max_size=60), st.text(alphabet="ab:[]{}&*!|>-'\"#,\n ?%@`\t<", max_size=60)))
def test_any_text_gives_a_tree_or_faults(text: str) -> None:
    tree = parse_tree(text, "f.yaml")
    assert tree.root is not None or tree.faults
