"""Dictionaries as field linguists keep them, and the encodings in which they come."""

import time
from pathlib import Path

import pytest

from services.library.formats import UnreadableFile, read_file
from services.library.formats.lexica import read_lift, read_mdf
from services.library.formats.records import ParsedRecords

MDF = r"""\_sh v3.0  400  MDF 4.0

\lx nuhba
\ps n
\sn 1
\ge sun
\gn sol
\xv Nuhba
otra línea
\xe The sun.
\xn El sol.
\sn 2
\gn luna
\se nuhba aame
\gn eclipse
\va nuuba
\dt 12/Mar/2001

\lx sinnada
\ps n

\lx oohi
\ge perro
"""
LIFT = """<?xml version="1.0" encoding="UTF-8"?>
<lift version="0.13">
 <entry id="a"><lexical-unit><form lang="boa"><text>nuhba</text></form></lexical-unit>
  <variant><form lang="boa"><text>nuuba</text></form></variant>
  <sense><grammatical-info value="Noun"/>
   <gloss lang="en"><text>sun</text></gloss><gloss lang="es"><text>sol</text></gloss>
   <example><form lang="boa"><text>Nuhba.</text></form>
    <translation><form lang="es"><text>El sol.</text></form></translation></example></sense>
  <sense><definition><form lang="es"><text>luna</text></form></definition></sense></entry>
 <entry id="b" dateDeleted="2020-01-01T00:00:00Z">
  <lexical-unit><form lang="boa"><text>x</text></form></lexical-unit></entry>
 <entry id="c"><lexical-unit><form lang="boa"><text>oohi</text></form></lexical-unit>
  <sense><gloss lang="en"><text>dog</text></gloss></sense></entry>
</lift>"""


def contents(parsed: ParsedRecords) -> list[str]:
    return [document.content for document in parsed.documents]


def test_a_toolbox_lexicon_has_entries_senses_examples_and_sub_entries() -> None:
    parsed = read_mdf(MDF)
    assert contents(parsed) == [
        "nuhba (n): sol; luna",
        "Nuhba otra línea = El sol.",
        "nuhba aame, nuuba: eclipse",
        "oohi: perro",
    ]
    assert parsed.documents[2].metadata["parent_lemma"] == "nuhba"
    assert [str(problem) for problem in parsed.problems] == [
        "line 19: 'sinnada' has no gloss; its sub-entries and examples are kept"
    ]


@pytest.mark.parametrize("name", ["d.txt", "d.sfm", "d.db"])
def test_a_toolbox_lexicon_is_known_by_its_content(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(MDF, encoding="utf-8")
    assert len(read_file(path).documents) == 4


def test_a_lift_lexicon_has_spanish_meanings_first() -> None:
    assert contents(read_lift(LIFT)) == ["nuhba, nuuba (Noun): sol; luna", "Nuhba. = El sol.", "oohi: dog"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<lift><entry>", "not XML, line 1"),
        ('<!DOCTYPE lift [<!ENTITY a "aaaa">]><lift>&a;</lift>', "declares a document type"),
    ],
)
def test_lift_that_is_broken_or_dangerous_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "d.lift"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableFile, match=reason):
        read_file(path)


@pytest.mark.parametrize("begin", ["<!-- nota -->\n" * 27, "\n" * 40_000, "# Nota\n\nagua\n\n" * 30_000])
def test_a_text_that_repeats_itself_is_read_in_a_moment(begin: str, tmp_path: Path) -> None:
    path = tmp_path / "d.md"
    path.write_text(f"{begin}# Fin\n\nfin\n", encoding="utf-8")
    started = time.process_time()
    assert contents(read_file(path))[-1] == "Fin\nfin"
    assert time.process_time() - started < 4


@pytest.mark.parametrize("text", ["<!---->" * 25, " " * 30_000, "." * 30_000])
def test_thousands_of_equal_signs_are_read_at_once(text: str, tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_text(f"{text}<p", encoding="utf-8")
    begun = time.process_time()
    assert read_file(path).documents
    assert time.process_time() - begun < 1.0


SPANISH = "lema;gloss_bora\nmañana;péjco\ncamión;tsií\n¿qué?;kiá\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_encodings_that_can_be_recognised_are_read(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(SPANISH.encode(encoding))
    parsed = read_file(path)
    assert contents(parsed) == ["mañana: péjco", "camión: tsií", "¿qué?: kiá"]
    assert ("windows-1252" in parsed.note) == (encoding in ("cp1252", "latin-1"))


@pytest.mark.parametrize("encoding", ["cp850", "mac_roman", "cp1251"])
def test_an_encoding_that_cannot_be_recognised_is_refused_with_the_line_and_read_when_named(
    encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "d.csv"
    text = SPANISH if encoding != "cp1251" else "lema;gloss_bora\nслово;péjco\n".replace("é", "e")
    path.write_bytes(text.encode(encoding))
    with pytest.raises(UnreadableFile, match=r"line 2: not UTF-8.*save it as UTF-8.*--encoding"):
        read_file(path)
    assert read_file(path, encoding=encoding).documents[0].content == text.split("\n")[1].replace(";", ": ")
