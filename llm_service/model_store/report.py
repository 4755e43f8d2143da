"""How the models are shown: as lines for people, as JSON for programs."""

import json
import shutil
from collections.abc import Sequence
from typing import Any

from engines.hardware import memory_bytes
from engines.model_download import cache_folder
from model_store.configured import Configured
from model_store.details import ModelDetails
from model_store.inventory import StoredModel
from model_store.pulling import Pull
from model_store.sizes import human, human_count
from model_store.verdicts import Verdict

_SHOWN_COMMIT = 12
_COLUMNS = ("NAME", "FORMAT", "REVISION", "SIZE", "SERVED BY", "")


def list_as_text(models: Sequence[StoredModel], configured: Sequence[Configured]) -> str:
    """Show what is configured, then a table of what is here."""
    lines = []
    for entry in configured:
        lines.append(f"{entry.setting}={entry.name}")
        lines.append(f"    {_behind(entry, models)}")
    lines.append("")
    lines += _table([_COLUMNS, *(_row(model) for model in models)])
    lines += [f"    {model.name}: {why}" for model in models if (why := _nobody(model.verdicts))]
    place = cache_folder()
    while not place.exists():
        place = place.parent
    lines += ["", f"Cache: {cache_folder()}; {human(shutil.disk_usage(place).free)} free"]
    return "\n".join(lines)


def list_as_json(models: Sequence[StoredModel], configured: Sequence[Configured]) -> str:
    """Show the same for programs."""
    return _json(
        {
            "configured": {
                entry.setting: {
                    "name": entry.name,
                    "engine": entry.engine or None,
                    "path": str(entry.path) if entry.path else None,
                    "model": _model_behind(entry, models),
                    "problem": entry.problem or None,
                }
                for entry in configured
            },
            "models": [
                {
                    "name": model.name,
                    "place": model.place,
                    "path": str(model.path),
                    "format": model.format,
                    "purpose": model.purpose,
                    "size_bytes": model.size_bytes,
                    "revision": model.revision,
                    "pinned": model.pinned,
                    "engines": _verdicts(model.verdicts),
                    "configured_as": list(model.configured_as),
                }
                for model in models
            ],
            "cache": str(cache_folder()),
        }
    )


def details_as_text(details: ModelDetails) -> str:
    """Show one model."""
    facts = details.facts
    parameters = human_count(facts.parameters) if facts.parameters else "unknown"
    rows = [
        ("name", details.name),
        ("where", details.location if details.here else f"{details.location}, on the hub (not on this machine)"),
        ("revision", details.revision or "none (not from the hub)"),
        ("format", f"{details.format}, for {details.purpose}"),
        ("architecture", facts.architecture),
        ("parameters", f"{parameters}, {human(facts.weight_bytes)} of weights"),
        ("number formats", ", ".join(facts.types) or "unknown"),
        ("context", f"{facts.context_length} tokens" if facts.context_length else "unknown"),
    ]
    if details.purpose == "text":
        rows += _conversation(details)
    rows.append(("licence", facts.licence or "unknown (see the model's page)"))
    rows += [(f"memory, {engine}", f"about {human(size)}{_fits(size)}") for engine, size in details.memory.items()]
    for verdict in details.verdicts:
        rows.append((verdict.engine, "serves it" if verdict.serves else f"cannot: {verdict.why_not}"))
    lines = [f"{title + ':':<23}{text}" for title, text in rows]
    lines += ["files:", *(f"    {human(file.size):>8}  {file.path}" for file in details.files)]
    return "\n".join(lines)


def _conversation(details: ModelDetails) -> list[tuple[str, str]]:
    if details.facts.chat_template:
        thinking = "yes (enable_thinking)" if details.supports_thinking else "no"
        return [("chat template", "yes"), ("thinking", thinking)]
    if not details.here and details.format == "gguf":
        return [("chat template", "known once it is fetched")]
    return [("chat template", "none: it cannot hold a conversation, and the service refuses it")]


def details_as_json(details: ModelDetails) -> str:
    """Show one model for programs."""
    facts = details.facts
    return _json(
        {
            "name": details.name,
            "here": details.here,
            "location": details.location,
            "revision": details.revision,
            "format": details.format,
            "purpose": details.purpose,
            "architecture": facts.architecture,
            "parameters": facts.parameters,
            "weight_bytes": facts.weight_bytes,
            "number_formats": list(facts.types),
            "context_length": facts.context_length,
            "chat_template": facts.chat_template is not None,
            "thinking": details.supports_thinking,
            "licence": facts.licence,
            "memory_bytes": details.memory,
            "engines": _verdicts(details.verdicts),
            "files": [{"path": file.path, "size": file.size} for file in details.files],
        }
    )


def plan_as_text(pull: Pull, asked: str) -> str:
    """Show what will be downloaded, before it is."""
    name = pull.plan.source.name
    commit = pull.plan.listing.commit
    heading = f"{name.key} at {commit[:_SHOWN_COMMIT]} ({pull.plan.source.kind})"
    lines = [heading if asked.startswith(name.repo) else f"{asked} is served from {heading}"]
    lines += [f"    {human(file.size):>8}  {file.path}" for file in pull.plan.files]
    if pull.pinned is not None and pull.pinned != commit:
        lines.append(f"The pin moves from {pull.pinned[:_SHOWN_COMMIT]}.")
    have = pull.total - pull.missing
    rest = f", {human(have)} of it here already" if have else ""
    lines.append(f"{human(pull.total)} in all{rest}")
    if pull.note:
        lines.append(pull.note)
    return "\n".join(lines)


def pulled_as_text(model: StoredModel, pull: Pull) -> str:
    """Show what has been fetched and who serves it."""
    engines = [verdict.engine for verdict in model.verdicts if verdict.serves]
    served = f"served by {', '.join(engines)}" if engines else _nobody(model.verdicts)
    what = "already complete" if pull.missing == 0 else "complete"
    return f"{model.name} is {what}, pinned at {pull.plan.listing.commit[:_SHOWN_COMMIT]}; {served}"


def _behind(entry: Configured, models: Sequence[StoredModel]) -> str:
    if entry.path is None:
        return entry.problem
    model = next((model for model in models if model.path == entry.path), None)
    if model is None:
        return f"{entry.path}, loaded by {entry.engine}"
    revision = f" at {model.revision[:_SHOWN_COMMIT]}" if model.revision else ""
    return f"{model.name}{revision} ({model.format}), loaded by {entry.engine}"


def _model_behind(entry: Configured, models: Sequence[StoredModel]) -> str | None:
    return next((model.name for model in models if model.path == entry.path), None)


def _row(model: StoredModel) -> tuple[str, ...]:
    revision = (model.revision or "–")[:_SHOWN_COMMIT] + (" (pinned)" if model.pinned else "")
    engines = ", ".join(verdict.engine for verdict in model.verdicts if verdict.serves) or "nothing"
    marks = ", ".join(model.configured_as) or ("" if model.place == "cache" else model.place)
    return model.name, model.format, revision, human(model.size_bytes), engines, marks


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _nobody(verdicts: Sequence[Verdict]) -> str:
    if any(verdict.serves for verdict in verdicts) or not verdicts:
        return ""
    return "no engine can serve it: " + "; ".join(dict.fromkeys(verdict.why_not for verdict in verdicts))


def _fits(size: int) -> str:
    total = memory_bytes()
    return f", more than this machine's {human(total)}" if size > total else ""


def _verdicts(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {verdict.engine: {"serves": verdict.serves, "why_not": verdict.why_not or None} for verdict in verdicts}


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False)
