# SPDX-License-Identifier: GPL-2.0-only
"""The flame graph that the unit test `small` draws, byte for byte but for its script, and as XML.
"""
import os
import pathlib
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

EXPECTED = pathlib.Path(__file__).parent / "flame" / "small.svg"
SVG = "{http://www.w3.org/2000/svg}"


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


def test_golden(graph, request):
    before, rest = graph.split("<script>", 1)
    drawn = before + rest.split("</script>\n", 1)[1]
    if request.config.getoption("--update-golden"):
        EXPECTED.write_text(drawn, encoding="utf-8")
    assert drawn == EXPECTED.read_text(encoding="utf-8")


def test_script_is_whole(graph, top):
    script = ElementTree.fromstring(graph.encode()).find(f"{SVG}script")
    source = (top / "src" / "convert" / "flame.js").read_text(encoding="utf-8")
    assert script.text == "\n" + source
    assert "]]>" not in source


def test_nothing_is_fetched(graph):
    tree = ElementTree.fromstring(graph.encode())
    for element in tree.iter():
        assert element.tag.rsplit("}", 1)[1] not in ("image", "use", "link", "a", "iframe")
        assert not [name for name in element.attrib if name.endswith(("href", "src"))]
    assert "@import" not in graph and "url(" not in graph


def test_frames_stay_inside_their_parents(graph):
    tree = ElementTree.fromstring(graph.encode())
    above = []
    for frame in tree.find(f"{SVG}g[@class='frames']"):
        start, weight, level = map(int, frame.get("data-f").split())
        box = frame.find(f"{SVG}rect")
        left = float(box.get("x"))
        right = left + float(box.get("width"))
        del above[level:]
        assert len(above) == level
        if above:
            parent = above[-1]
            assert parent[0] <= start and start + weight <= parent[1]
            assert parent[2] - 0.01 <= left and right <= parent[3] + 0.01
        above.append((start, start + weight, left, right))
