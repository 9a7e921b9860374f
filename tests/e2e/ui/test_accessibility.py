"""Every view, in light and dark, at a desk and on a phone: no serious fault by axe-core, nothing cut off."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.e2e.processes import submit, wait_for_job
from tests.e2e.ui.conftest import PATIENCE_MS

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def views(service):
    """The address of each view, with something that it shows once it is complete."""
    [failed] = service.fail(99)
    completed = wait_for_job(service.url, submit(service.url))["job_id"]
    return {
        "": ".groups li",
        "#/jobs": "table.jobs td",
        f"#/job/{failed}": ".timeline li",
        f"#/job/{completed}": ".bars li",
        "#/workers": "figure svg",
    }


def find_faults(page):
    """What axe-core finds; without motion, as a colour on its way to another has less contrast."""
    response = Axe().run(page).response
    assert len(response["passes"]) > 10
    return [
        f"{one['id']}: {node['html']}"
        for one in response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_in_any_view(service, open_page, views, scheme):
    page = open_page(service, color_scheme=scheme, reduced_motion="reduce")
    for address, shown in views.items():
        open_page(service, address, page=page)
        expect(page.locator(shown).first).to_be_visible()
        assert find_faults(page) == [], address
    open_page(service, "#/jobs?status=failed", page=page)
    page.get_by_role("button", name="Retry all…").click()
    expect(page.get_by_role("dialog")).to_contain_text("This filter finds")
    assert find_faults(page) == []


def test_axe_finds_no_serious_fault_where_a_key_is_asked_for_or_the_connection_is_lost(
    service, guarded, open_page
):
    page = open_page(guarded, locale="ja-JP", reduced_motion="reduce")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert find_faults(page) == []
    page.route("**/activity*", lambda route: route.abort())
    open_page(service, page=page)
    expect(page.locator("#notice")).to_be_visible()
    assert find_faults(page) == []


@pytest.mark.parametrize("locale", ["en", "ja"])
def test_phone_shows_every_view_without_scrolling_sideways(service, open_page, views, locale):
    page = open_page(service, locale=locale, viewport={"width": 360, "height": 740}, has_touch=True)
    for address, shown in views.items():
        open_page(service, address, page=page)
        expect(page.locator(shown).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address


def test_all_is_reached_with_the_keyboard_and_the_first_stop_skips_the_frame(service, open_page):
    page = open_page(service)
    expect(page.get_by_role("button", name="Submit")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert {"form-model", "form-priority", "form-copies", "Submit"} <= reached


def test_picture_stands_still_where_less_motion_is_asked_for(service, open_page):
    page = open_page(service, reduced_motion="reduce")
    expect(page.get_by_text("the picture stands still")).to_be_visible()
