"""The page at /, in a real browser, on a desk and on a phone."""
import os
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

SHOTS = Path(os.environ.get("MODELC_SCREENSHOTS", "build/screenshots"))


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server):
    pages = []

    def open_with(**options):
        page = browser.new_page(**options)
        problems = []
        page.on("pageerror", lambda e: problems.append(str(e)))
        # A refused request shows on the console by itself; anything else there is the page's fault.
        page.on("console", lambda m: m.type != "error" or "Failed to load resource" in m.text or problems.append(m.text))
        page.on("request", lambda r: r.url.startswith((server.url, "data:")) or problems.append(f"asked for {r.url}"))
        page.goto(server.url)
        pages.append((page, problems))
        return page

    yield open_with
    for page, problems in pages:
        page.close()
        assert problems == []


def ask(page, text):
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


@pytest.mark.parametrize("options", [
    {"viewport": {"width": 1100, "height": 800}, "color_scheme": "light"},
    {"viewport": {"width": 375, "height": 720}, "color_scheme": "dark", "is_mobile": True, "has_touch": True},
], ids=["desk", "phone"])
def test_reasoning_and_answer(open_page, options, request):
    page = open_page(**options)
    expect(page.locator("#model")).to_have_text("nano")
    ask(page, "What is 347 + 586?")
    expect(page.locator(".content")).to_have_text("347 + 586 = 933.", timeout=60000)
    expect(page.locator(".reasoning")).to_contain_text("-> 933")
    expect(page.locator(".note")).to_contain_text("tokens in")
    dim, text = (page.locator(s).evaluate("e => getComputedStyle(e).color") for s in (".reasoning", ".content"))
    assert dim != text
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out sideways"
    page.screenshot(path=SHOTS / f"playground-{request.node.callspec.id}.png")


def test_tool_calls(open_page):
    page = open_page()
    page.get_by_label("Thinking").uncheck()
    page.get_by_label("Tools", exact=True).check()
    ask(page, "1223 * 670")
    expect(page.locator(".call code")).to_have_text('calculator({"expression": "1223 * 670"})', timeout=60000)
    page.get_by_label("Result of calculator").fill("819410")
    page.get_by_role("button", name="Return it").click()
    expect(page.locator(".content").last).to_contain_text("819410", timeout=60000)
    page.screenshot(path=SHOTS / "playground-tools.png")


def test_errors_are_shown_and_the_chat_goes_on(open_page):
    page = open_page()
    page.get_by_label("Thinking").uncheck()
    ask(page, "word " * 9000)
    expect(page.locator(".error")).to_contain_text("context", timeout=60000)
    ask(page, "Who are you?")
    expect(page.locator(".content")).to_contain_text("nano", timeout=60000)
    page.get_by_role("button", name="New chat").click()
    expect(page.locator(".message")).to_have_count(0)
