"""README and docs are plain English: no sentence is longer than 25 words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MAX_WORDS = 25

# What is no prose: comments, fenced code, tables, headings, indented code.
_CUT = re.compile(r"<!--.*?-->|^```.*?^```|^\|.*?$|^#.*?$|(?<=\n\n) {4}[^\n]*(?:\n {4}[^\n]*)*", re.M | re.S)
# Where a paragraph or an item of a list ends.
_BREAK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*>]|\d+\.)\s)")
_ITEM = re.compile(r"^\s*(?:[-*>]|\d+\.)\s+")
_END = re.compile(r"(?<=[.!?])[)*\"]*\s+(?=[^a-z])")


def sentences(text: str) -> Iterator[str]:
    """The sentences of a page's prose; code, links and emphasis are reduced to what one reads."""
    for paragraph in _BREAK.split(_CUT.sub("\n\n", text)):
        plain = " ".join(_ITEM.sub("", paragraph).split())
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", plain)
        plain = re.sub(r"`[^`]*`", "Code", plain)
        yield from filter(None, _END.split(plain.replace("*", "")))


def words(sentence: str) -> list[str]:
    """Its words; numbers are words, punctuation is none."""
    return [word for word in sentence.split() if re.search(r"\w", word)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_sentence_is_longer_than_25_words(page: Path) -> None:
    found = list(sentences(page.read_text(encoding="utf-8")))
    long = [one for one in found if len(words(one)) > MAX_WORDS]
    assert not long, "\n".join(f"{len(words(one))} words: {one}" for one in long)


def test_sentences_are_told_from_tables_code_and_each_other() -> None:
    text = """# A heading of words

One sentence here. And `bakeoff run quick --set a=b` is
another [with a link](https://example.org/a.b)? It is.

- An item
- another item: e.g. this one

| a table | of words |
|---|---|

    bakeoff run quick

```console
no words
```
"""
    assert list(sentences(text)) == [
        "One sentence here.",
        "And Code is another with a link?",
        "It is.",
        "An item",
        "another item: e.g. this one",
    ]
    assert len(words("One – two, 3 (four)")) == 4
