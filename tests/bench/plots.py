"""Plots as SVG text."""
import math
import xml.sax.saxutils

import summary

WIDTH = 760
LABEL_WIDTH = 150
FIGURE_WIDTH = 110
ROW = 30
TOP = 46
STYLE = """\
text { font: 13px sans-serif; fill: #24292f; }
.title { font-weight: bold; font-size: 15px; }
.unit { fill: #57606a; font-size: 12px; }
.bar { fill: #8c959f; }
.bar.ours { fill: #0969da; }
.range { stroke: #24292f; stroke-width: 1.5; }
"""


def _text(x, y, text, kind="", anchor="start"):
    return '<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>' % (
        x, y, anchor, ' class="%s"' % kind if kind else "", xml.sax.saxutils.escape(text))


def bars(title, unit, rows, ours=("durable", "memory", "noop")):
    """Horizontal bars. `rows` are (name, lowest, median, highest); the bar is the median, the line
    across its end the range of the runs."""
    present = [r for r in rows if r[2] is not None]
    top = max([r[3] for r in present], default=1) or 1
    least = min([r[1] for r in present if r[1]], default=top)
    logarithmic = top / least > 200
    space = WIDTH - LABEL_WIDTH - FIGURE_WIDTH
    floor = least / 3

    def width(value):
        if logarithmic:
            return space * max(0, math.log(max(value, floor) / floor)) / math.log(top / floor)
        return space * value / top

    scale = ", logarithmic" if logarithmic else ""
    parts = [_text(8, 20, title, "title"), _text(8, 36, unit + scale, "unit")]
    for i, (name, low, middle, high) in enumerate(rows):
        y = TOP + i * ROW
        parts.append(_text(LABEL_WIDTH - 8, y + 17, name, anchor="end"))
        if middle is None:
            parts.append(_text(LABEL_WIDTH, y + 17, "not measured", "unit"))
            continue
        kind = "bar ours" if name in ours else "bar"
        parts.append('<rect class="%s" x="%d" y="%d" width="%.2f" height="%d"/>' % (
            kind, LABEL_WIDTH, y + 3, width(middle), ROW - 10))
        parts.append('<line class="range" x1="%.2f" x2="%.2f" y1="%d" y2="%d"/>' % (
            LABEL_WIDTH + width(low), LABEL_WIDTH + width(high), y + ROW // 2 - 2,
            y + ROW // 2 - 2))
        parts.append(_text(LABEL_WIDTH + width(max(high, middle)) + 8, y + 17,
                           summary.figure(middle)))
    height = TOP + len(rows) * ROW + 8
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">\n'
            "<style>%s</style>\n%s\n</svg>\n") % (WIDTH, height, WIDTH, height, STYLE,
                                                  "\n".join(parts))
