"""Draws a Chart with plotly; nothing else here knows that library.

The page shows a figure by giving it, as plain data, to the library's own JavaScript, which
`library` is the source of. Colours are such that they can be read on white and on black; text, grid
and frame have those of the page, by its style sheet.
"""

from typing import Final, NamedTuple

import msgspec
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from hwangso_server.admission.stage import Stage
from hwangso_tools.report.charts import Chart, Hue, Line, Look, Panel, Scale

COLOURS: Final = {
    Hue.BACKGROUND: "#3b8ed0",
    Hue.FOREGROUND: "#e0820a",
    Hue.GOOD: "#2a9d77",
    Hue.PUT_OFF: "#8a7fd6",
    Hue.TROUBLE: "#d0559a",
    Hue.LIMIT: "#808080",
}
"""All have a contrast of 3 at least with white and with black; after Okabe and Ito, whose palette
people with any kind of sight can tell apart."""

DASHES: Final = {Look.DASHED: "dash", Look.DOTTED: "dot"}

CONFIG: Final[dict[str, object]] = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
    "plotlyServerURL": "",
    "responsive": True,
    "showSendToCloud": False,
}
"""What else `Plotly.newPlot` takes. Its own default has a button that uploads the chart."""

SYMBOLS: Final = {Look.DISCS: ("circle", 4), Look.DIAMONDS: ("diamond-open", 5)}
"""And their sizes in pixels."""

PLOT_HEIGHT_PX: Final = 260
LABEL_HEIGHT_PX: Final = 14
TITLE_HEIGHT_PX: Final = 24
BELOW_PX: Final = 70
"""For the axis and the legend."""

LEFT_PX: Final = 100
"""The same for all charts, so that their times stand below each other; `2 EMERGENCY` needs it."""

LABELS_MAX: Final = 5
"""Labels of marks, one above the other; where more of them meet, the rest have none."""

LABEL_SHARE: Final = 0.2
"""Of the width of a panel, for a label."""

NO_FIXED_COLOUR: Final = "rgba(0,0,0,0)"


def library() -> str:
    """The JavaScript that shows figures."""
    source: str = get_plotlyjs()
    return source


def figure(chart: Chart) -> dict[str, object]:
    """What `Plotly.newPlot` takes: `data` and `layout`."""
    columns = len(chart.panels)
    drawn = make_subplots(
        rows=1, cols=columns, shared_yaxes=True, shared_xaxes="all", horizontal_spacing=0.03
    )
    label_rows, named = _label_rows(chart), set[str]()
    for column, panel in enumerate(chart.panels, start=1):
        for line in panel.lines:
            trace = _trace(line, in_legend=line.name not in named)
            drawn.add_trace(trace, row=1, col=column)
            named.add(line.name)
        _draw_marks(drawn, panel, column)
        _draw_title(drawn, panel, column, label_rows)
    above = TITLE_HEIGHT_PX + label_rows * LABEL_HEIGHT_PX
    drawn.update_layout(
        template="none",
        height=PLOT_HEIGHT_PX + above + BELOW_PX,
        margin={"t": above, "b": BELOW_PX, "l": LEFT_PX, "r": 10},
        paper_bgcolor=NO_FIXED_COLOUR,
        plot_bgcolor=NO_FIXED_COLOUR,
        hovermode="x unified",
        modebar={"bgcolor": NO_FIXED_COLOUR, "color": COLOURS[Hue.LIMIT]},
        legend={"orientation": "h", "y": -0.24, "yanchor": "top"},
        showlegend=chart.scale is not Scale.STAGE,
    )
    for column, panel in enumerate(chart.panels, start=1):
        drawn.update_xaxes(
            title={"text": "minutes of the story", "standoff": 8},
            range=[_minutes(panel.shown_from_s), _minutes(panel.ends_s)],
            unifiedhovertitle={"text": "%{x:.2f} min"},
            zeroline=False,
            row=1,
            col=column,
        )
    _set_scale(drawn, chart)
    return msgspec.json.decode(drawn.to_json(), type=dict[str, object])


def _minutes(at_s: float) -> float:
    return round(at_s / 60, 6)


def _trace(line: Line, *, in_legend: bool) -> go.Scatter:
    colour = COLOURS[line.hue]
    trace = go.Scatter(
        name=line.name,
        x=[_minutes(at_s) for at_s in line.at_s],
        y=list(line.values),
        legendgroup=line.name,
        showlegend=in_legend,
    )
    if line.look in SYMBOLS:
        symbol, size = SYMBOLS[line.look]
        trace.update(mode="markers", marker={"symbol": symbol, "size": size, "color": colour})
        return trace
    dash = DASHES.get(line.look, "solid")
    trace.update(mode="lines", line={"color": colour, "shape": "hv", "width": 2, "dash": dash})
    if line.look in (Look.AREA, Look.HATCHED):
        trace.update(stackgroup="all", line={"width": 1})
    if line.look is Look.HATCHED:
        trace.update(fillpattern={"shape": "/", "fgcolor": colour, "size": 6})
    return trace


def _set_scale(drawn: go.Figure, chart: Chart) -> None:
    """`autorange` is asked for by name: where axes match others, plotly does not do it unasked."""
    drawn.update_yaxes(zeroline=False)
    if chart.scale is not Scale.STAGE:
        drawn.update_yaxes(title_text=chart.unit, row=1, col=1)
    match chart.scale:
        case Scale.LINEAR:
            drawn.update_yaxes(rangemode="tozero", autorange=True)
        case Scale.LOGARITHMIC:
            drawn.update_yaxes(
                type="log", dtick=1, tickformat=",~f", hoverformat=".3g", autorange=True
            )
        case Scale.SHARE:
            drawn.update_yaxes(range=[0, 1.02], tickformat=".0%")
        case Scale.STAGE:
            drawn.update_yaxes(
                range=[-0.3, max(Stage) + 0.3],
                tickvals=[stage.value for stage in Stage],
                ticktext=[f"{stage.value} {stage.name}" for stage in Stage],
            )


# Marks


class _Label(NamedTuple):
    """Where the label of a mark stands."""

    level: int
    """0 is next to the chart; LABELS_MAX: nowhere."""
    anchor: str
    """`right`: it ends at the mark, for the panel does. Or it begins there: `left`."""


def _labels(panel: Panel) -> list[_Label]:
    """So that no two labels of a panel meet; one for each mark."""
    width_s = LABEL_SHARE * (panel.ends_s - panel.shown_from_s)
    free_from_s = [panel.shown_from_s] * LABELS_MAX
    labels = []
    for mark in panel.marks:
        ends_early = mark.at_s + width_s > panel.ends_s
        from_s = mark.at_s - width_s if ends_early else mark.at_s
        free = (level for level, at_s in enumerate(free_from_s) if at_s <= from_s)
        level = next(free, LABELS_MAX)
        if level < LABELS_MAX:
            free_from_s[level] = from_s + width_s
        labels.append(_Label(level, "right" if ends_early else "left"))
    return labels


def _label_rows(chart: Chart) -> int:
    """So many levels are in use."""
    labels = (label for panel in chart.panels for label in _labels(panel))
    return min(LABELS_MAX, 1 + max((label.level for label in labels), default=0))


def _axis(column: int) -> str:
    """As plotly names the horizontal axis of a panel."""
    return "x" if column == 1 else f"x{column}"


def _draw_marks(drawn: go.Figure, panel: Panel, column: int) -> None:
    for mark, label in zip(panel.marks, _labels(panel), strict=True):
        drawn.add_vline(
            x=_minutes(mark.at_s),
            line={"color": COLOURS[Hue.LIMIT], "width": 1},
            row=1,
            col=column,
            exclude_empty_subplots=False,
        )
        if label.level < LABELS_MAX:
            drawn.add_annotation(
                text=mark.name,
                x=_minutes(mark.at_s),
                xref=_axis(column),
                xanchor=label.anchor,
                y=1,
                yref="paper",
                yanchor="bottom",
                yshift=label.level * LABEL_HEIGHT_PX,
                font={"size": 11},
                showarrow=False,
            )


def _draw_title(drawn: go.Figure, panel: Panel, column: int, label_rows: int) -> None:
    drawn.add_annotation(
        text=f"<b>{panel.title}</b>",
        x=0,
        xref=f"{_axis(column)} domain",
        xanchor="left",
        y=1,
        yref="paper",
        yanchor="bottom",
        yshift=label_rows * LABEL_HEIGHT_PX,
        showarrow=False,
    )
