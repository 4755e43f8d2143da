"""The form of log lines, and what they never contain."""

import json
import logging
import re
import subprocess
import sys
from typing import Any

import pytest
from service_kit.observability.logs import about_request, formatter

TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (DEBUG|INFO|WARNING|ERROR|CRITICAL) +(http|local_models) [\w.]+: \S")
EVIL = 'perro\r\n2026-01-01T00:00:00Z INFO     http access: forged\x1b[2J\x85\u2028\x00\udcff status=500 "'


def record(
    message: str = "something happened", error: BaseException | None = None, /, **extra: Any
) -> logging.LogRecord:
    made = logging.LogRecord("tests.logs", logging.WARNING, __file__, 1, message, None, None)
    vars(made).update(extra)
    if error is not None:
        try:
            raise error
        except type(error):
            made.exc_info = sys.exc_info()
    return made


def as_text(made: logging.LogRecord, **options: Any) -> str:
    return formatter(as_text=True, **options).format(made)


def as_json(made: logging.LogRecord, **options: Any) -> dict[str, Any]:
    line = formatter(as_text=False, **options).format(made)
    assert line.isascii()
    assert line.isprintable()
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_a_json_line_has_time_event_logger_and_request() -> None:
    with about_request("id-7"):
        fields = as_json(record(reason="connect", seconds=0.5, nothing=None), process="local_models")
    assert fields.pop("timestamp").endswith("Z")
    assert fields == {
        "level": "warning",
        "logger": "tests.logs",
        "process": "local_models",
        "event": "something happened",
        "request_id": "id-7",
        "reason": "connect",
        "seconds": 0.5,
    }
    assert "request_id" not in as_json(record())


def test_a_text_line_begins_as_every_line_does() -> None:
    line = as_text(record(reason="connect", detail="no route to host"))
    assert TEXT_LINE.match(line)
    assert line.endswith('http tests.logs: something happened reason=connect detail="no route to host"')


@pytest.mark.parametrize(
    "made", [record(EVIL), record(value=EVIL), record(**{EVIL: 1})], ids=["message", "value", "name"]
)
def test_nothing_forges_a_line(made: logging.LogRecord) -> None:
    line = as_text(made)
    assert line.isprintable()
    assert TEXT_LINE.match(line)
    assert "forged" in line
    fields = as_json(made)
    assert EVIL in (fields["event"], fields.get("value"), *fields)


def test_no_value_looks_like_another_field() -> None:
    assert as_text(record(value="x status=500")).endswith(' value="x status=500"')
    assert as_text(record(value='x" status=500')).endswith(r' value="x\" status=500"')


def test_values_that_json_lacks_are_written_as_text() -> None:
    assert as_json(record(value=float("nan")))["value"] == "nan"
    assert as_json(record(value={"a": object}))["value"].startswith("{'a'")
    assert as_json(record(value=("a", 1, float("inf"))))["value"] == ["a", 1, "inf"]
    assert as_json(record(value=["my-secret"]), secrets=["my-secret"])["value"] == ["[secret]"]


def test_a_traceback_is_indented_and_keeps_what_the_error_says_to_itself() -> None:
    made = record("failed", ValueError(f"no document about {EVIL}"))
    first, *rest = as_text(made).split("\n")
    assert TEXT_LINE.match(first)
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    assert "ValueError" in rest[-1]
    assert "perro" not in as_text(made)
    assert "perro" not in json.dumps(as_json(made))
    assert "kit/test_logs.py" in as_json(made)["exception"]


def test_debugging_shows_what_an_error_says() -> None:
    made = record("failed", ValueError(f"no document about {EVIL}"))
    assert "perro" in as_json(made, everything=True)["exception"]
    lines = as_text(made, everything=True).split("\n")
    assert all(line.startswith("    ") and line.isprintable() for line in lines[1:])


def test_the_systems_own_words_are_shown() -> None:
    assert (
        "OSError: No space left on device"
        in as_json(record("failed", OSError(28, "No space left on device")))["exception"]
    )


def test_what_led_to_an_error_is_shown_without_words_too() -> None:
    error = RuntimeError("outer words")
    error.__cause__ = ExceptionGroup("group words", [KeyError("inner words")])
    trace = as_json(record("failed", error))["exception"]
    assert "ExceptionGroup of KeyError" in trace
    assert "RuntimeError" in trace
    assert "words" not in trace.replace("test_what_led_to_an_error_is_shown_without_words_too", "")


def test_secrets_are_struck_out_wherever_they_stand() -> None:
    secrets = ("llave-secreta", "llave-secreta-larga", "x")
    made = record("a llave-secreta-larga", ValueError("no llave-secreta"), url="http://u:llave-secreta@host")
    for line in (
        as_text(made, secrets=secrets, everything=True),
        json.dumps(as_json(made, secrets=secrets, everything=True)),
    ):
        assert "llave" not in line
        assert line.count("[secret]") == 3


@pytest.mark.parametrize("header", ["Bearer clave-de-ana", "bearer  clave-de-ana", "BEARER\tclave-de-ana"])
def test_a_header_with_a_key_is_struck_out_whichever_key_it_is(header: str) -> None:
    line = as_text(record(f"sent Authorization: {header}", headers={"authorization": header}))
    assert "clave" not in line
    assert line.count("[secret]") == 2


def test_messages_of_errors_that_belong_to_no_request_are_shown_where_wanted() -> None:
    error = RuntimeError("no such model file")
    start = as_json(record("failed", error), quote_errors=True)["exception"]
    of_a_request = as_json(record("failed", error, request_id="one"), quote_errors=True)["exception"]
    assert start.endswith("RuntimeError: no such model file")
    assert "no such model file" not in of_a_request


@pytest.mark.parametrize("name", ["httpx", "httpx2", "httpcore", "httpcore2", "urllib3"])
def test_libraries_that_log_every_request_are_quiet(name: str) -> None:
    code = (
        "import logging; from service_kit.observability.logs import configure_logging; "
        "configure_logging('INFO', 'json'); "
        f"logging.getLogger('{name}').info('GET http://x/?q=secreto'); logging.getLogger('own').info('shown')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["shown"]
