"""The names that scenarios and results files share with the figures."""

from dataclasses import fields

from hwangso_tools.storm.figures import StormFigures
from hwangso_tools.storm.names import FigureName
from hwangso_tools.storm.report import LABELS


def test_each_name_is_that_of_a_figure_and_the_other_way_round() -> None:
    assert {name.value for name in FigureName} == {field.name for field in fields(StormFigures)}


def test_each_has_a_label_for_people_of_its_own() -> None:
    assert set(LABELS) == set(FigureName)
    assert len(set(LABELS.values())) == len(FigureName)
