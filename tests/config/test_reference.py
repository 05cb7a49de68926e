from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pbx.config.kinds import Section
from pbx.config.reference import _documents, _sections_in, reference
from pbx.config.schema import Settings

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def sections(section: type[Section]) -> Iterator[type[Section]]:
    yield section
    for field in section.model_fields.values():
        for inner in _sections_in(field.annotation):
            yield from sections(inner)


def test_the_document_is_in_step() -> None:
    assert DOCUMENT.read_text("utf-8") == reference(), "run: python -m pbx.config.reference > docs/configuration.md"


def test_every_key_says_what_it_means() -> None:
    text = reference()
    for section in sections(Settings):
        documents = _documents(section)
        assert section.__doc__
        for name, field in section.model_fields.items():
            if _sections_in(field.annotation) and name not in ("listen", "trunks", "extensions"):
                continue
            assert documents.get(name), f"{section.__name__}.{name} has no docstring"
            assert f"| `{name}` | " in text
