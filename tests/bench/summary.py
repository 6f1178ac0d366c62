"""Figures of several runs: medians, spreads, ratios, tables."""
import statistics


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def ratio_median(above, below):
    """The median of the ratios of runs that stood next to each other, which a machine that gets
    slower or faster meanwhile distorts less than the ratio of the medians."""
    pairs = [(a, b) for a, b in zip(above, below) if a is not None and b]
    return median([a / b for a, b in pairs])


def spread(values):
    """(lowest, median, highest)."""
    values = [v for v in values if v is not None]
    return (min(values), statistics.median(values), max(values)) if values else (None,) * 3


def figure(value, unit=""):
    """A number as people read it: 3 significant digits, thousands apart."""
    if value is None:
        return "–"
    if value == 0:
        return "0" + unit
    if abs(value) >= 100:
        return "{:,.0f}".format(value).replace(",", " ") + unit
    digits = 2 if abs(value) < 10 else 1
    if abs(value) < 0.1:
        digits = 3
    return "%.*f" % (digits, value) + unit


def table(head, rows):
    """Markdown; the first column stands left, the others right."""
    lines = ["| " + " | ".join(head) + " |",
             "|" + "---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


class Verdicts:
    """Bars checked one after the other: each has a line, all together a verdict."""

    def __init__(self):
        self.failed = []
        self.parts = []
        self.rows = []  # [name, wanted, seen]

    def check(self, name, value, low=None, high=None, unit="x"):
        good = value is not None and (low is None or value >= low) and (
            high is None or value <= high)
        wanted = ">= %g" % low if low is not None else "<= %g" % high
        print("%s: %s (wanted %s%s) %s" % (name, figure(value, unit), wanted, unit,
                                           "pass" if good else "FAIL"), flush=True)
        self.rows.append([name, wanted + unit, figure(value, unit) + ("" if good else ": missed")])
        self.parts.append("%s %s%s" % (name, figure(value, unit), "" if good else "!"))
        if not good:
            self.failed.append(name)
        return good

    def finish(self):
        """Prints the figure; the exit code."""
        print("; ".join(self.parts), flush=True)
        return 1 if self.failed else 0
