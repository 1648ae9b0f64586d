"""YAML of recipes: what has two readings is refused in one line with its line and key; numbers are YAML 1.2's."""

import pathlib
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import strict_yaml
from manifests.strict_yaml import Written, YamlError, YamlSyntaxError, parse, read

READ = {
    "": None,
    "# nothing\n": None,
    "a: 1e-3": {"a": 0.001},
    "a: 1e1": {"a": 10.0},
    "a: [+1.5E3, -.5e1, 2.e2]": {"a": [1500.0, -5.0, 200.0]},
    "a: '1e1'": {"a": "1e1"},
    "a: [1_000, 0x1F, 0, -0, 0.5, 10]": {"a": [1000, 31, 0, 0, 0.5, 10]},
    "a: [1e, e1, 1e1x, 1.2.3, 10.0.0.0/8, 192.168.0.1:80]": {
        "a": ["1e", "e1", "1e1x", "1.2.3", "10.0.0.0/8", "192.168.0.1:80"]
    },
    "a: ['010', '12:30', '.nan', 'no', '2024-01-01']": {"a": ["010", "12:30", ".nan", "no", "2024-01-01"]},
    "a: [no, on, 2024-01-01, ~]": {"a": [False, True, date(2024, 1, 1), None]},
    "'no': 1": {"no": 1},
    "a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}": {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}},
    "a: &x {b: {<<: &y {c: 1}, c: 2}}\nd: {<<: *x}\ne: *y": {"a": {"b": {"c": 2}}, "d": {"b": {"c": 2}}, "e": {"c": 1}},
}

REFUSED = {
    "a: 1\nb: 2\na: 3": "line 3: a: the key stands twice, first on line 1",
    "s:\n  w:\n    - {k: 1, l: 2,\n       k: 3}": "line 4: s.w.0.k: the key stands twice, first on line 3",
    "a: 1\n'a': 2": "line 2: a: the key stands twice",
    "{<<: {a: 1}, <<: {b: 1}}": "line 1: <<: the key stands twice",
    "a: {<<: 3}": "line 1: not YAML: while constructing a mapping expected a mapping",
    "a:\n\tb: 1": "line 2: a tab; indent with spaces",
    "a: [": "line 1: not YAML: ",
    "a: *b": "line 1: not YAML: found undefined alias 'b'",
    "a: 1\n---\nb: 2": "not YAML: expected a single document",
    "a: \0": "not YAML: unacceptable character #x0000",
    "no: 1": "line 1: no: YAML reads `no` as false; put it in quotes: 'no'",
    "a:\n  2024: 1": "line 2: a.2024: YAML reads `2024` as a number; put it in quotes: '2024'",
    "~: 1": "line 1: ~: YAML reads `~` as nothing",
    "2024-01-01: 1": "2024-01-01: YAML reads `2024-01-01` as a time",
    "? [a]\n: 1": "line 1: a key is text, not a list or a table",
    "a: 010": "line 1: a: YAML 1.1 reads `010` as 8; write 8 if it is a number, or quotes if it is text: '010'",
    "a: [12:30]": "line 1: a.0: YAML 1.1 reads `12:30` as 750; write 750",
    "a: 1:30.5": "line 1: a: YAML 1.1 reads `1:30.5` as 90.5",
    "a: .nan": "line 1: a: `.nan` is no number",
    '"a\\nb": .inf': "line 1: a\\nb: `.inf` is no number",
    "a: -.Inf": "line 1: a: `-.Inf` is no number",
    "a: 1e999": "line 1: a: `1e999` is no number",
    "a: 2024-13-45": "line 1: a: `2024-13-45` has no value",
    "a: !!int x": "line 1: a: `x` has no value",
    "a: !!set {x}": "line 1: a: the tag !!set is not read",
    "a: !!python/object/apply:os.system [true]": "line 1: a: the tag !!python/object/apply:os.system is not read",
    "a: =": "line 1: a: the tag !!value is not read; put it in quotes",
    "a: &a [1, *a]": "line 1: a.1: a table or list that holds itself",
    'a: "\\ud800"': "line 1: '\\ud800' holds half of a surrogate pair",
    '"\\ud800": 1': "line 1: '\\ud800' holds half of a surrogate pair",
    "[" * 5000: "too deep in each other",
    "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 10)}]\n" for i in range(12)
    ): "more than 1,000,000",
}


@pytest.mark.parametrize("text", READ)
def test_read(text: str) -> None:
    assert parse(text).value == READ[text]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40])
def test_refused_in_one_line(text: str) -> None:
    with pytest.raises(YamlError) as e:
        parse(text)
    assert REFUSED[text] in str(e.value) and str(e.value).isprintable()
    assert isinstance(e.value, YamlSyntaxError) == ("not YAML" in str(e.value) or "a tab;" in str(e.value))


def test_a_value_is_found_as_it_was_written() -> None:
    document = parse("x: 1\nsources:\n  web: &w\n    any_of: [de, no]\n    min: 1e1\n  b:\n    <<: *w\n    min: on\n")
    assert document.at(("sources", "web", "any_of", 1)) == Written(4, "no")
    assert document.at(("sources", "web", "min")) == Written(5, "1e1")
    assert document.at(("sources", "b", "min")) == Written(8, "on")  # not the merged one
    assert document.at(("sources", "b", "any_of", 1)) == Written(4, "no")
    assert document.at(("sources", "web", "max")) == Written(3, "")  # the line of its table
    assert document.at(("sources", "web", "any_of", 7)) == Written(4, "")
    assert document.at(("other",)) is None and parse("").at(("a",)) is None


def test_files_are_utf_8_with_or_without_a_byte_order_mark(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.yaml"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text("größe: 1\n", encoding)
        assert read(path).value == {"größe": 1}
    for encoding, byte in (("latin-1", "0xf6"), ("utf-16", "0xff")):
        path.write_text("a: 1\ngrößer: 1\n", encoding)
        line = 2 if encoding == "latin-1" else 1
        with pytest.raises(YamlError, match=rf"^line {line}: not UTF-8 \(byte {byte}\); convert it to UTF-8$"):
            read(path)


@settings(max_examples=300, deadline=None)
@given(st.text("ab:{}[]-#&*!|>?,~< \n\t'\"0123.e_=%@\0é", max_size=40) | st.text(max_size=20))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    lines = ["read"]
    try:
        strict_yaml.parse(text)
    except YamlError as e:
        lines.append(str(e))
    assert all(line and line.isprintable() for line in lines)
