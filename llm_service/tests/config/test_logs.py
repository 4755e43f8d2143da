"""The form of log lines, for what cannot be made to happen over HTTP."""

import json
import logging
import sys
from typing import Any

import pytest

from config.logs import about_request, formatter

EVIL = "a\r\nb\x0b\x1b[2K\x85c\u2028d\u2029e\u202ef\ud800g"


def record(message: str, exc_info: Any = None, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("x").makeRecord("x", logging.ERROR, "f.py", 1, message, (), exc_info, extra=extra)


def raised(error: Exception) -> Any:
    try:
        raise error
    except Exception:  # noqa: BLE001 - that is what is wanted here
        return sys.exc_info()


def test_text_is_one_line_whatever_is_in_message_and_values() -> None:
    line = formatter(as_text=True, process="http").format(record(EVIL, value=EVIL, several=[EVIL]))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert r"a\r\nb\x0b\x1b[2K\x85c\u2028d" in line


def test_json_is_one_line_of_ascii_that_gives_back_what_was_logged() -> None:
    line = formatter(as_text=False, process="http").format(record(EVIL, value=EVIL))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert (json.loads(line)["event"], json.loads(line)["value"]) == (EVIL, EVIL)


@pytest.mark.parametrize("as_text", [True, False])
def test_no_line_of_a_traceback_can_be_taken_for_a_record(as_text: bool) -> None:
    error = raised(ValueError("x\n2026-01-01T00:00:00Z INFO     http access: request status=200"))
    lines = formatter(as_text=as_text, process="http").format(record("failed", error)).splitlines()
    assert all(line.startswith("    ") for line in lines[1:])
    assert "ValueError" in "".join(lines)
    assert (len(lines) > 1) is as_text


@pytest.mark.parametrize("everything", [True, False])
def test_what_an_exception_says_about_a_request_is_left_out_unless_asked_for(everything: bool) -> None:
    def asked() -> None:
        raise KeyError("the question")

    def led_to() -> None:
        try:
            asked()
        except KeyError as error:
            raise RuntimeError("could not read: the question") from error

    form = formatter(as_text=False, process="generator", everything=everything)
    with pytest.raises(RuntimeError) as caught:
        led_to()
    raised_info = (caught.type, caught.value, caught.tb)
    of_a_request = form.format(record("failed", raised_info, request_id="one"))
    of_a_start = form.format(record("failed", raised_info))
    for line in (of_a_request, of_a_start):
        assert all(part in line for part in ("KeyError", "RuntimeError", "in asked", "in led_to"))
    # The code's own lines are no secret; they hold the texts here.
    said = json.loads(of_a_request)["exception"].splitlines()
    assert any(line.startswith("KeyError: 'the question'") for line in said) is everything
    assert any(line.startswith("RuntimeError: could not read") for line in said) is everything
    assert "RuntimeError: could not read: the question" in of_a_start


def test_a_value_cannot_look_like_another_one() -> None:
    line = formatter(as_text=True, process="http").format(record("said", model='a" status=200', empty=""))
    assert line.endswith(r'model="a\" status=200" empty=""')


def test_lines_about_a_request_carry_its_id_and_others_do_not() -> None:
    form = formatter(as_text=False, process="generator")
    with about_request("one"):
        assert json.loads(form.format(record("inside")))["request_id"] == "one"
    assert "request_id" not in json.loads(form.format(record("outside")))
