"""Files that hold documents: which format a file has, and what is in it."""

from services.formats.files import FORMATS, UnreadableFile, read_file
from services.formats.records import ParsedRecords, Problem, read_records

__all__ = ["FORMATS", "ParsedRecords", "Problem", "UnreadableFile", "read_file", "read_records"]
