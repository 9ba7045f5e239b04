"""The stability map as text and as a picture."""

from io import StringIO
from xml.etree import ElementTree

from rich.console import Console

from hwangso_tools.experiments.stability import Cell
from hwangso_tools.experiments.stability_picture import picture
from hwangso_tools.experiments.stability_report import as_figures, grids, sentences

FOUND = {
    Cell(False, 10.0, 0.5): 12.0,
    Cell(False, 10.0, 1.0): None,
    Cell(False, 300.0, 0.5): None,
    Cell(False, 300.0, 1.0): None,
    Cell(True, 10.0, 0.5): 11.0,
    Cell(True, 10.0, 1.0): 70.4,
    Cell(True, 300.0, 0.5): 30.0,
    Cell(True, 300.0, 1.0): 400.0,
}
SVG = "{http://www.w3.org/2000/svg}"


def test_a_grid_for_each_control() -> None:
    shown = StringIO()
    console = Console(file=shown, width=80)
    for grid in grids(FOUND):
        console.print(grid)
    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines()]
    rows = [line for line in lines if line and "─" not in line]
    assert rows == [
        "control off",
        "outage 50% 100%",
        "10 s 12 never",
        "5 min never never",
        "control on",
        "outage 50% 100%",
        "10 s 11 70",
        "5 min 30 400",
    ]


def test_sentences() -> None:
    assert sentences(FOUND) == [
        "Control off: the crowd came back in 1 of 4 cells, at the latest after 12 s.",
        "Control on: the crowd came back in 4 of 4 cells, at the latest after 6 min 40 s.",
    ]
    nobody = {Cell(False, 10.0, 1.0): None}
    assert sentences(nobody) == ["Control off: the crowd came back in 0 of 1 cells."]


def test_figures_for_a_file() -> None:
    cells = as_figures(FOUND)["cells"]
    assert isinstance(cells, list)
    assert len(cells) == 8
    assert cells[1] == {"control": "off", "duration_s": 10.0, "share": 1.0, "back_after_s": None}


def test_the_picture_is_an_svg_of_its_own_that_says_all_numbers() -> None:
    drawn = picture(FOUND, "two by two")
    assert "href" not in drawn
    root = ElementTree.fromstring(drawn)
    assert root.tag == f"{SVG}svg"
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts.count("never") == 3
    assert {"control off", "control on", "12", "70", "400", "50%", "5 min", "two by two"} <= {
        *texts
    }
    _, _, width, height = map(int, root.attrib["viewBox"].split())
    cells = [*root.iter(f"{SVG}rect")][1:]
    assert len(cells) == len(FOUND)
    for cell in cells:
        x, y, w, h = (int(cell.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 < x < x + w <= width
        assert 0 < y < y + h < height
    colours = [cell.attrib["fill"] for cell in cells]
    assert colours[1] == colours[2] == colours[3] != colours[0]
