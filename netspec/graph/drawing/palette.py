"""The stylesheet in the SVG, with the colors of a drawing. Its rules apply inside the drawing alone."""

from __future__ import annotations

# By kind, (front, top, side, edge) in the light theme, then in the dark one. Many viewers of SVG lack CSS variables.
COLORS = {
    "input": (("#cfd6df", "#e8ecf1", "#aeb8c5", "#56606e"), ("#59636f", "#748090", "#444d58", "#a9b4c2")),
    "conv": (("#8db4ea", "#c3d9f6", "#6490cf", "#264f8c"), ("#35598f", "#4d77b6", "#28456f", "#9dc1f5")),
    "pool": (("#98d3c2", "#cdeae2", "#6cb39f", "#21695a"), ("#2c6a5b", "#418b79", "#215045", "#8fd8c4")),
    "dense": (("#f3c583", "#fae3c0", "#dba45a", "#8a5a12"), ("#8a6226", "#ad8040", "#694a1c", "#f1c888")),
    "merge": (("#ffffff", "#ffffff", "#ffffff", "#4a5361"), ("#20262e", "#20262e", "#20262e", "#b8c2cf")),
    "other": (("#cdbfe6", "#e5dcf3", "#ab98cf", "#5b4590"), ("#574780", "#7261a0", "#433663", "#c6b6ec")),
}
INK = (("#1c232b", "#5a6573", "#7b8794"), ("#e9eef4", "#a3afbd", "#8794a3"))  # names, facts, lines


def _theme(index: int) -> list[str]:
    rules = []
    for kind, themes in COLORS.items():
        front, top, side, edge = themes[index]
        scope = f".netspec-graph .{kind}"
        rules += [f"{scope} .front{{fill:{front}}}", f"{scope} .top{{fill:{top}}}", f"{scope} .side{{fill:{side}}}"]
        rules.append(f"{scope} :is(.front,.top,.side){{stroke:{edge}}}")
    strong, soft, line = INK[index]
    rules += [
        f".netspec-graph text{{fill:{soft}}}",
        f".netspec-graph :is(.name,.sign,.times){{fill:{strong}}}",
        f".netspec-graph :is(.line,.bracket){{stroke:{line}}}",
        f".netspec-graph .arrow{{fill:{line}}}",
        f".netspec-graph .ray{{stroke:{strong}}}",
        f".netspec-graph .window{{stroke:{strong};fill:{strong}}}",
        f".netspec-graph .tip{{fill:{strong}}}",
        f".netspec-graph .fan{{fill:{COLORS['dense'][index][2]};stroke:{COLORS['dense'][index][3]}}}",
    ]
    return rules


STYLESHEET = "\n".join(
    [
        ".netspec-graph{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}",
        ".netspec-graph text{font-size:11px;text-anchor:middle;stroke:none}",
        ".netspec-graph .name{font-weight:600}",
        ".netspec-graph .share{font-size:10px}",
        ".netspec-graph .key{text-anchor:start}",
        ".netspec-graph .sign{font-weight:500}",
        ".netspec-graph .times{font-weight:600;font-size:12px}",
        ".netspec-graph :is(.front,.top,.side){stroke-width:.9;stroke-linejoin:round}",
        ".netspec-graph :is(.line,.bracket){fill:none;stroke-width:1.2}",
        ".netspec-graph .ray{stroke-width:.7;stroke-dasharray:2 2;opacity:.75}",
        ".netspec-graph .window{stroke-width:.8;fill-opacity:.12}",
        ".netspec-graph .fan{fill-opacity:.16;stroke-width:.5;stroke-opacity:.5}",
        *_theme(0),
        "@media screen and (prefers-color-scheme:dark){",
        *_theme(1),
        "}",
    ]
)
