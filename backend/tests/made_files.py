"""Small files of office formats, made without the libraries that read them."""

import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

Line = tuple[str, int]
"""A line of text and its size in points."""


def pdf(pages: Sequence[Sequence[Line]], *, outline: Sequence[tuple[str, int]] = ()) -> bytes:
    """Return a PDF whose pages hold the lines; ``outline`` gives titles with page numbers from 0."""
    objects: list[bytes] = []

    def add(body: bytes) -> int:
        objects.append(body)
        return len(objects)

    font = add(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    parent = len(pages) * 2 + 2
    kids = []
    for lines in pages:
        text, height = b"", 800
        for line, size in lines:
            height -= size + 6
            said = line.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
            text += b"BT /F1 %d Tf 1 0 0 1 50 %d Tm (%s) Tj ET\n" % (size, height, said)
        content = add(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text))
        kids.append(
            add(
                b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
                b"/Resources << /Font << /F1 %d 0 R >> >> >>" % (parent, content, font)
            )
        )
    assert (
        add(b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(b"%d 0 R" % kid for kid in kids), len(kids)))
        == parent
    )
    root = b"<< /Type /Catalog /Pages %d 0 R" % parent
    if outline:
        first = len(objects) + 1
        last, tree = first + len(outline) - 1, first + len(outline)
        for place, (title, page) in enumerate(outline):
            links = b"/Prev %d 0 R " % (first + place - 1) if place else b""
            links += b"/Next %d 0 R " % (first + place + 1) if place < len(outline) - 1 else b""
            said = b"\xfe\xff" + title.encode("utf-16-be")
            add(
                b"<< /Title <%s> /Parent %d 0 R %s/Dest [%d 0 R /Fit] >>"
                % (said.hex().encode(), tree, links, kids[page])
            )
        add(b"<< /Type /Outlines /First %d 0 R /Last %d 0 R /Count %d >>" % (first, last, len(outline)))
        root += b" /Outlines %d 0 R" % tree
    catalog = add(root + b" >>")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    out += b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, catalog, start)
    return out


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
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    return _zip(
        {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" '
            'ContentType="application/xml"/><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/styles" Target="styles.xml"/></Relationships>',
            "word/styles.xml": f"<w:styles {names}>{styles}</w:styles>",
            "word/document.xml": f"<w:document {names}><w:body>{body}</w:body></w:document>",
        }
    )


def xlsx(sheets: dict[str, Sequence[Sequence[object]]]) -> bytes:
    """Return a workbook of sheets with their rows."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    listed = links = ""
    files = {}
    for number, (name, rows) in enumerate(sheets.items(), 1):
        listed += f'<sheet name="{escape(name)}" sheetId="{number}" r:id="r{number}"/>'
        links += f'<Relationship Id="r{number}" Type="{office}/worksheet" Target="worksheets/s{number}.xml"/>'
        lines = ""
        for row_number, row in enumerate(rows, 1):
            cells = "".join(
                f'<c r="{chr(65 + column)}{row_number}"><v>{cell}</v></c>'
                if isinstance(cell, int | float)
                else f'<c r="{chr(65 + column)}{row_number}" t="inlineStr"><is><t>{escape(str(cell))}</t></is></c>'
                for column, cell in enumerate(row)
            )
            lines += f'<row r="{row_number}">{cells}</row>'
        files[f"xl/worksheets/s{number}.xml"] = f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>'
    return _zip(
        {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
            "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{listed}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{links}</Relationships>',
            **files,
        }
    )


def _zip(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + content)
    return out.getvalue()
