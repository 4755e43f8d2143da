"""The models of the LLM service: list, fetch, describe and remove them.

    python scripts/models.py list | pull NAME | info NAME | remove NAME

``python dev.py model`` runs this in the service's environment. Exit status: 0 done, 1 not done (the
message says what to do), 2 wrong usage, 130 interrupted.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # started as a file: the app's folder is where its imports start
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    # Until main() runs there is nothing to tidy up: Ctrl-C just ends it, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from config.settings import settings

# The library reads its variables when it is imported.
os.environ.update(settings.hub_environment)

from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

from engines.base import ModelLoadError
from model_store import report
from model_store.configured import configured_models
from model_store.details import describe
from model_store.inventory import stored_models
from model_store.pulling import Pull, make_hub, plan_pull, run_pull
from model_store.removal import plan_removal, remove
from model_store.sizes import human

_INTERRUPTED = "\ninterrupted. What has arrived is kept: run the same command to resume."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    disable_progress_bars()
    try:
        status: int = options.run(options)
    except ModelLoadError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        sys.stderr.write(f"{_INTERRUPTED if options.run is _pull else ''}\n")
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="model", description="The models of the LLM service.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    name_help = "a hub id, owner/name:file.gguf for one file, either with @revision"

    listing = commands.add_parser("list", help="what is on this machine, and what is configured")
    listing.set_defaults(run=_list)
    pull = commands.add_parser("pull", help="download a model as the service would, and pin its revision")
    pull.set_defaults(run=_pull)
    pull.add_argument("name", metavar="NAME", help=name_help)
    pull.add_argument("--update", action="store_true", help="take the newest revision and move the pin to it")
    info = commands.add_parser("info", help="what a model is, what it needs, and which engine serves it")
    info.set_defaults(run=_info)
    info.add_argument("name", metavar="NAME", help=f"{name_help}; also a folder, a .gguf file, or embedded")
    removal = commands.add_parser("remove", help="take a model out of the Hugging Face cache")
    removal.set_defaults(run=_remove)
    removal.add_argument("name", metavar="NAME", help=name_help)
    removal.add_argument("--yes", action="store_true", help="don't ask")
    removal.add_argument("--force", action="store_true", help="also when it is configured now")
    for command in (listing, info):
        command.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def _list(options: argparse.Namespace) -> int:
    configured = configured_models(settings)
    models = stored_models(settings, configured)
    print(report.list_as_json(models, configured) if options.json else report.list_as_text(models, configured))
    return 0


def _info(options: argparse.Namespace) -> int:
    details = describe(options.name, settings)
    print(report.details_as_json(details) if options.json else report.details_as_text(details))
    return 0


def _pull(options: argparse.Namespace) -> int:
    if constants.HF_HUB_OFFLINE:
        return _fail(
            "HF_HUB_OFFLINE is set, so nothing is fetched: unset it, or copy the cache folder "
            f"({constants.HF_HUB_CACHE}) from a machine that has the model"
        )
    hub = make_hub(settings)
    if not hub.reachable:
        return _fail(f"{constants.ENDPOINT} cannot be reached: check the network, HTTPS_PROXY and HF_ENDPOINT")
    pull = plan_pull(options.name, settings, hub, update=options.update)
    print(report.plan_as_text(pull, options.name), flush=True)
    model = run_pull(pull, hub)
    print(report.pulled_as_text(model, pull))
    _say_where_it_stands(pull, options.name, "LLM_MODEL" if model.purpose == "text" else "EMBEDDING_MODEL")
    return 0


def _say_where_it_stands(pull: Pull, name: str, setting: str) -> None:
    if pull.newest is not None:
        print(f"The hub has a newer revision ({pull.newest[:12]}): python dev.py model pull {name} --update takes it.")
    if name not in (settings.llm_model, settings.embedding_model):
        print(f"To use it, set {setting}={name} in .env and restart the service.")
    elif pull.pinned is not None and pull.pinned != pull.plan.listing.commit:
        print("A running service goes on with the old revision until it is restarted.")


def _remove(options: argparse.Namespace) -> int:
    removal = plan_removal(options.name, settings, configured_models(settings))
    print(f"{removal.name.key}: {human(removal.freed_bytes)} on the disk")
    if removal.used_by and not options.force:
        return _fail(f"it is configured now ({', '.join(removal.used_by)}): set another model, or add --force")
    if not options.yes and not _agreed():
        return _fail("nothing was removed")
    remove(removal, settings)
    print(f"Removed; {human(removal.freed_bytes)} freed.")
    return 0


def _agreed() -> bool:
    try:
        return input("Remove it? [y/N] ").strip().lower() in ("y", "yes", "s", "si", "sí")
    except EOFError:
        print("(no terminal to ask on: use --yes)")
        return False


def _fail(message: str) -> int:
    sys.stderr.write(f"model: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
