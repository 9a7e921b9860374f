"""What a person does with the live page."""

import pytest
from playwright.sync_api import expect

from inferq.proxy.http.schemas.job_schemas import EXAMPLE_JOBS
from inferq.tensors.envelope import write_envelope
from tests.e2e.processes import call
from tests.e2e.ui.conftest import KEY, MODELS, PATIENCE_MS
from tests.servers import wait_until

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def failed_jobs(service):
    """Three jobs that have failed alike, and one that has otherwise; gone after the test."""
    alike = service.fail(97, 98, 99)
    yield alike, service.fail_outside('["no index"]')
    call(
        "POST",
        f"{service.url}/jobs/actions",
        {"action": "delete", "filter": {"status": "failed"}, "dry_run": False},
    )


def find_figure(page, name):
    return page.locator(f".figure.{name} dd")


def test_submitted_job_shows_its_ticket_and_at_last_its_result(service, open_page):
    page = open_page(service)
    expect(page.get_by_label("sepal length (cm)")).to_have_value("5.1")
    page.get_by_label("petal length (cm)").fill("5.9")
    page.get_by_label("petal width (cm)").fill("2.1")
    page.get_by_label("petal width (cm)").press("Enter")
    ticket = page.get_by_role("region", name="Your ticket")
    expect(ticket.locator(".winner")).to_have_text("virginica")
    expect(ticket.locator("[aria-current]")).to_contain_text("Completed")
    expect(ticket).to_contain_text("Result after")
    expect(ticket.get_by_role("meter").first).to_be_visible()
    job_id = ticket.locator(".ticket-id").inner_text()
    assert call("GET", f"{service.url}/job/{job_id}")[1]["result"]["class_name"] == "virginica"
    ticket.get_by_role("link", name="All about this job").click()
    timeline = page.get_by_role("region", name="Timeline")
    for words in ("Submitted", "Attempt 1", "Completed"):
        expect(timeline).to_contain_text(words)
    expect(page.get_by_role("region", name="Input")).to_contain_text("kept until a job has completed")


def test_form_follows_the_signature_of_the_chosen_model(service, open_page):
    page = open_page(service)
    model = page.get_by_label("Model", exact=True)
    expect(model.locator("option")).to_have_text(MODELS)
    model.select_option("prices")
    data = page.get_by_label("Data, as JSON")
    expect(data).to_have_value('{\n  "count": [\n    [0, 0, 0]\n  ],\n  "price": [\n    [0, 0, 0]\n  ]\n}')
    data.fill('{"count": [[1, 2]], "price": [[1, 2]]}')
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert").filter(has_text="expects")).to_be_visible()
    data.fill('{"count": [[1, 2, 3]], "price": [[1.5, 2, 0]]}')
    page.get_by_role("button", name="Submit").click()
    result = page.get_by_role("region", name="Your ticket").locator("figure").filter(has_text="total")
    expect(result.locator("td")).to_have_text(["1.5", "4", "0"])


def test_model_without_an_example_gets_zeros_where_its_data_is_too_long_to_type(service, open_page):
    page = open_page(service)
    document = call("GET", f"{service.url}/models/iris")[1]
    document["inputs"][0]["shape"] = [-1, 3, 40, 40]
    del document["example"]
    page.route("**/models/gather", lambda route: route.fulfill(json=document))
    page.get_by_label("Model", exact=True).select_option("gather")
    expect(page.get_by_text("The form sends zeros")).to_be_visible()
    with page.expect_request("**/predict") as request:
        page.get_by_role("button", name="Submit").click()
    assert request.value.post_data_json["data"] == [[[[0] * 40] * 40] * 3]


def test_nothing_is_submitted_before_it_is_known_what_the_chosen_model_takes(service, open_page):
    page = open_page(service)
    submit = page.get_by_role("button", name="Submit")
    expect(submit).to_be_enabled()
    held = []
    page.route("**/models/gather", lambda route: held.append(route))
    model = page.get_by_label("Model", exact=True)
    model.select_option("gather")
    expect(submit).to_be_disabled()
    model.select_option("iris")
    expect(submit).to_be_enabled()
    with page.expect_response("**/models/gather"):
        held[0].continue_()
    page.evaluate(
        "() => fetch('/models/iris').then((answer) => answer.text())"
    )  # the other has been read then
    expect(page.get_by_label("sepal length (cm)")).to_have_value("5.1")
    submit.click()
    expect(page.get_by_role("region", name="Your ticket").locator(".winner")).to_have_text("setosa")


def test_picture_and_figures_follow_what_happens(service, open_page):
    page = open_page(service)
    row = page.locator(".rows .number")
    expect(row).to_have_count(1)
    before = int(row.inner_text().replace(",", ""))
    page.get_by_label("How many jobs").fill("200")
    page.get_by_role("button", name="Submit").click()
    # first, as it tells of the last seconds alone
    expect(page.locator(".return-label")).not_to_have_text("0/s ended")
    wait_until(lambda: int(row.inner_text().replace(",", "")) >= before + 200, what="jobs at the worker")
    expect(page.locator(".lanes .name")).to_have_text(MODELS)
    expect(find_figure(page, "workers")).to_have_text("1")
    is_drawn = """(canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.some(Boolean);
    }"""
    assert page.locator("canvas").evaluate(is_drawn)


def test_failed_job_is_found_by_its_error_and_shows_why_it_failed(service, open_page, failed_jobs):
    _, other = failed_jobs
    page = open_page(service, "#/jobs")
    groups = page.locator(".groups li")
    expect(groups.first.locator(".count")).to_have_text("3")
    groups.first.get_by_role("link", name="Show these jobs").click()
    rows = page.locator("table.jobs tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.get_by_label("Error contains")).to_have_value("")
    page.get_by_label("Id begins with").fill(other[:12])
    expect(rows).to_have_count(1)
    expect(page.get_by_label("Id begins with")).to_be_focused()
    rows.get_by_role("link").click()
    expect(page.get_by_role("heading", name=other)).to_be_visible()
    expect(page.locator(".job-head")).to_contain_text("invalid-input")
    expect(page.get_by_role("region", name="Timeline")).to_contain_text("Attempt 1")
    expect(page.get_by_role("region", name="Input")).to_contain_text("no index")


def test_view_that_was_left_while_a_job_is_deleted_does_not_come_back(service, open_page, failed_jobs):
    page = open_page(service, f"#/job/{failed_jobs[1]}")
    held = []
    page.route("**/jobs/actions", lambda route: held.append(route))
    page.get_by_role("button", name="Delete", exact=True).click()
    with page.expect_request("**/jobs/actions"):
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("link", name="Workers and queues").click()
    expect(page.locator("figure").first).to_be_visible()
    with page.expect_response("**/jobs/actions"):
        held[0].continue_()
    page.evaluate("() => fetch('/health').then((answer) => answer.text())")  # the answer has been read then
    assert page.url.endswith("#/workers")


def test_filter_that_is_cleared_while_it_is_typed_stays_so(service, open_page, failed_jobs):
    page = open_page(service, "#/jobs?status=failed")
    page.evaluate("""() => {
        const field = document.getElementById("filter-id_prefix");
        field.value = "none";
        field.dispatchEvent(new Event("input"));
        document.querySelector(".statuses button").click();
    }""")
    page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 1000))")  # behind the form's own
    assert page.url.endswith("#/jobs?status=")


def test_timeline_has_each_attempt_and_the_webhook_of_the_jobs_that_the_api_documents(service, open_page):
    page = open_page(service)
    _, completed, failed = EXAMPLE_JOBS
    shown = []
    page.route(f"**/job/{failed['job_id']}", lambda route: route.fulfill(json=shown[-1]))
    for example, words in (
        (completed, ["Submitted", "Attempt 1", "Completed", "Webhook: delivered", "1 try"]),
        (failed, ["Submitted", "Attempt 1", "Attempt 2", "Attempt 3", "+998 ms", "Failed"]),
    ):
        shown.append(example)
        open_page(service, f"#/job/{example['job_id']}", page=page)
        page.reload()
        for one in words:
            expect(page.get_by_role("region", name="Timeline")).to_contain_text(one)


def test_all_that_a_filter_finds_are_counted_then_retried_then_deleted(service, open_page, failed_jobs):
    alike, _ = failed_jobs
    page = open_page(service, "#/jobs?status=failed&model=gather&error=out of data bounds")
    expect(page.locator("table.jobs tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Retry all…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This filter finds 3 jobs.")
    assert {call("GET", f"{service.url}/job/{job_id}")[1]["attempts"] for job_id in alike} == {1}
    dialog.get_by_role("button", name="Retry 3 jobs").click()
    expect(dialog).to_contain_text("Done: 3 jobs changed, 0 left as they were.")
    dialog.get_by_role("button", name="Close").click()
    for job_id in alike:
        wait_until(
            lambda one=job_id: call("GET", f"{service.url}/job/{one}")[1]["attempts"] == 2, what="a retry"
        )
    expect(page.locator("table.jobs tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Delete all…").click()
    dialog.get_by_role("button", name="Delete 3 jobs").click()
    expect(dialog).to_contain_text("Done: 3 jobs changed")
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_text("No job matches this filter.")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.get_by_role("button", name="Delete all…")).to_be_disabled()


def test_one_job_is_retried_run_again_with_other_values_and_deleted(service, open_page, failed_jobs):
    [job_id, *_], _ = failed_jobs
    page = open_page(service, f"#/job/{job_id}")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("region", name="Timeline")).to_contain_text("Attempt 2")
    page.get_by_role("link", name="Run again with…").click()
    data = page.get_by_label("Data, as JSON")
    expect(data).to_have_value("[97]")
    data.fill("[2]")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("region", name="Your ticket").locator("td")).to_have_text("30")
    open_page(service, f"#/job/{job_id}", page=page)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    wait_until(lambda: call("GET", f"{service.url}/job/{job_id}")[0] == 404, what="the job being gone")


def test_job_whose_id_tells_its_shard_is_deleted(service, open_page):
    job_id = service.fail_outside("[97]", f"{'5ade' * 8}-12")
    page = open_page(service, f"#/job/{job_id}")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    wait_until(lambda: call("GET", f"{service.url}/job/{job_id}")[0] == 404, what="the job being gone")


def test_text_from_outside_is_shown_as_text(service, open_page):
    hostile = "<img src=x onerror=alert(1)>"
    service.fail_outside(f'["{hostile}"]', hostile)
    page = open_page(service, "#/jobs?status=failed&id_prefix=<img")
    page.locator("table.jobs tbody").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(hostile)
    expect(page.get_by_role("region", name="Input")).to_contain_text(hostile)
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    assert page.locator("main img").count() == 0


def test_progress_of_a_large_job_is_a_bar(service, open_page):
    with service.server.client() as client:
        client.mset(
            {"job:large:status": "processing", "job:large:progress": "30 1000 97 970", "job:large:data": "[]"}
        )
        page = open_page(service, "#/job/large")
        bar = page.get_by_role("progressbar", name="rows done")
        expect(bar).to_have_attribute("value", "30")
        client.set("job:large:progress", "700 1000 30 300")
        client.publish("events", "large:progress")
        expect(bar).to_have_attribute("value", "700")
        expect(page.locator("main")).to_contain_text("700 of 1,000 rows done")
        client.delete("job:large:status", "job:large:progress", "job:large:data")


@pytest.mark.parametrize(
    "result", ['{"prediction":null,"probabilities":[[0.5],7]}', '{"prediction":0,"probabilities":[[0.5]]}']
)
def test_result_from_outside_that_is_no_classification_is_shown_as_it_is(service, open_page, result):
    with service.server.client() as client:
        client.mset({"job:strange:status": "completed", "job:strange:result": result})
    page = open_page(service, "#/job/strange")
    page.get_by_role("region", name="Result").locator("summary").click()
    expect(page.get_by_role("region", name="Result").locator("pre")).to_contain_text("probabilities")


def test_tensors_that_are_too_many_to_be_shown_are_named_with_their_size(service, open_page):
    entry = {
        "name": "y",
        "datatype": "UINT8",
        "shape": [2, 50_000],
        "parameters": {"binary_data_size": 100_000},
    }
    stored = write_envelope({"outputs": [entry]}, [bytes(100_000)])
    with service.server.client() as client:
        client.mset({"job:tensors:status": "completed", "job:tensors:result": stored})
    result = open_page(service, "#/job/tensors").get_by_role("region", name="Result")
    expect(result.locator("p").first).to_have_text("y UINT8 [2, 50000] 97.7 KiB")


def test_what_is_wrong_while_jobs_are_taken_is_said_until_it_is_right(make_service, open_page, tmp_path):
    folder = tmp_path / "blobs"
    service = make_service(blob_store=folder.as_uri(), blob_bytes=1024)
    page = open_page(service)
    fault = page.locator("#health")
    expect(page.locator("#connection")).to_have_text("Connected")
    assert (
        call("POST", f"{service.url}/predict", {"model": "iris", "data": [[5.1, 3.5, 1.4, 0.2]] * 99})[0]
        == 202
    )
    wait_until(folder.exists, 60, "the blob store, which the first long data makes")
    expect(fault).to_be_hidden()
    folder.rename(tmp_path / "unmounted")
    expect(fault).to_contain_text("Blob store: ")
    expect(fault).to_contain_text("unmounted")
    page.get_by_role("button", name="日本語").click()
    expect(fault).to_contain_text("Blob ストア：")
    (tmp_path / "unmounted").rename(folder)
    expect(fault).to_be_hidden()


def test_lost_connection_is_said_and_the_page_comes_back_by_itself(service, open_page):
    page = open_page(service)
    expect(page.locator("#connection")).to_have_text("Connected")
    service.stop_proxy()
    expect(page.locator("#connection")).to_have_text("Connection lost")
    expect(page.locator("#notice")).to_contain_text("the service does not answer")
    service.start_proxy()
    expect(page.locator("#connection")).to_have_text("Connected")
    expect(page.locator("#notice")).to_be_hidden()
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".winner")).to_have_text("setosa")


def test_key_is_asked_for_kept_for_the_session_and_forgotten(guarded, open_page):
    page = open_page(guarded)
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_label("API key")
    field.fill("iq_wrong")
    field.press("Enter")
    expect(dialog).to_contain_text("The service does not know this key.")
    field.fill("pasted\u200b")  # which no request could carry
    field.press("Enter")
    expect(dialog).to_be_visible()
    assert field.evaluate("field => field.validity.patternMismatch")
    field.fill(KEY)
    field.press("Enter")
    expect(page.locator("#connection")).to_have_text("Connected")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".winner")).to_have_text("setosa")
    page.reload()
    expect(page.locator("#connection")).to_have_text("Connected")
    assert KEY not in page.url
    page.get_by_role("button", name="Forget the key").click()
    expect(dialog).to_contain_text("This service needs an API key")


def test_read_only_page_shows_all_and_changes_nothing(read_only, open_page, failed_jobs):
    page = open_page(read_only)
    expect(page.locator("#connection")).to_have_text("Connected")
    expect(page.get_by_text("Read-only")).to_be_visible()
    expect(page.locator(".groups li").first).to_be_visible()
    assert page.locator("main button").count() == 0
    for address in ("#/jobs", f"#/job/{failed_jobs[0][0]}"):
        open_page(read_only, address, page=page)
        expect(page.locator("table.jobs, .timeline").first).to_be_visible()
        for name in ("Retry", "Delete", "Cancel"):
            assert page.get_by_role("button", name=name).count() == 0
        assert page.get_by_role("link", name="Run again with…").count() == 0


def test_language_follows_the_browser_and_a_choice_that_is_kept(service, open_page):
    page = open_page(service, locale="ja-JP")
    expect(page.get_by_role("button", name="送信")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Submit")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Submit")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"


def test_workers_and_queues_have_charts_of_the_last_hour(service, open_page):
    page = open_page(service)
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".winner")).to_be_visible()
    page.get_by_role("link", name="Workers and queues").click()
    queue = page.get_by_role("region", name="iris")
    expect(queue.get_by_role("img")).to_have_count(2)
    expect(queue.locator("rect.completed").last).to_be_visible()
    expect(page.get_by_role("region", name="Live workers").locator("tbody tr")).to_have_count(1)
