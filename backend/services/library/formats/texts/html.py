"""HTML pages and Word documents: both become Markdown, whose headings, lists and tables are then read."""

import io
import zipfile

import mammoth
from bs4 import BeautifulSoup, Comment, Tag
from markdownify import MarkdownConverter

from services.library.formats.records import NotReadable, ParsedRecords
from services.library.formats.texts.markdown import read_markdown

_NOT_TEXT = ("script", "style", "noscript", "template", "nav", "footer", "aside", "iframe", "svg", "head")


def read_html(data: bytes | str, source: str = "") -> ParsedRecords:
    """Return the passages of a page, without hidden parts. Raises ``NotReadable``.

    The encoding of bytes is the one that the page declares, else UTF-8.
    """
    try:
        page = BeautifulSoup(data, "html.parser")
        title = page.title.get_text(" ", strip=True) if page.title else ""
        for part in page.find_all(_is_unseen):
            # An element may have been removed with its parent.
            if not part.decomposed:
                part.decompose()
        for comment in page.find_all(string=lambda text: isinstance(text, Comment)):
            comment.extract()
        if title and page.find("h1") is None:
            heading = page.new_tag("h1", string=title)
            (page.body or page).insert(0, heading)
        markdown = _Converter(heading_style="ATX", strip=["a", "img", "b", "strong", "i", "em"]).convert_soup(page)
    except RecursionError as error:
        raise NotReadable("nested too deeply") from error
    return read_markdown(markdown, source)


def read_docx(data: bytes, source: str = "") -> ParsedRecords:
    """Return the passages of a Word document. Raises ``NotReadable``."""
    try:
        html = mammoth.convert_to_html(
            io.BytesIO(data), convert_image=mammoth.images.img_element(lambda _: {"src": ""})
        ).value
    except RecursionError as error:
        raise NotReadable("nested too deeply") from error
    except (zipfile.BadZipFile, KeyError, ValueError, SyntaxError, OSError, AttributeError, TypeError) as error:
        # The library has no error of its own for a broken file.
        raise NotReadable(f"a broken Word document ({type(error).__name__})") from error
    return read_html(html, source)


class _Converter(MarkdownConverter):
    """Text without escapes: ``a_b`` stays as it is, since nothing renders it."""

    def escape(self, text: str, _parent_tags: object) -> str:
        return text


def _is_unseen(tag: Tag) -> bool:
    style = str(tag.get("style", "")).replace(" ", "").lower()
    return (
        (tag.name in _NOT_TEXT)
        or tag.has_attr("hidden")
        or tag.get("aria-hidden") == "true"
        or "display:none" in style
        or "visibility:hidden" in style
    )
