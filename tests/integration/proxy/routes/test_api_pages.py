"""`/docs` and `/redoc`, as a browser without any way to other hosts would load them."""

import re

import httpx
import pytest

from inferq.proxy.app import create_app

PAGES = ["/docs", "/redoc"]


def named_urls(page):
    """Whatever the page itself has the browser load."""
    return re.findall(r"""(?:src|href|spec-url)="([^"]+)"|url: '([^']+)'""", page)


@pytest.mark.parametrize("root_path", ["", "/models/v1"])
@pytest.mark.parametrize("path", PAGES)
async def test_every_file_that_an_api_page_names_is_served_by_the_proxy_itself(settings, path, root_path):
    transport = httpx.ASGITransport(create_app(settings), root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
        page = await client.get(f"{root_path}{path}")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        urls = [one or other for one, other in named_urls(page.text)]
        assert f"{root_path}/openapi.json" in urls
        assert any(url.endswith(".js") for url in urls)
        for url in urls:
            assert url.startswith(f"{root_path}/"), url
            file = await client.get(url)
            assert (file.status_code, bool(file.content)) == (200, True), url


@pytest.mark.parametrize("path", PAGES)
async def test_api_pages_forbid_the_browser_to_ask_another_host(client, path):
    answer = await client.get(path)
    assert not re.search(r"(?:https?:)?//\w", answer.text)
    policy = answer.headers["content-security-policy"]
    allowed = {source for rule in policy.split(";") for source in rule.split()[1:]}
    assert allowed == {"'self'", "'unsafe-inline'", "data:", "blob:"}
    assert policy.startswith("default-src 'self';")


@pytest.mark.parametrize("path", PAGES)
async def test_api_pages_tell_all_methods_that_they_take(client, path):
    assert (await client.head(path)).status_code == 200
    refused = await client.post(path)
    assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
