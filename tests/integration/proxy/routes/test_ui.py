"""The files of the live page: where they are, and what they let a browser do."""

import re
from pathlib import Path

import pytest

import inferq.proxy
from inferq.settings import Settings
from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.http.test_auth import ANN, entry

FILES = sorted(path.name for path in (Path(inferq.proxy.__file__).parent / "ui").iterdir())
TYPES = {"css": "text/css; charset=utf-8", "html": "text/html; charset=utf-8", "svg": "image/svg+xml"}


@pytest.fixture
def settings():
    """Files need no Redis."""
    return Settings(redis_url="redis://127.0.0.1:1")


@pytest.fixture
async def client(settings, make_client):
    return await make_client(settings)


def policy_of(answer):
    rules = (rule.split() for rule in answer.headers["content-security-policy"].split(";"))
    return {name: set(sources) for name, *sources in rules}


async def test_page_is_served_with_headers_that_allow_this_host_alone(client):
    answer = await client.get("/ui")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == TYPES["html"]
    policy = policy_of(answer)
    assert policy["default-src"] == {"'none'"}
    assert policy["frame-ancestors"] == {"'none'"}
    assert policy.pop("img-src") == {"'self'", "blob:"}
    assert {source for sources in policy.values() for source in sources} == {"'none'", "'self'"}
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_page_has_no_inline_script_or_style_and_names_files_that_are_served(client):
    page = (await client.get("/ui")).text
    assert not re.search(r"<script(?![^>]* src=)|<style|\s(style|on\w+)=", page)
    named = re.findall(r'(?:src|href)="(ui/[^"]+)"', page)
    assert len(named) >= 3
    for path in named:
        assert (await client.get(f"/{path}")).status_code == 200, path


async def test_files_of_the_page_have_their_type_and_name_no_other_host_nor_a_file_that_is_not_there(client):
    assert len(FILES) > 15
    for name in FILES:
        answer = await client.get(f"/ui/{name}")
        expected = TYPES.get(name.rpartition(".")[2], "text/javascript; charset=utf-8")
        assert answer.headers["content-type"] == expected
        hosts = set(re.findall(r"https?://[^/\"]+", answer.text))
        assert hosts <= {"http://www.w3.org"}, name  # the name of SVG
        assert set(re.findall(r'from "\./([^"]+)"', answer.text)) <= set(FILES), name


async def test_file_that_a_browser_has_already_is_not_sent_again(client):
    first = await client.get("/ui/main.js")
    again = await client.get("/ui/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "no-cache"
    assert (await client.head("/ui")).status_code == 200


@pytest.mark.parametrize("path", ["/ui/nosuch.js", "/ui/../app.py", "/ui/%2e%2e/app.py", "/ui/a/b"])
async def test_nothing_but_the_files_of_the_page_is_served(client, path):
    expect_problem(await client.get(path), 404, "not-found")


async def test_page_needs_no_key_and_what_it_shows_does(settings, make_client):
    client = await make_client(settings.model_copy(update={"api_keys": entry("ann", ANN)}))
    for path in ("/ui", "/ui/main.js"):
        assert (await client.get(path)).status_code == 200
    for path in ("/uinot", "/models", "/activity"):
        expect_problem(await client.get(path), 401, "unauthorized")


async def test_setting_makes_the_page_read_only_or_takes_it_away(settings, make_client):
    for mode in ("on", "read-only"):
        client = await make_client(settings.model_copy(update={"ui": mode}))
        assert f'data-mode="{mode}"' in (await client.get("/ui")).text
        assert (await client.get("/")).json()["links"]["ui"] == "/ui"
    client = await make_client(settings.model_copy(update={"ui": "off"}))
    for path in ("/ui", "/ui/main.js"):
        expect_problem(await client.get(path), 404, "not-found")
    assert "ui" not in (await client.get("/")).json()["links"]
