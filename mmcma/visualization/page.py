"""One page of HTML that needs nothing else: no script, no network, images inside."""
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from string import Template

#: Of right and wrong answers, here and in images.
RIGHT, WRONG = '#2f9e55', '#d64545'

_PAGE = Template('''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { --ink: #26323f; --soft: #67788a; --line: #e3e8ee; --right: $right; --wrong: $wrong; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f7f9; color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 16px 56px; }
h1 { font-size: 1.65rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.1rem; margin: 0 0 10px; }
header p, .note { color: var(--soft); margin: 4px 0 0; font-size: .92rem; }
section { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 20px; margin-top: 18px; }
img { display: block; max-width: 100%; height: auto; }
.chip { display: inline-block; border-radius: 99px; padding: 1px 10px; margin-right: 6px; font-size: .8rem;
  background: #eef2f6; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 5px 18px; margin: 0;
  font-size: .92rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
$style
@media (max-width: 560px) {
  section { padding: 16px 14px; }
  h1 { font-size: 1.3rem; overflow-wrap: anywhere; }
}
</style>
</head>
<body>
<main>
<header><h1>$title</h1><p>$subtitle</p></header>
$body
</main>
</body>
</html>
''')


def html_page(title: str, subtitle: str, body: str, style: str) -> str:
    """The page; ``body`` is HTML and ``style`` CSS, the others are text."""
    return _PAGE.substitute(title=escape(title), subtitle=escape(subtitle), body=body, style=style, right=RIGHT,
                            wrong=WRONG)


def embedded_image(data: bytes, kind: str, description: str) -> str:
    """``<img>`` with the image inside; ``kind`` is ``'png'`` or ``'jpeg'``."""
    return f'<img alt="{escape(description)}" src="data:image/{kind};base64,{b64encode(data).decode()}">'


def definitions(facts: Mapping[str, str]) -> str:
    """``<dl>`` of names and what they are."""
    return '<dl>' + ''.join(f'<dt>{escape(key)}</dt><dd>{escape(value)}</dd>' for key, value in facts.items()) + '</dl>'
