"""Files on the live page: chosen as data, shown as pictures, and results that are downloaded."""

import io

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.e2e.processes import ROOT, call
from tests.e2e.ui.conftest import KEY, PATIENCE_MS
from tests.pictures import encode

expect.set_options(timeout=PATIENCE_MS)

DIGIT = ROOT / "docs/examples/digit.png"
IS_DRAWN = "(image) => image.complete && image.naturalWidth > 0"


def expect_drawn(page, image):
    expect(image).to_be_visible()
    page.wait_for_function(IS_DRAWN, arg=image.element_handle())


def choose(page, model, file):
    page.get_by_label("Model", exact=True).select_option(model)
    page.locator("#form-file").set_input_files(file)


@pytest.mark.parametrize("copies", ["1", "3"])
def test_picture_is_shown_sent_and_read(service, open_page, copies):
    page = open_page(service)
    page.get_by_label("Model", exact=True).select_option("digits")
    field = page.get_by_label("Or a file: a picture")
    field.set_input_files(DIGIT)
    thumbnail = page.get_by_role("img", name="digit.png")
    expect_drawn(page, thumbnail)
    page.get_by_label("How many jobs").fill(copies)
    page.get_by_label("Priority").select_option("high")
    page.get_by_role("button", name="Submit").click()
    ticket = page.get_by_role("region", name="Your ticket")
    expect(ticket.locator(".winner")).to_have_text("7")
    job_id = ticket.locator(".ticket-id").inner_text()
    assert call("GET", f"{service.url}/job/{job_id}")[1]["priority"] == "high"
    page.get_by_role("button", name="Send no file").click()
    expect(thumbnail).to_have_count(0)
    expect(field).to_be_focused()


def test_file_that_does_not_fit_is_refused_in_words(service, open_page):
    page = open_page(service)
    choose(page, "iris", DIGIT)
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("form .error")).to_contain_text("picture")


def test_input_of_a_job_is_shown_as_a_picture_also_where_a_key_is_needed(service, guarded, open_page):
    broken = encode(np.zeros((4, 4, 3), np.uint8))
    job_id = service.fail_outside(broken, job_id="91c7" * 8)
    page = open_page(service, f"#/job/{job_id}")
    panel = page.get_by_role("region", name="Input")
    expect(panel).to_contain_text("image/png")
    expect_drawn(page, panel.get_by_role("img"))
    with page.expect_download() as download:
        panel.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename.endswith(".png")
    assert download.value.path().read_bytes() == broken
    page.get_by_role("link", name="Run again with…").click()
    expect(page.locator("form .thumbnail")).to_be_visible()
    expect(page.locator("form .fields")).to_be_hidden()
    page = open_page(guarded, f"#/job/{job_id}")
    page.get_by_role("textbox", name="API key").fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("region", name="Input").get_by_role("img")).to_be_visible()
    call("POST", f"{service.url}/jobs/actions", {"action": "delete", "filter": {"status": "failed"}})


def test_large_result_of_arrays_is_a_summary_and_downloads(service, open_page, tmp_path):
    archive = tmp_path / "many.npz"
    np.savez(archive, price=np.ones((3000, 3)), count=np.full((3000, 3), 2, "i8"))
    page = open_page(service)
    choose(page, "prices", archive)
    page.get_by_role("button", name="Submit").click()
    ticket = page.get_by_role("region", name="Your ticket")
    expect(ticket).to_contain_text("FP64 [3000, 3]")
    with page.expect_download() as download:
        ticket.get_by_role("button", name="Download .npz").click()
    with np.load(io.BytesIO(download.value.path().read_bytes())) as result:
        assert {one.shape for one in result.values()} == {(3000, 3)}
