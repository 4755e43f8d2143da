"""Command line: commands, options, and error reporting."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from devtools import doctor
from devtools.commands import benchmarks, checking, models, testing
from devtools.console import Console
from devtools.errors import DevError, InterruptedByUser
from devtools.layout import Workspace
from devtools.processes import child_environment, run_in_foreground
from devtools.setup.environments import Setup, ensure, require
from devtools.stopping import Stop
from devtools.up.supervision import Up, plan

ROOT = Path(__file__).resolve().parent.parent
Command = Callable[[argparse.Namespace, Setup], int]


def main(argv: Sequence[str]) -> int:
    """Runs one command for the repository that this file belongs to; returns the process's exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # Old Windows consoles cannot show every character: print '?' instead of crashing.
            stream.reconfigure(errors="replace")
    stop = Stop()
    stop.install()
    return run(argv, Workspace(ROOT), stop)


def run(argv: Sequence[str], workspace: Workspace, stop: Stop) -> int:
    """Runs one command in a checkout; returns the exit status. Exits with status 2 on wrong usage."""
    options = parse(argv)
    console = Console()
    setup = Setup(workspace, console, stop, getattr(options, "python", None), getattr(options, "fresh", False))
    command: Command = options.run
    try:
        return command(options, setup)
    except InterruptedByUser as interruption:
        console.line("Interrupted.")
        return interruption.status
    except DevError as fault:
        console.line(f"\n{console.paint('error', 'red')}: {fault.message}")
        for line in fault.remedy.splitlines():
            console.line(f"  {line}")
        return fault.status


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line; what follows `--` becomes `rest`."""
    split = list(argv).index("--") if "--" in argv else len(argv)
    parser = _parser()
    options = parser.parse_args(argv[:split])
    options.rest = list(argv[split + 1 :])
    if options.rest and options.run not in (_test, _bench, _ingest):
        parser.error("only test, bench and ingest take arguments after --")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dev.py", description="Sets up, runs and checks the LLM service and the backend."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    making = argparse.ArgumentParser(add_help=False)
    making.add_argument("--python", metavar="PATH", help="the Python to make environments with (3.11 to 3.14)")

    def command(name: str, run: Command, text: str, makes: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, parents=[making] if makes else [])
        sub.set_defaults(run=run)
        return sub

    _add_up(command("up", _up, "create what is missing, start both services, stop both on Ctrl-C"))
    setup = command("setup", _setup, "create both environments and install everything into them")
    setup.add_argument("--fresh", action="store_true", help="recreate the environments even if they are complete")
    setup.add_argument("--dev", action="store_true", help="install what tests and checks need, too")
    _only(setup)
    test = command("test", _test, "run every test; arguments after -- go to pytest")
    test.add_argument("--only", action="append", default=[], choices=testing.SUITES, help="run this suite (repeatable)")
    test.add_argument(
        "--fail-on-skip", action="store_true", help="fail when a test is skipped for something that could be installed"
    )
    test.add_argument("--run-again", action="store_true", help="rerun a few failed tests alone and name them")
    which = test.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="run the slow tests, too")
    which.add_argument("--since", metavar="COMMIT", help="run the slow tests of parts changed since a commit")
    check = command("check", _check, "formatter, linter, type checker, import contracts")
    check.add_argument("--fix", action="store_true", help="let formatter and linter correct what they can")
    bench = command("bench", _bench, "run benchmarks of bench/, or list them; arguments after -- go to each")
    bench.add_argument("names", nargs="*", metavar="NAME", help="which ones (default: list them)")
    text = "report faults of this machine and its configuration, each with its remedy"
    examining = command("doctor", _doctor, text, makes=False)
    examining.formatter_class = argparse.RawDescriptionHelpFormatter
    examining.epilog = doctor.EPILOG
    ingest = command("ingest", _ingest, "load documents into the backend's database; options go after --")
    ingest.add_argument("files", nargs="*", metavar="FILE", type=Path)
    fit = command("fit", _fit, "find the relevance threshold of texts that fits your own questions (docs/own-texts.md)")
    fit.add_argument("file", metavar="QUESTIONS.csv", type=Path)
    saving = command("backup", _backup, "save the backend's documents and vectors to a file")
    restoring = command("restore", _restore, "put the documents of a backup into the backend's database")
    restoring.add_argument("--replace", action="store_true", help="delete the documents that are there now")
    for part in (saving, restoring):
        part.add_argument("file", metavar="FILE", type=Path)
    text = "models of the LLM service: list, pull NAME, info NAME, remove NAME"
    models.add_arguments(command("model", models.run, text, makes=False))
    return parser


def _only(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--llm-only", action="store_true", help="only the LLM service")
    group.add_argument("--backend-only", action="store_true", help="only the backend")


def _add_up(parser: argparse.ArgumentParser) -> None:
    _only(parser)
    parser.add_argument("--llm-port", type=_port, metavar="PORT", help="port of the LLM service (default 8001)")
    parser.add_argument("--backend-port", type=_port, metavar="PORT", help="port of the backend (default 8000)")
    parser.add_argument("--no-install", action="store_true", help="fail instead of installing what is missing")
    parser.add_argument(
        "--verbose", action="store_true", help="show all output of the services, not only important lines"
    )
    parser.add_argument(
        "--ready-timeout", type=_seconds, default=1800.0, metavar="SECONDS", help="how long to wait for readiness"
    )
    parser.add_argument(
        "--grace", type=_seconds, default=15.0, metavar="SECONDS", help="how long services may take to end (default 15)"
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to 65535)")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return seconds


def _up(options: argparse.Namespace, setup: Setup) -> int:
    # Before the set-up, so that a taken port is reported before minutes of installing.
    services = plan(setup.workspace, options, setup.console)
    if options.no_install:
        for service in services:
            require(service.app)
    else:
        ensure(setup, [service.app for service in services])
    setup.stop.check()
    return Up(services, options, setup.console, setup.stop).run()


def _setup(options: argparse.Namespace, setup: Setup) -> int:
    llm_service, backend = setup.workspace.apps
    apps = [llm_service] if options.llm_only else [backend] if options.backend_only else [llm_service, backend]
    state = "is installed" if ensure(setup, apps, dev=options.dev) else "was installed already"
    setup.console.line(f"Everything {state}. Next: dev.py up")
    return 0


def _test(options: argparse.Namespace, setup: Setup) -> int:
    chosen = testing.suites(setup.workspace, options.only)
    if not chosen:
        raise DevError("There are no tests to run.")
    ensure(setup, {suite.app for suite in chosen}, dev=True)
    slow = set(testing.SLOW) if options.all else set()
    if options.since is not None:
        slow = testing.slow_kinds(setup.workspace, options.since)
        setup.console.line(f"Slow tests of what has changed: {', '.join(sorted(slow)) or 'none'}")
    how = testing.Options(slow, options.rest, options.fail_on_skip, options.run_again)
    return testing.run(setup.workspace, chosen, how, setup.console, setup.stop)


def _check(options: argparse.Namespace, setup: Setup) -> int:
    ensure(setup, setup.workspace.apps, dev=True)
    return checking.run(checking.checks(setup.workspace, options.fix), setup.console, setup.stop)


def _bench(options: argparse.Namespace, setup: Setup) -> int:
    if not options.names:
        for name, path in benchmarks.benchmarks(setup.workspace).items():
            setup.console.line(f"{name:<20} {benchmarks.summary(path)}")
        return 0
    ensure(setup, setup.workspace.apps, dev=True)
    return benchmarks.run(setup.workspace, options.names, options.rest, setup.console, setup.stop)


def _doctor(_options: argparse.Namespace, setup: Setup) -> int:
    return doctor.run(setup.workspace, setup.console)


def _ingest(options: argparse.Namespace, setup: Setup) -> int:
    missing = [str(path) for path in options.files if not path.exists()]
    if missing:
        raise DevError(f"There is no {', '.join(missing)}.")
    return _backend_script(setup, "ingest.py", *(path.resolve() for path in options.files), *options.rest)


def _fit(options: argparse.Namespace, setup: Setup) -> int:
    return _backend_script(setup, "fit_threshold.py", options.file.resolve())


def _backup(options: argparse.Namespace, setup: Setup) -> int:
    return _backend_script(setup, "backup.py", "save", "--", options.file.resolve())


def _restore(options: argparse.Namespace, setup: Setup) -> int:
    replace = ["--replace"] if options.replace else []
    return _backend_script(setup, "backup.py", "restore", *replace, "--", options.file.resolve())


def _backend_script(setup: Setup, name: str, *arguments: str | Path) -> int:
    """Runs one of the backend's scripts in backend/; paths must be absolute."""
    backend = setup.workspace.backend
    ensure(setup, [backend])
    command: list[str | Path] = [backend.python, Path("scripts", name), *arguments]
    return run_in_foreground(command, cwd=backend.folder, env=child_environment(), stop=setup.stop)
