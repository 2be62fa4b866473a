"""The characters of ids and names: every way in takes and refuses the same ones, over all of Unicode."""

import json
import sys
import unicodedata
from collections.abc import Callable

import pytest
from tidemark.base import rules
from tidemark.base.errors import FieldError, TidemarkError
from tidemark.base.values import has_control
from tidemark.coldchain.operation import read_operation
from tidemark.readings.wire.line_protocol import LineProtocol
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.records import Records, to_columns
from tidemark.readings.wire.series_names import series_name
from tidemark.web.record import decode_sent

NOW = 1_700_000_000_000_000
EVERY = [chr(code) for code in range(sys.maxunicode + 1)]
REFUSED = [one for one in EVERY if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")]
WORDS = ["می‌شود", "क्‍ष", "東京　駅", "👩‍🌾", "12 °C", "a\u00adb", "\ufeffname", "soft\u2060join"]


def managed(name: str) -> None:
    """A name or an id as management takes it, on every surface and on the command line."""
    rules.text("name", name)
    rules.identifier("id", name)


def operation(name: str) -> None:
    sent = {"type": "check_in", "occurred_at": "2023-01-01", "cooling_unit_id": 1, "crates": 1, "weight_kg": 1}
    read_operation({**sent, "id": name, "user_id": name, "crop": name}, NOW)


def series(name: str) -> None:
    """All parts of what line protocol, remote write and collectd name."""
    series_name(name, name, [(name, name)])


def bulk(name: str) -> None:
    columns = to_columns(Records([0], [name], ["2023-01-01"], ["1"]), [], NOW)
    if columns.rejected:
        raise FieldError("sensor", columns.rejections[0].message)


def event(name: str) -> None:
    sent = {"site": "s", "type": "event", "name": name, "url": "https://example.com/"}
    assert decode_sent(json.dumps(sent, ensure_ascii=False).encode()).name == name


WAYS = [managed, operation, series, bulk, event]


def test_what_no_name_has_are_controls_separators_and_surrogates() -> None:
    assert len(REFUSED) == 65 + 2 + 2048
    assert [one for one in EVERY if has_control(one)] == REFUSED


@pytest.mark.parametrize("way", WAYS)
def test_each_way_in_takes_all_other_characters(way: Callable[[str], None]) -> None:
    refused = set(REFUSED) | set(',"/')  # and what cannot stand in an id that is part of a list or a path
    taken = [one for one in EVERY if one not in refused]
    for start in range(0, len(taken), 100):
        way(f"a{''.join(taken[start : start + 100])}z")


@pytest.mark.parametrize("way", WAYS)
def test_each_way_in_refuses_them(way: Callable[[str], None]) -> None:
    for one in REFUSED:
        if way is event and "\ud800" <= one <= "\udfff":
            continue  # JSON in UTF-8 cannot have it
        with pytest.raises((FieldError, TidemarkError), match="control characters"):
            way(f"a{one}z")


@pytest.mark.parametrize("word", WORDS)
def test_words_of_all_languages(word: str) -> None:
    for way in WAYS:
        way(word)
    line = f"{word.replace(' ', chr(92) + ' ')},k={word.replace(' ', chr(92) + ' ')} v=1 1"

    def read(text: str) -> list[Piece]:
        decoder = LineProtocol(1, lambda: NOW)
        return [*decoder.feed(text.encode()), *decoder.finish()]

    (plain,) = read(line)
    assert plain.names == [series_name(word, "v", [("k", word)])]
    (broken,) = read(line.replace(word[1], word[1] + "\u0085"))
    assert (len(broken), broken.rejected) == (0, 1)
