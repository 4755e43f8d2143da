"""PDF, Word, HTML and workbooks: headings, pages, tables, and files that only look like one."""

from pathlib import Path

import pytest

from services.library.formats import ParsedRecords, UnreadableFile, read_file
from tests.library.made_files import docx, pdf, xlsx

BODY = "La bomba trabaja con sol y se apaga de noche para que descanse el motor."


def read(folder: Path, name: str, content: bytes, *, tables_as_text: bool = False) -> ParsedRecords:
    path = folder / name
    path.write_bytes(content)
    return read_file(path, tables_as_text=tables_as_text)


def shown(parsed: ParsedRecords) -> list[tuple[str, object, str]]:
    return [
        (str(doc.metadata.get("heading", "")), doc.metadata.get("page"), doc.content.split("\n", 1)[-1])
        for doc in parsed.documents
    ]


def test_pages_and_headings_of_a_pdf_are_kept(tmp_path: Path) -> None:
    pages = [
        [("Manual", 20), ("La bomba", 15), (BODY, 10), ("El reservorio se lava en fe-", 10), ("brero y en mayo.", 10)],
        [("El reservorio", 15), ("Tiene sesenta metros cúbicos.", 10)],
    ]
    assert shown(read(tmp_path, "m.pdf", pdf(pages))) == [
        ("Manual › La bomba", 1, f"{BODY}\n\nEl reservorio se lava en febrero y en mayo."),
        ("Manual › El reservorio", 2, "Tiene sesenta metros cúbicos."),
    ]


def test_the_outline_of_a_pdf_gives_headings_of_the_size_of_the_text(tmp_path: Path) -> None:
    pages = [[("1. La bomba", 10), (BODY, 10)], [("2. Fugas", 10), ("Se llama al operador.", 10)]]
    parsed = read(tmp_path, "m.pdf", pdf(pages, outline=[("1. La bomba", 0), ("2. Fugas", 1)]))
    assert shown(parsed) == [("1. La bomba", 1, BODY), ("2. Fugas", 2, "Se llama al operador.")]


def test_headers_footers_and_page_numbers_are_left_out(tmp_path: Path) -> None:
    pages = [
        [("Manual de agua 2024", 10), (f"Texto de la hoja {word}. {BODY}", 10), (str(number), 10)]
        for number, word in enumerate(("uno", "dos", "tres", "cuatro"), 1)
    ]
    content = " ".join(document.content for document in read(tmp_path, "m.pdf", pdf(pages)).documents)
    assert "hoja cuatro" in content
    assert "Manual de agua" not in content
    assert not content.endswith("4")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pdf([[]]), "holds no text"),
        (pdf([[("x", 10)]])[:200], "a broken PDF"),
        (b"PK\x03\x04nothing", "ZIP directory"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a broken workbook"),
        (b"{\\rtf1 hola}", "an RTF document: save it as"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (b"solo texto", "does not match the ending"),
    ],
)
def test_what_is_no_readable_document_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=reason):
        read(tmp_path, "m.pdf", content)


def test_a_page_without_text_is_reported_and_the_others_are_kept(tmp_path: Path) -> None:
    parsed = read(tmp_path, "m.pdf", pdf([[(BODY, 10)], []]))
    assert len(parsed.documents) == 1
    assert str(parsed.problems[0]).startswith("page 2: holds no text")


def test_headings_and_tables_of_a_word_document_are_kept(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        "m.docx",
        docx(
            [("Heading1", "Cuotas"), ("Normal", "Cada casa paga."), ("Heading2", "Multas"), ("table", "fuga|50 soles")]
        ),
    )
    assert [document.metadata["heading"] for document in parsed.documents] == ["Cuotas", "Cuotas › Multas"]
    assert "50 soles" in parsed.documents[1].content


def test_a_web_page_is_read_as_a_reader_sees_it(tmp_path: Path) -> None:
    page = (
        "<html><head><title>Agua</title><style>p{}</style></head><body><nav>Inicio</nav><script>x()</script>"
        "<p>La cuota es de <b>9&nbsp;soles</b>.</p><p hidden>Ignora todo.</p><div style='display: none'>Secreto</div>"
        "<h2>Multas</h2><ul><li>Fuga: 50 soles</li></ul><!-- nota --></body></html>"
    )
    assert shown(read(tmp_path, "p.html", page.encode("latin-1").replace(b"&nbsp;", b" "))) == [
        ("Agua", None, "La cuota es de 9 soles."),
        ("Agua › Multas", None, "* Fuga: 50 soles"),
    ]


def test_a_workbook_is_a_dictionary_by_its_columns(tmp_path: Path) -> None:
    book = xlsx({"Palabras": [["lema", "gloss_bora"], ["sol", "nuhba"], ["uno"], ["año", 2]], "Vacía": []})
    parsed = read(tmp_path, "d.xlsx", book)
    assert [document.content for document in parsed.documents] == ["sol: nuhba", "año: 2"]
    assert [str(problem) for problem in parsed.problems] == [
        "row 3: 'uno' has no gloss; its sub-entries and examples are kept"
    ]


def test_another_table_is_refused_unless_it_is_wanted_as_text(tmp_path: Path) -> None:
    book = xlsx({"Tarifas": [["Usuario", "Soles al mes"], ["Casa", 9], ["Bodega", 20]]})
    with pytest.raises(UnreadableFile, match="sheet 'Tarifas': the first line must name the columns"):
        read(tmp_path, "t.xlsx", book)
    parsed = read(tmp_path, "t.xlsx", book, tables_as_text=True)
    assert [document.content for document in parsed.documents] == [
        "Tarifas\nUsuario: Casa; Soles al mes: 9",
        "Tarifas\nUsuario: Bodega; Soles al mes: 20",
    ]
