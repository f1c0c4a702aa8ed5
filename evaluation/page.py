"""One HTML page that needs nothing beside it: styles, pictures and the few lines of script are in the file.

It is read from disk without a server, on narrow screens as well. All text is escaped.
"""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 60rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ccc }
img { max-width: 100%; height: auto; image-rendering: pixelated }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #eee; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
pre { overflow-x: auto; background: #f5f5f5; padding: .6rem; font-size: .8rem } input[type=range] { width: 100% }
.note { color: #666; font-size: .85rem }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } pre { background: #262626 }
  th, td, h2 { border-color: #444 } }
"""
SLIDER = """
document.querySelectorAll('.slider').forEach(function (box) {
  var frames = box.querySelectorAll('figure'), range = box.querySelector('input');
  function show() { frames.forEach(function (f, i) { f.hidden = i != range.value }) }
  range.addEventListener('input', show); show();
});
"""


def page(title: str, sections: Mapping[str, str]) -> str:
    """The document; sections: {heading: HTML}, empty ones are left out."""
    body = "".join(f"<h2>{html.escape(name)}</h2>\n{text}\n" for name, text in sections.items() if text)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{html.escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{html.escape(title)}</h1>\n{body}<script>{SLIDER}</script>\n"
        "</body>\n</html>\n"
    )


def paragraph(text: str, name: str = "") -> str:
    """Text as a paragraph; name: of its class."""
    return f'<p class="{name}">{html.escape(text)}</p>' if name else f"<p>{html.escape(text)}</p>"


def code(text: str) -> str:
    """Text as it is typed."""
    return f"<pre>{html.escape(text)}</pre>"


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows of {column: value} under the columns of all of them, in the order of their first appearance; "" for none."""
    if not rows:
        return ""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    lines = "".join("<tr>" + "".join(cell(row.get(name, "")) for name in columns) + "</tr>\n" for row in rows)
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{lines}</table></div>'


def cell(value: object) -> str:
    """A number to four digits, anything else as text."""
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    kind = ' class="number"' if isinstance(value, int) and not isinstance(value, bool) else ""
    return f"<td{kind}>{html.escape(str(value))}</td>"


def picture(png: bytes, caption: str = "") -> str:
    """A PNG within the page."""
    data = base64.b64encode(png).decode()
    text = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">{text}</figure>'


def slider(frames: Iterable[tuple[str, bytes]]) -> str:
    """Pictures (caption, PNG) of which a slider shows one, at first the last; all of them where scripts are off."""
    shown = [picture(png, caption) for caption, png in frames]
    if len(shown) < 2:
        return "".join(shown)
    last = len(shown) - 1
    control = f'<input type="range" min="0" max="{last}" value="{last}" aria-label="which picture">'
    return f'<div class="slider">{control}{"".join(shown)}</div>'
