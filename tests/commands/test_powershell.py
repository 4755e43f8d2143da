"""The PowerShell scripts, without a PowerShell: they parse, and they keep their promises on paper."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell

from conftest import ROOT

SCRIPTS = sorted(path.name for path in ROOT.glob("*.ps1"))
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


@pytest.mark.parametrize("name", SCRIPTS)
def test_has_no_syntax_error(name: str) -> None:
    assert syntax_errors(source_of(name)) == []
    assert syntax_errors(source_of(name) + b"\r\nif ($x { 1 }\r\n")


@pytest.mark.parametrize("name", SCRIPTS)
def test_windows_powershell_reads_it_as_utf_8(name: str) -> None:
    content = (ROOT / name).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") or content.isascii()
    content.decode("utf-8-sig")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("start-dev.ps1", r"& \$program @options \$dev up"),
        ("start-llm-service.ps1", r"& \(Join-Path \$PSScriptRoot 'start-dev.ps1'\) 3 @args"),
    ],
)
def test_passes_its_arguments_and_the_exit_status_on(name: str, call: str) -> None:
    text = source_of(name).decode()
    assert re.search(call, text)
    assert re.search(r"exit \$(LASTEXITCODE|status)\s*$", text)


def test_only_options_that_dev_py_has_are_passed() -> None:
    options = set(re.findall(r"'(--[a-z-]+)'", source_of("start-dev.ps1").decode()))
    known = (ROOT / "devtools" / "cli.py").read_text(encoding="utf-8")
    assert options
    assert all(f'"{option}"' in known for option in options)


def test_nothing_newer_than_windows_powershell_is_used() -> None:
    for name in SCRIPTS:
        text = source_of(name).decode()
        code = "\n".join(line for line in text.splitlines() if not line.strip().startswith("#"))
        assert not re.search(r"\?\?|\?\.|&&|\|\||-Parallel|\bternary\b", code), name


@pytest.mark.parametrize("name", SCRIPTS)
def test_paths_are_joined_and_looked_up_letter_by_letter(name: str) -> None:
    """A folder may be called `C:\\My [old] things`: blanks, brackets."""
    text = source_of(name).decode()
    assert text.count("$PSScriptRoot") == len(re.findall(r"Join-Path \$PSScriptRoot '", text))
    assert text.count("Test-Path ") == text.count("Test-Path -LiteralPath ")
    assert "Invoke-Expression" not in text
    assert not re.search(r"(?m)^\s*(cd|Set-Location)\b", text)


# --- where there is a PowerShell ----------------------------------------------------------------

POWERSHELL = shutil.which("pwsh") or shutil.which("powershell")
needs_powershell = pytest.mark.skipif(
    not POWERSHELL, reason="no PowerShell: it comes with Windows, no package installs it elsewhere"
)


def run_script(folder: Path, name: str, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a script's copy in a folder with a blank in its name, beside a dev.py that shows its arguments."""
    home = folder / "a checkout"
    home.mkdir()
    for script in SCRIPTS:
        shutil.copy(ROOT / script, home)
    (home / "dev.py").write_text("import sys; print('ARGUMENTS', sys.argv[1:]); sys.exit(7)\n")
    search = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])) if path is None else path
    return subprocess.run(
        [str(POWERSHELL), "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", str(home / name), *arguments],
        env={**os.environ, "PATH": search}, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


@needs_powershell
@pytest.mark.parametrize(
    ("name", "arguments", "passed"),
    [
        ("start-llm-service.ps1", ["--llm-port", "8011"], ["up", "--llm-only", "--llm-port", "8011"]),
        ("start-dev.ps1", ["1"], ["up", "--backend-only"]),
        ("start-dev.ps1", ["2", "--llm-port", "8011"], ["up", "--llm-port", "8011"]),
        ("start-dev.ps1", ["3"], ["up", "--llm-only"]),
    ],
)
def test_options_reach_dev_py_and_its_exit_status_comes_back(
    tmp_path: Path, name: str, arguments: list[str], passed: list[str]
) -> None:
    done = run_script(tmp_path, name, *arguments)
    assert f"ARGUMENTS {passed}" in done.stdout
    assert done.returncode == 7


@needs_powershell
@pytest.mark.parametrize("name", SCRIPTS)
def test_without_python_the_way_to_get_it_is_said(tmp_path: Path, name: str) -> None:
    done = run_script(tmp_path, name, *(["2"] if name == "start-dev.ps1" else []), path=str(tmp_path))
    assert "No se encontró Python" in done.stdout
    assert done.returncode == 1


@needs_powershell
def test_a_choice_that_the_menu_does_not_have_is_wrong_usage(tmp_path: Path) -> None:
    assert run_script(tmp_path, "start-dev.ps1", "9").returncode == 2
