# SPDX-License-Identifier: GPL-2.0-only
"""The flame graph's script in a browser: headless Chromium opens the graph that the unit test
`small` draws, alone and inside a page; a second script clicks, types and presses keys, and leaves
what it saw in the document."""
import json
import os
import re
import subprocess

import pytest

from harness import needs

DRIVER = r"""
const seen = {};
const root = document.querySelector('svg.pa-flame');
const q = (s) => root.querySelector(s);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const frames = Array.from(root.querySelectorAll('.frames > g'));
const find = (name) => frames.find((g) => g.firstChild.textContent.startsWith(name + '\n'));
const input = q('input');
const shown = () => frames.filter((g) => g.style.display !== 'none').length;
const box = (g) => ['x', 'width'].map((a) => Number(g.children[1].getAttribute(a)));
const press = (key, more) => input.dispatchEvent(new KeyboardEvent('keydown',
	Object.assign({key, bubbles: true, cancelable: true}, more)));
async function search(text)
{
	input.value = text;
	input.dispatchEvent(new Event('input', {bubbles: true}));
	await wait(300);
	return q('.matched').textContent;
}
async function drive()
{
	seen.width = root.viewBox.baseVal.width;
	seen.rest = q('.details').textContent;
	seen.all = shown();
	find('main').children[1].dispatchEvent(new MouseEvent('mouseover', {bubbles: true}));
	seen.hover = q('.details').textContent;
	seen.before = box(find('main'));
	seen.nested = await search('render|parse');
	seen.matches = frames.filter((g) => g.classList.contains('match')).length;
	seen.bad_regex = await search('(Request');
	seen.smart_case = [await search('PARSE'), await search('PaRsE'), await search('^[pP]arse$')];
	seen.none = await search('no such function');
	await search('render|parse');
	find('main').children[1].dispatchEvent(new MouseEvent('click', {bubbles: true}));
	seen.zoomed = box(find('main'));
	seen.zoomed_shown = shown();
	seen.zoomed_match = q('.matched').textContent;
	seen.above = ['all', 'web server', 'main'].map((n) => find(n).classList.contains('above'));
	find('parse').children[1].dispatchEvent(new MouseEvent('mouseover', {bubbles: true}));
	seen.zoomed_hover = q('.details').textContent;
	press('Escape');
	await wait(300);
	seen.after = box(find('main'));
	seen.after_shown = shown();
	seen.after_match = q('.matched').textContent;
	seen.after_search = input.value;
	const before = find('all').children[1].getAttribute('y');
	root.dispatchEvent(new KeyboardEvent('keydown', {key: 'i', bubbles: true}));
	seen.flipped = [Number(before), Number(find('all').children[1].getAttribute('y'))];
	root.dispatchEvent(new KeyboardEvent('keydown', {key: 'f', ctrlKey: true, bubbles: true}));
	seen.focused = document.activeElement === input;
}
drive().catch((e) => { seen.error = String(e.stack); }).then(() => {
	root.setAttribute('data-seen', JSON.stringify(seen));
});
"""


@pytest.fixture(scope="module")
def graph(build, tmp_path_factory):
    """Text of the graph."""
    program = build / "tests" / "unit" / "test_calltree"
    path = tmp_path_factory.mktemp("flame") / "small.svg"
    if not program.exists():
        pytest.fail(f"{program} is not built: run make tests-build")
    subprocess.run([program, "small"], env={**os.environ, "FLAME_KEEP": str(path)}, timeout=60,
                   check=True)
    return path.read_text(encoding="utf-8")


def open_in_browser(path, profile):
    """What the driver saw on the page."""
    chromium = needs.command("chromium", "chromium")
    dom = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-dev-shm-usage", f"--user-data-dir={profile}", "--window-size=1500,700",
         "--virtual-time-budget=8000", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found, f"the driver did not finish: {dom[-2000:]}"
    text = found.group(1).replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">")
    return json.loads(text.replace("&nbsp;", "\u00a0").replace("&amp;", "&"))


def check(seen):
    assert "error" not in seen, seen["error"]
    assert seen["rest"].startswith("10,721 samples")
    assert seen["all"] == 20
    assert seen["hover"].startswith("6,200 samples, 57.83%") and seen["hover"].endswith("main")
    # parse 2500 + render 2500; render in render and parse in render count no second time
    assert seen["nested"] == "46.64% matched"
    assert seen["matches"] == 4
    assert seen["bad_regex"] == "46.64% matched"
    # capitals in the pattern make it count case
    assert seen["smart_case"] == ["0.00% matched", "0.00% matched", "29.85% matched"]
    assert seen["none"] == "0.00% matched"
    assert seen["zoomed"][0] == 10
    assert abs(seen["zoomed"][1] - (seen["width"] - 20.5)) < 0.02
    assert seen["zoomed_shown"] == 11
    assert seen["zoomed_match"] == "80.65% of view matched"
    assert seen["above"] == [True, True, False]
    assert "(40.32% of view)" in seen["zoomed_hover"]
    assert seen["after"] == seen["before"]
    assert seen["after_shown"] == seen["all"]
    assert (seen["after_match"], seen["after_search"]) == ("", "")
    assert seen["flipped"][1] < seen["flipped"][0]
    assert seen["focused"]


def test_alone(graph, tmp_path):
    page = tmp_path / "alone.svg"
    page.write_text(graph.replace("</svg>", f"<script><![CDATA[{DRIVER}]]></script></svg>"),
                    encoding="utf-8")
    seen = open_in_browser(page, tmp_path / "profile")
    check(seen)
    assert seen["width"] > 1400  # it takes the window's width


def test_inside_a_page(graph, tmp_path):
    page = tmp_path / "page.html"
    svg = graph.split("?>\n", 1)[1]
    page.write_text(f"<!doctype html><meta charset='utf-8'><title>t</title><h1>Report</h1>{svg}"
                    f"<script>{DRIVER}</script>", encoding="utf-8")
    seen = open_in_browser(page, tmp_path / "profile")
    check(seen)
    assert seen["width"] == 1200
