"""The administration page: sources, files, reports; by keyboard, on a phone, with a key."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import FilePayload, expect

from conftest import wait_until
from page.apps import Apps
from page.tab import OpenTab, Tab
from page.test_access import check_that_it_fits, check_with_axe

pytest_plugins = ["page.browser"]
pytestmark = pytest.mark.browser

HACK = "<img src=x onerror=\"document.title='hacked'\">"
TABLE = f"lema,gloss_bora,pos\nzorfano,{HACK.replace(',', ' ')},adj.\n,vacío,\nlinterna,tsubuco,f.\n"
FEWER = "lema,gloss_bora,pos\nzorfano,tsubunee,adj.\n"


def file(name: str, content: str) -> FilePayload:
    return {"name": name, "mimeType": "text/csv", "buffer": content.encode()}


def choose(tab: Tab, *files: FilePayload) -> None:
    tab.page.locator("#file").set_input_files(list(files))


def ask(url: str, *questions: str) -> None:
    for question in questions:
        assert httpx.post(f"{url}/api/rag/query", json={"query": question}, timeout=60).status_code == 200


@pytest.fixture
def admin(open_tab: OpenTab, apps: Apps) -> Tab:
    tab = open_tab(f"{apps.backend.url}/admin")
    expect(tab.page.locator("#sources")).to_contain_text("sample_lexicon.json")
    return tab


def test_a_file_is_shown_before_it_is_loaded_and_its_source_can_be_removed(admin: Tab) -> None:
    page, files = admin.page, admin.page.locator("#files")
    choose(admin, file("palabras.csv", TABLE))
    expect(files).to_contain_text("nuevos 2, cambiados 0, iguales 0, rechazados 1")
    expect(files.locator("details li")).to_have_text("línea 3: lemma: empty")
    expect(page.locator("#sources")).not_to_contain_text("palabras.csv")
    files.get_by_role("button", name="Cargar").press("Enter")
    expect(files).to_contain_text("Cargado: nuevos 2")
    row = page.locator("#sources tr", has_text="palabras.csv")
    expect(row).to_contain_text("2 (diccionario 2)")

    choose(admin, file("palabras.csv", FEWER))
    newest = files.locator("li.file").first
    newest.get_by_label("Borrar también 1 documento").check()
    newest.get_by_role("button", name="Cargar").click()
    expect(newest).to_contain_text("cambiados 1, iguales 0, rechazados 0, borrados 1")
    expect(row).to_contain_text("1 (diccionario 1)")

    remove = page.get_by_role("button", name="Borrar palabras.csv…")
    remove.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("¿Borrar 1 documento de «palabras.csv»?")
    expect(dialog).to_contain_text("dev.py backup")
    page.keyboard.press("Escape")
    expect(row).to_be_visible()
    remove.press("Enter")
    # Opened again before the event that says that it was closed.
    remove.evaluate("button => { document.getElementById('confirm').close(); button.click(); }")
    dialog.get_by_role("button", name="Borrar 1 documento").press("Enter")
    expect(row).to_have_count(0)
    expect(page.locator("#announcer")).to_have_text("Borrado: 1 documento.")
    assert page.title() == "Administrar · Mentor de bora"


def test_a_new_version_of_a_file_loaded_on_the_server_goes_to_its_source(admin: Tab, apps: Apps) -> None:
    sent = {"name": "palabras.csv", "source": "lecciones/palabras.csv"}
    httpx.post(f"{apps.backend.url}/api/rag/uploads", params=sent, content=FEWER, timeout=60).raise_for_status()
    admin.page.reload()
    expect(admin.page.locator("#sources")).to_contain_text("lecciones/palabras.csv")
    choose(admin, file("palabras.csv", FEWER))
    files = admin.page.locator("#files")
    expect(files.get_by_label("Fuente")).to_have_value("lecciones/palabras.csv")
    expect(files).to_contain_text("nuevos 0, cambiados 0, iguales 1")
    files.get_by_label("Fuente").fill("otra.csv")
    admin.page.keyboard.press("Tab")
    expect(files).to_contain_text("nuevos 1, cambiados 0, iguales 0")
    httpx.delete(f"{apps.backend.url}/api/rag/sources", params={"name": sent["source"]}).raise_for_status()


def test_several_files_are_dropped_and_one_that_cannot_be_read_says_why(admin: Tab) -> None:
    admin.expects_failures = True
    transfer = admin.page.evaluate_handle(
        """(content) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([content], "uno.csv"));
            transfer.items.add(new File(["[{]"], "roto.json"));
            return transfer;
        }""",
        FEWER,
    )
    admin.page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    files = admin.page.locator("#files li.file")
    expect(files).to_have_count(2)
    expect(files.filter(has_text="roto.json").locator(".wrong")).to_contain_text("not JSON, line 1")
    good = files.filter(has_text="uno.csv")
    expect(good).to_contain_text("nuevos 1")
    good.get_by_role("button", name="Cancelar").click()
    expect(files).to_have_count(1)
    expect(admin.page.locator("#sources")).not_to_contain_text("uno.csv")


def test_reports_are_read_saved_and_handled(open_tab: OpenTab, apps: Apps) -> None:
    url = apps.backend.url

    def counted() -> list[int]:
        reports = httpx.get(f"{url}/api/rag/reports").json()["reports"]
        return [report["count"] for report in reports if report["subject"] == "tarambana"]

    ask(url, "¿Cómo se dice tarambana en bora?", "tarambana")
    wait_until(lambda: counted() == [2], "both questions are counted", 30)
    tab = open_tab(f"{url}/admin")
    row = tab.page.get_by_role("row", name="tarambana")
    expect(row).to_contain_text("2")
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Guardar como CSV").click()
    saved = download.value.path().read_text(encoding="utf-8-sig")
    assert download.value.suggested_filename == "reports.csv"
    assert "missing,tarambana" in saved
    row.get_by_role("button", name="Hecho: tarambana").press("Enter")
    expect(row).to_have_count(0)
    assert not counted()


def test_it_asks_for_a_key_of_the_right_scope(
    open_tab: OpenTab, apps: Apps, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("ana:ask:de-ana\neva:admin:de-eva\n")
    keys.chmod(0o600)
    with apps.second_backend(BACKEND_KEYS_FILE=str(keys)) as locked:
        tab = open_tab(f"{locked.url}/admin")
        tab.expects_failures = True
        dialog = tab.page.get_by_role("dialog")
        expect(dialog).to_contain_text("pide una clave")
        for key, refusal in (("de-ana", "no aceptó esa clave"), ("de-eva", "")):
            dialog.get_by_label("Clave de acceso").fill(key)
            tab.page.keyboard.press("Enter")
            if refusal:
                expect(dialog).to_contain_text(refusal)
        expect(dialog).to_be_hidden()
        expect(tab.page.locator("#sources")).to_contain_text("sample_lexicon.json")
        choose(tab, file("palabras.csv", FEWER))
        expect(tab.page.locator("#files")).to_contain_text("nuevos 1")


def test_it_is_accessible_and_fits_a_phone(open_tab: OpenTab, apps: Apps) -> None:
    ask(apps.backend.url, "zarrapastrosamentelarguísimo")
    kept = f"{apps.backend.url}/api/rag/reports"
    wait_until(lambda: len(httpx.get(kept).json()["reports"]) > 0, "the report is kept", 30)
    tab = open_tab(f"{apps.backend.url}/admin?lang=en")
    expect(tab.page.locator("#reports table").first).to_be_visible()
    choose(tab, file("a" * 100 + ".csv", TABLE))
    expect(tab.page.locator("#files")).to_contain_text("refused 1")
    for width in (1000, 320):
        check_that_it_fits(tab, width)
        check_with_axe(tab)
    tab.page.get_by_role("button", name="Delete sample_lexicon.json").click()
    check_with_axe(tab)
