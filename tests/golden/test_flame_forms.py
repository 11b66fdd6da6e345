# SPDX-License-Identifier: GPL-2.0-only
"""The forms of a flame graph: two inputs compared, the root at the top, stacks from their leaf, a
page instead of a picture."""
import importlib.util
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest

from harness import needs, run

BEFORE = "a;b;c 20\na;b;d 5\na;gone;x 10\n"
AFTER = "a;b;c 10\na;b;d 20\na;e 5\n"
NS = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "before").write_text(BEFORE)
    (tmp_path / "after").write_text(AFTER)
    return tmp_path / "before", tmp_path / "after"


def frames(svg):
    """Of each frame, by name: lines of its tooltip, colour, y."""
    found = {}
    for group in ET.fromstring(svg).iter(NS + "g"):
        if "data-f" in group.attrib:
            lines = group.find(NS + "title").text.split("\n")
            rect = group.find(NS + "rect")
            found[lines[0]] = (lines[1:], rect.get("fill"), float(rect.get("y")))
    return found


def draw(tool, *args):
    return run.run([tool("pa2flame"), "--folded", *args]).ok()


def test_diff(tool, files):
    result = draw(tool, "--diff", *files)
    seen = frames(result.out)
    assert set(seen) == {"all", "a", "b", "c", "d", "e"}
    assert seen["c"][0] == ["10 samples, 28.57%", "before: 20 samples, 57.14% (-28.57 points)"]
    assert seen["d"][0] == ["20 samples, 57.14%", "before: 5 samples, 14.29% (+42.86 points)"]
    assert seen["b"][0] == ["30 samples, 85.71%", "before: 25 samples, 71.43% (+14.29 points)"]
    # its own weight has not changed, its children's has
    assert seen["b"][1] == seen["a"][1] == "#ebebeb"
    assert re.fullmatch("#ff(..)\\1", seen["d"][1]) and re.fullmatch("#ff(..)\\1", seen["e"][1])
    assert re.fullmatch("#(..)\\1ff", seen["c"][1])
    # more change, more colour
    assert seen["d"][1] < seen["e"][1]
    assert "28.57 % of it is gone" in result.err
    swapped = frames(draw(tool, "--diff", "--negate", *files).out)
    assert re.fullmatch("#(..)\\1ff", swapped["d"][1])


def test_normalized_diff(tool, files, tmp_path):
    twice = tmp_path / "twice"
    twice.write_text("a;b;c 20\na;b;d 40\na;e 10\n")
    seen = frames(draw(tool, "--diff", "--normalize", files[1], twice).out)
    assert {frame[1] for frame in seen.values()} == {"#ebebeb"}
    assert seen["d"][0][1] == "before: 20 samples, 57.14% (+0.00 points)"


def test_diff_of_perf_data(tool, top):
    data = top / "tests" / "golden" / "pa2folded" / "basic" / "perf.data"
    result = run.run([tool("pa2flame"), "--diff", data, data]).ok()
    assert {frame[1] for frame in frames(result.out).values()} == {"#ebebeb"}
    assert result.err == ""


def test_usage(tool, files):
    for args in (["--diff", files[0]], [*files], ["--normalize", files[0]], ["--format", "png"],
                 ["--diff", *files, files[0]]):
        assert run.run([tool("pa2flame"), "--folded", *args]).status == 2


def test_inverted(tool, files):
    up, down = frames(draw(tool, files[1]).out), frames(draw(tool, "--inverted", files[1]).out)
    assert up["all"][2] > up["a"][2] > up["b"][2] > up["c"][2]
    assert down["all"][2] < down["a"][2] < down["b"][2] < down["c"][2]


def test_reverse(tool, files, top):
    seen = draw(tool, "--reverse", files[1]).out
    levels = {name: int(level) for level, name in
              re.findall(r'data-f="\d+ \d+ (\d+)"><title>(\w+)$', seen, re.M)}
    assert levels["c"] == levels["d"] == levels["e"] == 1 and levels["a"] > 1
    data = top / "tests" / "golden" / "pa2folded" / "basic" / "perf.data"
    out = run.run([tool("pa2flame"), "--reverse", data]).ok().out
    assert re.search(r'data-f="\d+ 1 1"><title>copy_page$', out, re.M)


def test_unit_of_a_weight(tool, top):
    needs.command("xmllint", "libxml2-utils")
    svg = draw(tool, top / "tests" / "golden" / "pa2folded" / "basic" / "expected").out
    subprocess.run(["xmllint", "--noout", "-"], input=svg, text=True, check=True)
    assert "8 samples" in svg


def test_html_in_a_browser(tool, files, top, tmp_path):
    spec = importlib.util.spec_from_file_location(
        "test_flame_browser", top / "tests" / "golden" / "test_flame_browser.py")
    browser = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(browser)
    hostile = tmp_path / "hostile"
    hostile.write_text(AFTER + "a;</script><script>alert(1)</script> 4\na;]]>\"&quot;' 3\n")
    page = tmp_path / "graph.html"
    run.run([tool("pa2flame"), "--folded", "--title", "A & B </title>", "-o", page,
             hostile]).ok()
    driver = """
const seen = {}, root = document.querySelector('svg.pa-flame');
const frames = Array.from(root.querySelectorAll('.frames > g'));
const find = (name) => frames.find((g) => g.firstChild.textContent.startsWith(name + '\\n'));
const width = (g) => Number(g.children[1].getAttribute('width'));
async function drive()
{
	const input = root.querySelector('input');
	seen.title = document.title;
	seen.scripts = document.scripts.length;
	seen.b = width(find('b'));
	find('b').children[1].dispatchEvent(new MouseEvent('click', {bubbles: true}));
	seen.zoomed = width(find('b'));
	document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}));
	seen.reset = width(find('b'));
	input.value = '^[cd]$';
	input.dispatchEvent(new Event('input', {bubbles: true}));
	await new Promise((done) => setTimeout(done, 300));
	seen.matched = root.querySelector('.matched').textContent;
	seen.hostile = frames.filter((g) => /script|quot/.test(g.firstChild.textContent)).length;
}
drive().catch((e) => { seen.error = String(e.stack); }).then(() => {
	root.setAttribute('data-seen', JSON.stringify(seen));
});
"""
    text = page.read_text(encoding="utf-8")
    assert "http" not in text.replace("http://www.w3.org/", "")
    page.write_text(text.replace("</body>", f"<script>{driver}</script></body>"),
                    encoding="utf-8")
    seen = browser.open_in_browser(page, tmp_path / "profile")
    assert "error" not in seen, seen["error"]
    assert (seen["title"], seen["scripts"]) == ("A & B </title>", 1)
    assert seen["zoomed"] > seen["b"] == seen["reset"]
    assert seen["matched"] == "71.43% matched" and seen["hostile"] == 2


INLINING = """
volatile unsigned long sum;
static inline __attribute__((always_inline)) void inlined_work(int n)
{
	for (int i = 0; i < n; i++)
		sum += i;
}
int main(void)
{
	for (int i = 0; i < 200; i++)
		inlined_work(1000000);
	return 0;
}
"""


def test_inlined_frames(tool, tmp_path):
    """--inline is not for folded stacks only."""
    perf = needs.perf()
    (tmp_path / "work.c").write_text(INLINING)
    subprocess.run(["cc", "-g", "-O1", "-o", tmp_path / "work", tmp_path / "work.c"], check=True)
    run.run([perf, "record", "-q", "-e", "cpu-clock:u", "-o", tmp_path / "in",
             tmp_path / "work"]).ok()
    assert "inlined_work" not in frames(run.run([tool("pa2flame"), tmp_path / "in"]).ok().out)
    seen = frames(run.run([tool("pa2flame"), "--inline", tmp_path / "in"]).ok().out)
    assert seen["inlined_work"][2] < seen["main"][2]
