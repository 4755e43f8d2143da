"""Files of documents: detection of formats, and reading."""

from services.library.formats.files import FORMATS, UnreadableFile, read_content, read_file
from services.library.formats.records import NotReadable, ParsedRecords, Problem, read_records

__all__ = [
    "FORMATS",
    "NotReadable",
    "ParsedRecords",
    "Problem",
    "UnreadableFile",
    "read_content",
    "read_file",
    "read_records",
]
