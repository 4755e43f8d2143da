"""The page of the LLM service in a browser: what it shows, its playgrounds, and a service that is slow or gone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Request, expect

from app_process import WORKSPACE, AppProcess, running, start_llm
from devtools.commands.testing import environment_for_tests
from page.tab import OpenTab, Tab
from page.test_access import background, check_that_it_fits, check_with_axe

pytest_plugins = ["page.browser"]
pytestmark = pytest.mark.browser

RANKS = {"RERANK_MODEL": "maker/ranker", "RERANK_BACKEND": "fake"}
KEY = "llave-secreta"
TRAP = "<img src=x onerror=document.title='hacked'><script>document.title='hacked'</script>"
CALL = '<tool_call> {"name": "look_up", "arguments": {"word": "sun"}} </tool_call>'
FOCUSED = """() => {
    const {outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);
    return [document.activeElement.id, outlineStyle !== "none" && parseFloat(outlineWidth) >= 2];
}"""


@pytest.fixture(scope="module")
def llm() -> Iterator[AppProcess]:
    """A service that can do everything, without weights."""
    service = start_llm(None, **RANKS)
    with running(service):
        yield service


@pytest.fixture
def tab(open_tab: OpenTab, llm: AppProcess) -> Tab:
    """Its page, once it shows what is loaded."""
    opened = open_tab(llm.url)
    expect(opened.page.locator("#models li")).to_have_count(3)
    return opened


def send(tab: Tab, message: str, **fields: str) -> None:
    """Fill in the chat's fields and press Ctrl+Enter in the message."""
    if fields:
        tab.page.locator("#chat details").evaluate("folded => { folded.open = true; }")
    for name, text in {**fields, "message": message}.items():
        tab.page.locator(f"#chat-{name}").fill(text)
    tab.page.locator("#chat-message").press("Control+Enter")


def sent(request: Request) -> dict[str, Any]:
    """The JSON body of a request."""
    body: dict[str, Any] = json.loads(request.post_data or "")
    return body


def show_code(tab: Tab, place: str, name: str) -> str:
    """Unfold a playground's code and return one of its two."""
    folded = tab.page.locator(f"#{place}-code details")
    if folded.get_attribute("open") is None:
        folded.locator("summary").click()
    code = folded.get_by_role("group", name=name, exact=True).locator("code")
    expect(code).not_to_be_empty()
    return str(code.inner_text())


def run(command: list[str], **variables: str) -> str:
    environment = {**environment_for_tests(), **variables}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_curl(code: str, **variables: str) -> str:
    if not shutil.which("curl") or not shutil.which("bash"):
        pytest.skip("no curl on this machine")
    return run(["bash", "-c", code], **variables)


def run_python(code: str, **variables: str) -> str:
    return run([str(WORKSPACE.llm_service.python), "-c", code], PYTHONIOENCODING="utf-8", **variables)


def play_status(tab: Tab, llm: AppProcess, **changes: Any) -> None:
    """Let the page see another state than the service's own."""
    body = llm.client.get("/api/llm/status").json()
    body["models"][0] |= changes.pop("generator", {})
    tab.page.route("**/api/llm/status", lambda route: route.fulfill(json={**body, **changes}))


def test_browsers_get_the_page_and_programs_json(llm: AppProcess) -> None:
    page = llm.client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    for accept in ("*/*", "application/json"):
        plain = llm.client.get("/", headers={"Accept": accept})
        assert plain.json()["docs"] == "/docs"
        assert "Accept" in plain.headers["vary"]
    assert llm.client.get("/page/../main.py").status_code == 404
    assert llm.client.get("/page/%2e%2e/main.py").status_code == 404


def test_it_shows_what_is_loaded_and_asks_no_model_by_itself(tab: Tab, llm: AppProcess) -> None:
    expect(tab.page.locator("#state")).to_have_text("Ready")
    models = tab.page.locator("#models li")
    expect(models.first).to_contain_text("Language model")
    expect(models.first).to_contain_text("Qwen/Qwen3-1.7B")
    expect(models.first).to_contain_text("MiB")
    expect(tab.page.locator("#numbers")).to_contain_text("0 running, 0 waiting")
    paths = {url.removeprefix(tab.origin) for url in tab.requests}
    assert {path for path in paths if not path.startswith("/page/")} == {"/", "/api/llm/status"}


def test_a_conversation_is_streamed_measured_and_goes_on(tab: Tab) -> None:
    send(tab, "uno dos FIN tres", system="Sé breve.", temperature="0", tokens="9", stop="FIN\na\\nb")
    answers = tab.page.get_by_role("article", name="Answer")
    expect(answers.last).to_have_text("uno dos")
    expect(tab.page.locator("#chat-speed")).to_contain_text("tok/s · first token after")
    expect(tab.page.locator("#numbers")).to_contain_text("tokens/s", timeout=30_000)
    with tab.page.expect_request("**/v1/chat/completions") as asked:
        send(tab, "cuatro")
    expect(answers.last).to_have_text("cuatro")
    body = sent(asked.value)
    assert [turn["content"] for turn in body["messages"]] == ["Sé breve.", "uno dos FIN tres", "uno dos ", "cuatro"]
    assert (body["temperature"], body["max_tokens"], body["stop"]) == (0, 9, ["FIN", "a\nb"])
    tab.page.get_by_role("button", name="New conversation").click()
    expect(answers).to_have_count(0)


def test_a_schema_and_tools_are_checked_and_sent(tab: Tab) -> None:
    send(tab, "hola", schema="{", tools="{}")
    expect(tab.page.locator("#chat-schema-wrong")).to_have_text("This is not JSON.")
    expect(tab.page.locator("#chat-tools-wrong")).to_have_text("This is not a JSON list.")
    expect(tab.page.locator("#chat-schema")).to_be_focused()
    expect(tab.page.get_by_role("article")).to_have_count(0)
    tab.page.locator("#chat-tools").fill("")
    tab.page.get_by_role("button", name="Example schema").click()
    send(tab, '{"name": "dog", "legs": 4}', temperature="0")
    expect(tab.page.get_by_role("article", name="Answer")).to_have_text('{"name": "dog", "legs": 4}')
    tab.page.get_by_role("button", name="New conversation").click()
    tab.page.locator("#chat-schema").fill("")
    tab.page.get_by_role("button", name="Example tools").click()
    send(tab, CALL, temperature="0")
    expect(tab.page.get_by_role("article", name="Answer")).to_contain_text('look_up({"word":')
    expect(tab.page.locator("#chat-message-label")).to_have_text("Result of look_up")
    with tab.page.expect_request("**/v1/chat/completions") as asked:
        send(tab, "A star.")
    calls, result = sent(asked.value)["messages"][-2:]
    assert (result["role"], result["tool_call_id"]) == ("tool", calls["tool_calls"][0]["id"])


def test_texts_are_compared_and_documents_ranked(tab: Tab) -> None:
    tab.page.get_by_label("First text").fill("same")
    tab.page.get_by_label("Second text").fill("same")
    tab.page.get_by_role("button", name="Compare").click()
    expect(tab.page.locator("#embed-result")).to_contain_text("Similarity 1.000 · 384 dimensions")
    tab.page.get_by_role("button", name="Rank", exact=True).click()
    expect(tab.page.locator("#rerank-result li")).to_have_count(3)


def test_the_code_of_each_playground_does_the_same(tab: Tab, llm: AppProcess) -> None:
    tab.page.locator("#chat-message").fill("it's «así»\n$HOME `x`")
    tab.page.locator("#chat-temperature").evaluate("field => { field.value = '0'; }")
    streamed = run_curl(show_code(tab, "chat", "curl"))
    assert "[DONE]" in streamed
    chunks = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == "it's «así» $HOME `x`"
    assert run_python(show_code(tab, "chat", "Python")).startswith(text)
    assert float(run_python(show_code(tab, "embed", "Python"))) <= 1
    assert len(json.loads(run_curl(show_code(tab, "embed", "curl")))["data"]) == 2
    assert len(run_python(show_code(tab, "rerank", "Python")).splitlines()) == 3
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=llm.url)
    tab.page.get_by_role("button", name="Copy the curl code").first.click()
    assert tab.page.evaluate("navigator.clipboard.readText()") == show_code(tab, "chat", "curl")


def test_markup_in_answers_stays_text(tab: Tab) -> None:
    send(tab, TRAP, temperature="0")
    expect(tab.page.get_by_role("article", name="Answer")).to_have_text(TRAP)
    assert tab.page.locator("#chat-log").locator("img, script, [onerror]").count() == 0
    assert tab.page.title() == "LLM service"


def test_a_slow_answer_is_stopped_and_the_service_computes_no_more(tab: Tab, llm: AppProcess) -> None:
    send(tab, "[[slow:200]] [[words:2000]] palabra", tokens="2000")
    expect(tab.page.get_by_role("article", name="Answer")).to_contain_text("palabra palabra")
    expect(tab.page.locator("#numbers")).to_contain_text("1 running")
    tab.page.get_by_role("button", name="Stop").click()
    expect(tab.page.get_by_role("article", name="Answer")).to_contain_text("Stopped.")
    expect(tab.page.locator("#numbers")).to_contain_text("0 running", timeout=30_000)


def test_failures_are_shown_and_the_last_error_is_kept(open_tab: OpenTab) -> None:
    with_crash = start_llm()
    with running(with_crash):
        tab = open_tab(with_crash.url)
        tab.expects_failures = True
        send(tab, "[[reject]]")
        alert = tab.page.get_by_role("alert")
        expect(alert.last).to_contain_text("the fake engine does not support this request (request ")
        send(tab, "[[fail]]")
        expect(alert.last).to_contain_text("the fake engine fails on request")
        send(tab, "[[crash]]")
        expect(alert).to_have_count(3, timeout=30_000)
        expect(tab.page.locator("#numbers")).to_contain_text("Language model: ended with status 13", timeout=30_000)
        expect(tab.page.locator("#numbers")).to_contain_text("1 (Language model 1, Embeddings 0)")
        expect(tab.page.locator("#rerank-off")).to_contain_text("RERANK_MODEL")
        expect(tab.page.locator("#rerank")).to_be_hidden()
        with_crash.kill()
        expect(tab.page.locator("#state")).to_have_text("Away", timeout=30_000)
        expect(tab.page.locator("#trouble")).to_contain_text("The service cannot be reached")
        send(tab, "¿estás?")
        expect(alert.last).to_contain_text("The service cannot be reached")
        check_with_axe(tab)
        with_crash.start()
        expect(tab.page.locator("#state")).to_have_text("Ready", timeout=120_000)
        expect(tab.page.locator("#trouble")).to_be_hidden()
        expect(tab.page.locator("#chat-message")).to_have_value("¿estás?")


def test_every_state_is_shown_in_words(tab: Tab, llm: AppProcess) -> None:
    state, trouble = tab.page.locator("#state"), tab.page.locator("#trouble")
    play_status(tab, llm, status="loading", generator={"state": "loading", "model": None, "memory_bytes": None})
    expect(state).to_have_text("Loading")
    expect(tab.page.locator("#models li").first).to_contain_text("Qwen/Qwen3-1.7B")
    check_with_axe(tab)
    play_status(tab, llm, status="degraded", generator={"degraded": True})
    expect(state).to_have_text("Ready, with a stand-in")
    expect(tab.page.locator("#models li").first).to_contain_text("Stands in for Qwen/Qwen3-1.7B")
    check_with_axe(tab)
    play_status(tab, llm, status="unhealthy", error="no such model", generator={"state": "failed"})
    expect(state).to_have_text("Not ready")
    expect(trouble).to_have_text("no such model")
    check_with_axe(tab)


def test_with_a_key_the_page_is_public_and_its_numbers_are_not(open_tab: OpenTab) -> None:
    guarded = start_llm(LLM_SERVICE_API_KEY=KEY)
    with running(guarded):
        assert httpx.get(guarded.url, headers={"Accept": "text/html"}).status_code == 200
        assert httpx.get(guarded.url).status_code == 401
        assert httpx.get(f"{guarded.url}/api/llm/status").status_code == 401
        tab = open_tab(guarded.url)
        tab.expects_failures = True
        dialog, key = tab.page.get_by_role("dialog"), tab.page.locator("#key")
        expect(dialog).to_be_visible()
        expect(tab.page.locator("#state")).to_have_text("Key needed")
        expect(tab.page.locator("#models li")).to_have_count(0)
        check_with_axe(tab)
        key.fill("falsa")
        key.press("Enter")
        expect(dialog).to_contain_text("did not accept that key")
        key.fill(KEY)
        key.press("Enter")
        expect(tab.page.locator("#models li")).to_have_count(2)
        expect(tab.page.get_by_role("link", name="API docs")).to_be_hidden()
        send(tab, "hola")
        expect(tab.page.get_by_role("article", name="Answer")).to_have_text("hola")
        tab.page.locator("#chat-message").fill("hola")
        code = show_code(tab, "chat", "curl")
        assert KEY not in tab.page.content()
        assert "[DONE]" in run_curl(code, LLM_SERVICE_API_KEY=KEY)
        assert run_python(show_code(tab, "chat", "Python"), LLM_SERVICE_API_KEY=KEY).startswith("hola")
        with tab.page.context.expect_page() as opened:
            tab.page.get_by_role("link", name="Metrics").click()
        expect(opened.value.locator("pre")).to_contain_text("llm_http_requests_total")
        assert tab.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_all_that_is_unfolded_passes_the_accessibility_rules_and_fits_a_phone_and_200_percent_zoom(tab: Tab) -> None:
    send(tab, "palabra" * 60, temperature="0", tokens="10")
    expect(tab.page.locator("#chat-speed")).to_contain_text("tokens")
    for place in ("chat", "embed", "rerank"):
        show_code(tab, place, "curl")
    tab.page.get_by_role("button", name="Rank", exact=True).click()
    expect(tab.page.locator("#rerank-result li")).to_have_count(3)
    check_with_axe(tab)
    assert (background(tab, "light"), background(tab, "dark")) == ("rgb(245, 247, 250)", "rgb(17, 22, 28)")
    show_code(tab, "chat", "Python")
    for width in (640, 320):
        check_that_it_fits(tab, width)


def test_the_keyboard_reaches_everything_and_always_shows_where_it_is(tab: Tab) -> None:
    order = ["docs", "key-open", "chat-system", "chat-message", "chat-send", "embed-first", "rerank-query"]
    seen: list[str] = []
    while order[-1] not in seen and len(seen) < 60:
        tab.page.keyboard.press("Tab")
        name, visible = tab.page.evaluate(FOCUSED)
        assert visible, f"no visible focus on {name!r} after {seen}"
        seen.append(name)
    assert [name for name in seen if name in order] == order
