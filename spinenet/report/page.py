"""One offline page: the answer and its figures, every dendrite, every table, how it was made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from spinenet.report.captions import CAPTIONS
from spinenet.report.figures import FATE_COLOURS, as_bytes, inline
from spinenet.tables import RESULTS
from spinenet.types import Analysis

SHOWN_ROWS = 200


@dataclass(frozen=True)
class DendriteMap:
    """A dendrite's picture over its sessions."""

    title: str
    figure: Figure


TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>spinenet: {{ title }}</title>
<style>
 body{font:15px/1.5 system-ui,sans-serif;color:#1c2733;max-width:1180px;margin:0 auto;padding:24px}
 h1{font-size:24px;margin:0 0 4px} h2{font-size:18px;margin:34px 0 8px;border-bottom:1px solid #d7dde3}
 h3{font-size:15px;margin:18px 0 4px} .caption{max-width:46em;margin:2px 0 14px;font-size:12px;color:#555} .numbers{display:flex;flex-wrap:wrap;gap:12px;margin:18px 0}
 .number{background:#f2f5f8;border-radius:8px;padding:10px 16px;min-width:150px}
 .number b{display:block;font-size:22px} .number span{color:#5a6875;font-size:13px}
 table{border-collapse:collapse;font-size:12.5px;margin:8px 0;display:block;overflow-x:auto;max-height:420px}
 th,td{padding:3px 9px;text-align:right;border-bottom:1px solid #e6ebef;white-space:nowrap}
 th{position:sticky;top:0;background:#fff;text-align:right} td.text,th.text{text-align:left}
 svg{max-width:100%;height:auto} .legend span{margin-right:16px} .dot{display:inline-block;width:10px;height:10px;
 border-radius:50%;margin-right:5px} .warn{background:#fff4e0;border-left:4px solid #ff9f1c;padding:8px 14px;margin:8px 0}
 .fine{background:#e9f7ee;border-left:4px solid #2a9d4a;padding:8px 14px;margin:8px 0}
 details{margin:6px 0} summary{cursor:pointer} p.small{color:#5a6875;font-size:13px}
</style></head><body>
<h1>{{ title }}</h1>
<p class="small">{{ subtitle }}</p>
<div class="numbers">{% for n in numbers %}<div class="number"><b>{{ n.value }}</b>{{ n.name }}<br><span>{{ n.note }}</span></div>{% endfor %}</div>
{% if verdict %}<div class="{{ 'warn' if doubtful else 'fine' }}">{{ verdict }}</div>{% endif %}
{% for w in warnings %}<div class="warn">{{ w }}</div>{% endfor %}
<h2>Figures</h2>
{% for f in figures %}<h3>{{ f.title }}</h3>{{ f.svg | safe }}<p class=caption>{{ f.text }}</p>{% endfor %}
{% if maps %}<h2>Dendrites</h2>
<p class="small legend">{% for name, colour in fates.items() %}<span><i class="dot" style="background:{{ colour }}"></i>{{ name }}</span>{% endfor %}
 New ones keep their colour when they go again. Filled: seen. Ring: looked for and not there. ?: could not be scored. ×: out of view. Grey: hidden, or never seen.</p>
{% for m in maps %}<h3>{{ m.title }}</h3>{{ m.svg | safe }}{% endfor %}{% endif %}
<h2>Tables</h2>
{% for t in tables %}<details{% if t.open %} open{% endif %}><summary><b>{{ t.file }}</b>: {{ t.rows }} rows, one per {{ t.row }}</summary>
<table><thead><tr>{% for c in t.columns %}<th{% if c.text %} class="text"{% endif %}>{{ c.name }}</th>{% endfor %}</tr></thead>
<tbody>{% for r in t.body %}<tr>{% for v in r %}<td{% if t.columns[loop.index0].text %} class="text"{% endif %}>{{ v }}</td>{% endfor %}</tr>{% endfor %}</tbody></table>
{% if t.rows > shown %}<p class="small">The first {{ shown }} rows; all are in {{ t.file }}.</p>{% endif %}</details>{% endfor %}
<h2>Methods</h2>
{% for p in methods %}<p>{{ p }}</p>{% endfor %}
<h2>What every column means</h2>
{% for t in glossary %}<details><summary><b>{{ t.file }}</b>: one row per {{ t.row }}</summary><table>
{% for c in t.columns %}<tr><td class="text"><b>{{ c.name }}</b></td><td class="text">{{ c.meaning }}</td></tr>{% endfor %}</table></details>{% endfor %}
</body></html>
"""


def make_page(
    title: str,
    subtitle: str,
    analysis: Analysis,
    tables: Mapping[str, pd.DataFrame],
    pictures: tuple[Mapping[str, str], Sequence[DendriteMap]],
    notes: tuple[Sequence[str], Sequence[str]],
) -> str:
    """The page as text.

    Parameters
    ----------
    tables: by file name; shown are the columns that are written
    pictures: figures (name to SVG) and the dendrites' maps
    notes: warnings and the paragraphs of the methods
    """
    figures, maps = pictures
    warnings, methods = notes
    page = jinja2.Environment(autoescape=True).from_string(TEMPLATE)
    return page.render(
        title=title,
        subtitle=subtitle,
        numbers=five_numbers(analysis),
        verdict=analysis.verdict,
        doubtful=_doubtful(analysis),
        warnings=warnings,
        fates=FATE_COLOURS,
        maps=[{"title": m.title, "svg": inline(as_bytes(m.figure, "svg"))} for m in maps],
        figures=[
            {"title": CAPTIONS[name][0], "text": CAPTIONS[name][1], "svg": svg}
            for name, svg in figures.items()
        ],
        tables=[
            _shown(t.file, t.row, t.conform(tables[t.file])[list(t.names)])
            for t in RESULTS
            if t.file in tables
        ],
        shown=SHOWN_ROWS,
        methods=methods,
        glossary=[t for t in RESULTS if t.file in tables],
    )


JUDGED_ON = re.compile(r"on (\d+ of \d+ dendrites).*, of whose new spines ([\d.]+ %) are clustered")
"""In the words of `test`: chance was told of a part of the dendrites."""


def _doubtful(analysis: Analysis) -> bool:
    stats = analysis.statistics
    return bool((stats.loc[stats["name"] == "quality_reasons", "estimate"] > 0).any())


def five_numbers(analysis: Analysis) -> list[dict[str, str]]:
    """The numbers that matter, per group: spines, formation, elimination, clusters, survival."""
    out = []
    stats = analysis.statistics
    alone = stats[stats["group_b"] == ""]
    per = _length(analysis.intervals)
    for group in sorted(alone.loc[alone["name"] == "formation", "group"].unique()):
        of = alone[alone["group"] == group].set_index("name")
        suffix = f" ({group})" if group else ""
        for name, label in (
            ("formation", f"formed per interval{per}"),
            ("elimination", f"eliminated per interval{per}"),
            ("clustered_fraction_contiguous", "of new spines clustered"),
            ("survival_clustered", "of clustered new spines survive"),
            ("survival_non_clustered", "of other new spines survive"),
        ):
            row = of.loc[name]
            out.append(
                {"name": label + suffix, "value": _percent(row["estimate"]), "note": _note(row)}
            )
    return out


def _length(intervals: pd.DataFrame) -> str:
    """How long intervals are, as part of a sentence."""
    days = (intervals["day_to"] - intervals["day_from"]).dropna()
    if days.empty:
        return ""
    shortest, longest = f"{days.min():g}", f"{days.max():g}"
    span = shortest if shortest == longest else f"{shortest} to {longest}"
    return f" of {span} days" if span != "1" else " of 1 day"


def _percent(value: float) -> str:
    return "n/a" if pd.isna(value) else f"{100 * value:.1f} %"


def several(n: int, what: str) -> str:
    """So many of something, one of which is single."""
    return f"{n} {what}{'s' * (n != 1)}"


def _note(row: pd.Series) -> str:
    if pd.isna(row["estimate"]) and row["test"]:
        return str(row["test"])
    parts = []
    if pd.notna(row["n_animals"]) and pd.notna(row["n_spines"]):
        animals, spines = int(row["n_animals"]), int(row["n_spines"])
        parts.append(f"n = {several(spines, 'spine')}, {several(animals, 'animal')}")
    if pd.notna(row["ci_low"]):
        counted = row["ci_low"] <= row["estimate"] <= row["ci_high"]
        which = "95 %" if counted else "95 %, the machine's likely mistakes put right"
        parts.append(f"{which}: {100 * row['ci_low']:.0f} to {100 * row['ci_high']:.0f} %")
    if pd.notna(row["null_mean"]):
        part = JUDGED_ON.search(str(row["test"]))
        by_chance = f"by chance {_percent(row['null_mean'])}, P = {row['p_value']:.3g}"
        # where chance is of a part of them, it stands beside the share of that part
        parts.append(f"on {part[1]} {part[2]}, {by_chance}" if part else by_chance)
    elif str(row.name).startswith(("clustered_fraction", "survival_")):
        parts.append(str(row["test"]))
    return "; ".join(parts)


def _shown(file: str, row: str, frame: pd.DataFrame) -> dict[str, object]:
    text = [not pd.api.types.is_numeric_dtype(frame[c]) for c in frame]
    return {
        "file": file,
        "row": row,
        "rows": len(frame),
        "open": file in ("review.csv", "statistics.csv"),
        "columns": [{"name": c, "text": t} for c, t in zip(frame, text, strict=True)],
        "body": [[_cell(v) for v in r] for r in frame.head(SHOWN_ROWS).itertuples(index=False)],
    }


def _cell(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
