"""``/api/rag/reports``: readers' reports about the dictionary, and the words that they did not find."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import astuple, fields
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from starlette.responses import Response

from adapters.ports.reports import GivenReport, Report, ReportKind
from routers.dependencies import ServicesDep
from routers.error_docs import responses
from schemas.reports import (
    ErrorReport,
    OpinionReport,
    ReportAccepted,
    ReportDeleted,
    ReportRequest,
    ReportsResponse,
    WantedReport,
)
from services.reports import reported_word

_LARGEST_ID = 2**63 - 1
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of spreadsheet formulas."""

router = APIRouter(prefix="/api/rag/reports", tags=["Reports"])


@router.post(
    "",
    responses=responses(401, 404, 405, 413, 422, 500),
    summary="Report a fault, a missing word or an opinion",
    response_description="It is counted soon",
)
async def report(body: ReportRequest, services: ServicesDep) -> ReportAccepted:
    """Count a report. Written in the background: no error when the database is away. 404 with ``REPORTS=false``."""
    if not services.reports.enabled:
        raise HTTPException(404, "reports are switched off (REPORTS)")
    for given in _given(body.root):
        services.reports.note(given)
    return ReportAccepted()


@router.get(
    "",
    response_model=ReportsResponse,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        **responses(401, 405, 422, 500, 503),
    },
    summary="Read the reports",
    response_description="All reports, by kind, the most frequent first",
)
async def reports(
    services: ServicesDep,
    kind: Annotated[ReportKind | None, Query(description="Only these")] = None,
    form: Annotated[
        Literal["json", "csv"], Query(alias="format", description="For programs, or for spreadsheets")
    ] = "json",
) -> ReportsResponse | Response:
    """Return what has been counted, also while ``REPORTS=false``."""
    found = await services.store.reports.all(kind)
    if form == "json":
        return ReportsResponse.model_validate({"reports": found})
    headers = {"Content-Disposition": 'attachment; filename="reports.csv"'}
    return Response(_csv(found), media_type="text/csv; charset=utf-8", headers=headers)


@router.delete(
    "/{report_id}",
    responses=responses(401, 405, 422, 500, 503),
    summary="Delete a report",
    response_description="The report is gone",
)
async def delete_report(
    report_id: Annotated[int, Path(ge=1, le=_LARGEST_ID, examples=[1])], services: ServicesDep
) -> ReportDeleted:
    """Delete one that has been handled, or was before. The next equal report begins at 1."""
    return ReportDeleted(id=report_id, deleted=await services.store.reports.delete(report_id))


def _given(body: ErrorReport | WantedReport | OpinionReport) -> Iterator[GivenReport]:
    match body:
        case ErrorReport():
            yield GivenReport("error", body.entry, " ".join(body.note.split()))
        case WantedReport():
            for word in dict.fromkeys(filter(None, map(reported_word, body.words))):
                yield GivenReport("wanted", word)
        case OpinionReport():
            for entry in dict.fromkeys(body.entries or [""]):
                yield GivenReport(body.kind, entry, f"{body.answer_mode}, {body.served_by}")


def _csv(found: Iterable[Report]) -> bytes:
    """Return the reports as a table that spreadsheets open with its letters whole and its formulas inert."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([field.name for field in fields(Report)])
    writer.writerows([_cell(value) for value in astuple(each)] for each in found)
    return out.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> str:
    text = "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
