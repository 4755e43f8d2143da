"""Tables: which columns mean what, and what happens to bad rows."""

from pathlib import Path

import pytest

from services.library.formats import ParsedRecords, UnreadableFile, read_file
from services.library.formats.tables import read_table
from tests.library.made_files import xlsx


def sides(parsed: ParsedRecords) -> list[tuple[str, str, str]]:
    return [(doc.metadata["direction"], doc.metadata["lemma"], doc.metadata["gloss"]) for doc in parsed.documents]


def problems(parsed: ParsedRecords) -> list[str]:
    return [str(problem) for problem in parsed.problems]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_recognised(delimiter: str) -> None:
    text = "lemma,pos,gloss_bora\nsol,m.,nuhba\n".replace(",", delimiter)
    assert sides(read_table(text)) == [("es_bora", "sol", "nuhba")]


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("lemma,gloss_es", "nuhba,sol", ("bora_es", "nuhba", "sol")),
        ("ES,Bora", "sol,nuhba", ("es_bora", "sol", "nuhba")),
        ("bora,Español", "nuhba,sol", ("bora_es", "nuhba", "sol")),
        ("Palabra,Gloss Bora", "sol,nuhba", ("es_bora", "sol", "nuhba")),
        ("bora_text,spanish_text", "¿Kiá?,¿Dónde?", ("bora_es", "¿Kiá?", "¿Dónde?")),
        ("lemma,gloss_bora,gloss_es", "nuhba,,sol", ("bora_es", "nuhba", "sol")),
    ],
)
def test_columns_are_recognised_by_their_names(header: str, row: str, expected: tuple[str, str, str]) -> None:
    parsed = read_table(f"{header}\n{row}\n")
    assert (sides(parsed), problems(parsed)) == ([expected], [])


def test_cells_hold_lists_examples_and_numbers() -> None:
    text = (
        "lemma,variants,pos,gloss_bora,synonyms,notes,example_es,example_bora\n"
        '"gato","gata; gatito",m.,mííchií,michi,"caza; duerme","El gato duerme.","Mííchií cuwa."\n'
    )
    entry, example = read_table(text).documents
    assert entry.metadata["variants"] == ["gata", "gatito"]
    assert entry.metadata["notes"] == ["caza", "duerme"]
    assert example.content == "El gato duerme. = Mííchií cuwa."
    (pair,) = read_table("bora_text,spanish_text,difficulty_level,category\na,b,2,Lugar\n").documents
    assert (pair.kind, pair.metadata["difficulty_level"], pair.metadata["category"]) == ("phrase", 2, "Lugar")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("luna", "line 3: 1 cells, the header has 2"),
        ("luna,a,b", "line 3: 3 cells, the header has 2"),
        ('luna,"a"b', "line 3: not a row"),
        ('luna,"nuhba', "line 3: not a row"),
        (",nuhba", "line 3: lemma: empty"),
        ("luna,", "line 3: 'luna' has no gloss"),
        ("luna,a\0b", "line 3: content: holds a null character"),
    ],
)
def test_a_bad_row_is_reported_with_its_line_and_the_others_are_kept(bad: str, reason: str) -> None:
    parsed = read_table(f"es,bora\nsol,nuhba\n{bad}\nrío,teéhi\n")
    assert [document.metadata["lemma"] for document in parsed.documents] == ["sol", "río"]
    assert len(parsed.problems) == 1
    assert problems(parsed)[0].startswith(reason)


def test_lines_are_counted_also_behind_a_cell_of_several_lines_and_blank_rows() -> None:
    parsed = read_table('es,bora\n\nsol,"nuhba,\nluna",,\n,\nrío\n')
    assert [document.metadata["gloss"] for document in parsed.documents] == ["nuhba, luna"]
    assert problems(parsed) == ["line 6: 1 cells, the header has 2"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("sol,nuhba\n", "the first line must name the columns"),
        ("es,bora,es\na,b,c\n", "two columns are named es"),
        ('"es,bora\n', "no header can be read"),
    ],
)
def test_a_table_without_a_usable_header_is_unreadable_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "words.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableFile, match=reason) as caught:
        read_file(path)
    assert str(path) in str(caught.value)


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_bytes("\ufeffes;bora\r\nsol;nuhba\r\n".encode())
    (document,) = read_file(path).documents
    assert (document.content, document.metadata["source"]) == ("sol: nuhba", "words.csv")


def test_lines_of_json_are_read_and_bad_ones_reported(tmp_path: Path) -> None:
    path = tmp_path / "words.jsonl"
    path.write_text('{"lemma": "sol", "gloss_bora": "nuhba"}\n{"lemma":\n\n[]\n' + "9" * 5_000, encoding="utf-8")
    parsed = read_file(path)
    assert [document.content for document in parsed.documents] == ["sol: nuhba"]
    assert [problem.index for problem in parsed.problems] == [2, 4, 5]
    assert "not JSON, column" in problems(parsed)[0]


@pytest.mark.parametrize("address", ["XFD1048576", "ALL900000", "ZZZZZZ99999999999"])
def test_a_cell_far_from_the_others_ends_no_process_but_the_reader(address: str, tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    path.write_bytes(xlsx({"Hoja": [["es", "bora"], ["sol", "nuhba"], [(address, "x")]]}))
    with pytest.raises(UnreadableFile, match="keep only the rows and columns that are used"):
        read_file(path)
