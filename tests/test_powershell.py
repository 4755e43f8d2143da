"""The PowerShell scripts, without a PowerShell: they parse, and they keep their promises on paper."""

from __future__ import annotations

import re

import pytest
import tree_sitter
import tree_sitter_powershell

from conftest import ROOT

SCRIPTS = ("start-dev.ps1", "start-llm-service.ps1")
LANGUAGE = tree_sitter.Language(tree_sitter_powershell.language())


def syntax_errors(source: bytes) -> list[str]:
    """Where the parser met something that is no PowerShell, as "line 3: text"."""
    found = []
    nodes = [tree_sitter.Parser(LANGUAGE).parse(source).root_node]
    while nodes:
        node = nodes.pop()
        if node.is_error or node.is_missing:
            found.append(f"line {node.start_point[0] + 1}: {(node.text or b'').decode('utf-8', 'replace')[:60]}")
        nodes.extend(node.children)
    return found


def source_of(name: str) -> bytes:
    """A script's bytes without the byte order mark."""
    return (ROOT / name).read_bytes().removeprefix(b"\xef\xbb\xbf")


def test_every_script_of_the_repository_is_looked_at() -> None:
    assert sorted(path.name for path in ROOT.glob("*.ps1")) == sorted(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_has_no_syntax_error(name: str) -> None:
    assert syntax_errors(source_of(name)) == []


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("damage", ["if ($x { 1 }", "function f { ", "& $program @(", "'unclosed"])
def test_a_broken_script_is_caught(name: str, damage: str) -> None:
    assert syntax_errors(source_of(name) + f"\r\n{damage}\r\n".encode())


@pytest.mark.parametrize("name", SCRIPTS)
def test_windows_powershell_reads_it_as_utf_8(name: str) -> None:
    content = (ROOT / name).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") or content.isascii()
    content.decode("utf-8-sig")


@pytest.mark.parametrize("name", SCRIPTS)
def test_calls_dev_py_beside_it_and_passes_its_exit_status_on(name: str) -> None:
    text = source_of(name).decode()
    assert "Join-Path $PSScriptRoot 'dev.py'" in text
    assert re.search(r"& \$program @options \$dev up", text)
    assert re.search(r"exit \$(LASTEXITCODE|status)\s*$", text)


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_options_that_dev_py_has_are_passed(name: str) -> None:
    options = set(re.findall(r"'(--[a-z-]+)'| (--[a-z]+-only)", source_of(name).decode()))
    known = (ROOT / "devtools" / "cli.py").read_text(encoding="utf-8")
    assert options
    for option in filter(None, (part for pair in options for part in pair)):
        assert f'"{option}"' in known


def test_the_menu_has_the_three_choices_of_the_plan() -> None:
    text = source_of("start-dev.ps1").decode()
    for choice in ("1  Backend + Frontend", "2  Backend + Frontend + LLM", "3  Solo LLM"):
        assert choice in text


def test_nothing_newer_than_windows_powershell_is_used() -> None:
    for name in SCRIPTS:
        text = source_of(name).decode()
        code = "\n".join(line for line in text.splitlines() if not line.strip().startswith("#"))
        assert not re.search(r"\?\?|\?\.|&&|\|\||-Parallel|\bternary\b", code), name
