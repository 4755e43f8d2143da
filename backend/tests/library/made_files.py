"""Small files of office formats."""

import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

Line = tuple[str, int]
"""A line of text and its size in points."""
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def pdf(pages: Sequence[Sequence[Line]], *, outline: Sequence[tuple[str, int]] = ()) -> bytes:
    """Return a PDF whose pages hold the lines; ``outline`` gives titles with page numbers from 0."""
    writer, out = PdfWriter(), io.BytesIO()
    font = {"Type": "Font", "Subtype": "Type1", "BaseFont": "Helvetica", "Encoding": "WinAnsiEncoding"}
    resources = _named({"Font": _named({"F1": _named({key: NameObject(f"/{name}") for key, name in font.items()})})})
    for lines in pages:
        text, height = b"", 800
        for line, size in lines:
            height -= size + 6
            said = line.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
            text += b"BT /F1 %d Tf 1 0 0 1 50 %d Tm (%s) Tj ET\n" % (size, height, said)
        content = DecodedStreamObject()
        content.set_data(text)
        page = writer.add_blank_page(595, 842)
        page.update(_named({"Resources": resources, "Contents": writer._add_object(content)}))
    for title, number in outline:
        writer.add_outline_item(title=title, page_number=number)
    writer.write(out)
    return out.getvalue()


def docx(paragraphs: Sequence[tuple[str, str]]) -> bytes:
    """Return a Word document of paragraphs, each with its style: ``Heading1``, ``Normal`` or ``table`` (cells by |)."""
    body = ""
    for style, text in paragraphs:
        if style == "table":
            cells = "".join(f"<w:tc><w:p><w:r><w:t>{escape(cell)}</w:t></w:r></w:p></w:tc>" for cell in text.split("|"))
            body += f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>"
        else:
            body += f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{escape(text)}</w:t></w:r></w:p>'
    names = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{level}"><w:name w:val="heading {level}"/></w:style>'
        for level in (1, 2)
    )
    return _zip(
        {
            "_rels/.rels": _relations("officeDocument", "word/document.xml"),
            "word/_rels/document.xml.rels": _relations("styles", "styles.xml"),
            "word/styles.xml": f"<w:styles {names}>{styles}</w:styles>",
            "word/document.xml": f"<w:document {names}><w:body>{body}</w:body></w:document>",
        }
    )


def xlsx(sheets: dict[str, Sequence[Sequence[object]]]) -> bytes:
    """Return a workbook of sheets with their rows; a cell is a value, or its address and a text."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    listed, files = "", {}
    for number, (name, rows) in enumerate(sheets.items(), 1):
        listed += f'<sheet name="{escape(name)}" sheetId="{number}" r:id="r{number}"/>'
        lines = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
        files[f"xl/worksheets/s{number}.xml"] = f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>'
    paths = [path.removeprefix("xl/") for path in files]
    workbook = f'<workbook xmlns="{main}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>'
    return _zip(
        {
            "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
            "_rels/.rels": _relations("officeDocument", "xl/workbook.xml"),
            "xl/workbook.xml": workbook,
            "xl/_rels/workbook.xml.rels": _relations("worksheet", *paths),
            **files,
        }
    )


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    if isinstance(value, tuple):
        address, text = value
        return _cell(text).replace("<c ", f'<c r="{address}" ', 1)
    return f'<c t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'


def _named(values: dict[str, object]) -> DictionaryObject:
    return DictionaryObject({NameObject(f"/{name}"): value for name, value in values.items()})


def _relations(kind: str, *targets: str) -> str:
    links = "".join(
        f'<Relationship Id="r{number}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for number, target in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>'


def _zip(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + content)
    return out.getvalue()
