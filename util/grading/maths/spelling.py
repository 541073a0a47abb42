"""Which spellings of an answer mean the same?

Call `clean`: it brings them to one.
"""

from __future__ import annotations

import re
import unicodedata

from util.grading.maths.tree import MAX_CHARS

TEXT_COMMANDS = "text|mbox|textbf|textit|textrm|textnormal|textsf|texttt|hbox|emph"  # what they hold is words
ROMAN_COMMANDS = r"mathrm|operatorname\*?|mathnormal|rm"  # what they hold may be words or maths
_UNICODE = {
    "−": "-", "–": "-", "—": "-", "﹣": "-", "－": "-", "‐": "-", "‑": "-", "‒": "-", "―": "-", "＋": "+",
    "×": r"\times ", "✕": r"\times ",
    "⋅": r"\cdot ", "·": r"\cdot ", "∙": r"\cdot ", "•": r"\cdot ", "∗": "*", "＊": "*",
    "÷": r"\div ", "∕": "/",
    "⁄": "/", "／": "/", "＝": "=", "≠": r"\ne ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ",
    "⩾": r"\ge ", "≦": r"\le ",
    "≧": r"\ge ", "＜": "<", "＞": ">", "≈": r"\approx ", "≡": r"\equiv ", "±": r"\pm ",
    "≢": r"\nequiv ", "¢": " cents", "∘": r"\circ ", "∓": r"\mp ", "∞": r"\infty ",
    "π": r"\pi ", "𝜋": r"\pi ", "𝝅": r"\pi ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∉": r"\notin ",
    "∅": r"\emptyset ", "∖": r"\setminus ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}",
    "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "√": r"\sqrt ", "∛": r"\sqrt[3]",
    "∜": r"\sqrt[4]", "°": r"^\circ ",
    "º": r"^\circ ", "˚": r"^\circ ", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"',
    "″": "''", "∠": r"\angle ",
    "（": "(", "）": ")", "［": "[", "］": "]", "｛": r"\{", "｝": r"\}", "，": ",", "、": ",",
    "；": ";", "：": ":", "∶": ":",
    "。": ".", "．": ".", "％": "%", "﹪": "%",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "⟨": r"\langle ", "⟩": r"\rangle ", "…": r"\ldots ",
    "⋯": r"\ldots ", "∀": r"\forall ", "∃": r"\exists ", "ℯ": "e", "ⅇ": "e", "ⅈ": "i", "𝑖": "i", "𝑒": "e",
    "𝑥": "x", "𝑦": "y", "ℓ": r"\ell ",
    "∣": "|", "｜": "|", "∥": "|", "→": r"\to ", "⇒": r"\Rightarrow ", "∧": r"\land ", "∨": r"\lor ",
}  # fmt: skip
_UNICODE.update(dict.fromkeys("✓✔✅☑🎉￥¥€£₹\u00ad\u061c\u180e\ufe0e\ufe0f\ufeff", ""))
_UNICODE.update(
    {
        chr(code): ""
        for a, b in ((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x2069))
        for code in range(a, b + 1)
    }
)
_UNICODE.update({chr(code): " " for code in (0xA0, *range(0x2002, 0x200B), 0x202F, 0x3000)})
for _fraction in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒":
    _top, _bottom = unicodedata.normalize("NFKC", _fraction).split("\u2044")
    _UNICODE[_fraction] = rf"\frac{{{_top}}}{{{_bottom}}}"
GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau"
    " upsilon phi chi psi omega"
).split()
_OTHER_GREEK = "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega phi epsilon theta".split()
for _letter, _name in zip("αβγδεζηθικλμνξοπρστυφχψωΓΔΘΛΞΠΣΦΨΩϕϵϑ", (*GREEK, *_OTHER_GREEK), strict=True):
    _UNICODE[_letter] = f"\\{_name} "
_ZEROS = (0xFF10, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x0660, 0x06F0, 0x0966)  # other decimal digits
for _zero in _ZEROS:
    _UNICODE.update({chr(_zero + digit): str(digit) for digit in range(10)})
for _offset in range(26):  # full-width letters
    _UNICODE[chr(0xFF21 + _offset)] = chr(65 + _offset)
    _UNICODE[chr(0xFF41 + _offset)] = chr(97 + _offset)
_TRANSLATE = str.maketrans(_UNICODE)
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱˣᵏᵐ", "0123456789+-()nixkm", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙᵢₓₖₘ", "0123456789+-()nixkm", strict=True))
_RAISED = re.compile("[" + "".join(_SUPERSCRIPTS) + "]+")
_LOWERED = re.compile("[" + "".join(_SUBSCRIPTS) + "]+")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]+")

_HTML = ((re.compile(r"<sup>(.{0,80}?)</sup>"), r"^{\1}"), (re.compile(r"<sub>(.{0,80}?)</sub>"), r"_{\1}"))
_ENTITIES = {
    "&lt;": "<", "&gt;": ">", "&le;": r"\le ", "&ge;": r"\ge ", "&nbsp;": " ", "&amp;": "&", "&pi;": r"\pi "
}  # fmt: skip

# Spacing and size commands that say nothing; \\ (a row break) is kept.
_NOISE = re.compile(
    r"(\\\\)(?:\[[-\d.a-z]{1,8}\])?"
    r"|\\(?:[!,;:> ()\[\]]|(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|scriptstyle|"
    r"limits|nolimits|quad|qquad|"
    r"hspace\*?\{[^{}]{0,20}\}|phantom\{[^{}]{0,20}\}|thinspace|enspace|hfill|mathstrut|strut|middle|"
    r"tiny|small|normalsize|large|Large|LARGE|huge|Huge|boldsymbol|mathbf|mathit|mathsf|mathcal|mathfrak|mathscr|bm|bf|it|rm|"
    r"underline|mathop|mathrel|ensuremath|unicode|"
    r"tag\*?\{[^{}]{0,20}\}|(?:text)?color\s*\{[^{}]{0,20}\}|checkmark|blacksquare|qed)(?![a-zA-Z]))"
    r"|\\([dtcsx]frac|nicefrac|flatfrac)(?![a-zA-Z])"
    r"|\\\$|\$|~"
)
_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z(){}\[\]!$%])")
_BARE_RECURRING = re.compile(r"(?<!\d)\.(?=\\(?:overline|bar|dot)\b)")
_CONSTANT = re.compile(r"\bC(\d)\b")
_ROUGHLY = re.compile(
    r"^(?:\\(?:approx(?:eq)?|sim(?:eq)?(?!\s*[a-zA-Z](?![a-zA-Z]))|cong)(?![a-z])|\\text\{\s*(?:about|approximately|roughly|only)\s*\}|about\b|approximately\b)\s*|\s*\(approx\w*\)$"
)
_POUNDS = re.compile(r"\\pounds\b\s*")
_DECIMAL_COMMA_CERTAIN = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d{2}|-)(?!\d)")  # 2.350,00
_TEMPERATURE = re.compile(
    r"(?:\^\s*\{?\s*\\circ\s*\}?\s*(?:\\(?:text|mathrm|rm)\s*\{\s*)?|(?:\\text\s*\{\s*)?\bdegrees?\s+)"
    r"([CF])(?:elsius|ahrenheit)?\b\s*\}?(?=\s*$)",
    re.IGNORECASE,
)
_INDEXED = re.compile(r"(?<![\w\\}^])([a-zA-Z])(\d)(?=\s*=)")  # x1 = 2
_IMAGINARY = re.compile(r"(?<=\*)I\b|(?<!\w)I(?=\*)")  # as sympy prints it
_DISPLAY = re.compile(
    r"\\begin\s*\{((?:equation|displaymath|math|gather|align|aligned)\*?)\}(.*)\\end\s*\{\1\}"
)
_LARGE_CHINESE = re.compile(r"(?<=\d)\s?(?:\\text\s?\{\s?)?([万亿])")
_CHINESE_UNIT = re.compile(
    r"(?<=[\d})])\s*(?:\\text\s*\{\s*)?(?![^}]{0,12}[不或和否与至])[\u4e00-\u9fff]{1,8}(?:\s*\})?\s*[.。]?$"
)
CHINESE_UNITS = {
    "米": " meters", "千米": " km", "公里": " km", "厘米": " cm", "毫米": " mm", "克": " grams",
    "千克": " kg",
    "公斤": " kg",
    "秒": " seconds", "分钟": " minutes", "小时": " hours", "天": " days", "升": " liters", "毫升": " mL",
    "吨": " tonnes",
}  # fmt: skip
_NOT_CHINESE = re.compile("[^\u4e00-\u9fff]")
_PROGRAM = re.compile(r"^(?:Interval|Union|Eq|Matrix|FiniteSet)\b")
_INTERVAL = re.compile(r"Interval(?:\.(open|Lopen|Ropen))?\(((?:[^()]|\([^()]*\))*)\)")
_ENDS = {None: "[]", "open": "()", "Lopen": "(]", "Ropen": "[)"}
_NEXT_SET = re.compile(r"(?<=[)\]}]), (?=[(\[{])")
_STYLED = re.compile("[\U0001d400-\U0001d7ff]+")  # letters and digits in bold, italic, script
_CIRCLED = re.compile("[\u2460-\u2473]\\s*[,，、]?")
_ESCAPES = {"\f": "\\f", "\b": "\\b", "\t": "\\t", "\r": "\\r"}
_SWALLOWED = re.compile("\f(?:rac|box)|\b(?:oxed|inom|egin|ar)\\b|\t(?:ext|imes|frac|heta)|\r(?:ight|angle)")
_TAGS = re.compile(r"</?(?:b|i|u|em|p|strong|span|answer|div|br)\s*/?>", re.IGNORECASE)
_QUOTES = frozenset("\"'`*_")
_QUOTED = re.compile(r"""(["'`*_])\1{0,2}([^"'`*]+)\1{1,3}""")
_ORDINAL = re.compile(r"(?<=\d)\s*\^\s*\{?\s*\\(?:text|mathrm|rm)\s*\{\s*(st|nd|rd|th)\s*\}\s*\}?")
_GLUED = re.compile(r"\\q?quad(?=[a-zA-Z])")
_GROUPED_TIGHT = re.compile(r"(?<=\d)(?:\s*,\s*\\!\s*|\\!\s*,\s*|\{,\}(?:\\!)?|\{\\,\})(?=\d{3}(?!\d))")
_GROUPED_LOOSE = re.compile(r"(?<![\d.,])(\d{1,3}(?:(?:\\[,;: ]|~| |'|_)\d{3})+)(?![\d]|\.\d*,|\s*/)")
_DECIMAL_COMMA = re.compile(r"(?<=\d)\{,\}(?=\d)")
_MIXED_SPACED = re.compile(r"(?<![\d.,/^_}\\])(\d{1,9})(?:\\[ ,;:]|\s|~)+(\d{1,9})\s*/\s*(\d{1,9})(?![\d.])")
_WRAPPER = re.compile(r"\\f?boxed\s*\{|\\framebox\s*\{|\\fbox\s*\{")
_SPACES = re.compile(r"\s+")


def _noise(match: re.Match) -> str:
    if match.group(1):
        return "\\\\"
    if match.group(2):
        return r"\frac"
    return " " if match.group(0) not in (r"\$", r"\!") else ""


def mended(text: str) -> str:
    """LaTeX whose backslashes a program took for control characters: form feed and "rac" is a fraction."""
    if "\f" in text or "\b" in text or "\t" in text or "\r" in text:
        text = _SWALLOWED.sub(lambda match: _ESCAPES[match.group()[0]] + match.group()[1:], text)
    return text


def clean(text: str) -> str:
    """`text` without the differences in spelling that carry no meaning."""
    text = _without_marks(_in_plain_signs(mended(text[:MAX_CHARS])))
    text = _SPACES.sub(" ", text).strip()
    if r"\bigcup" in text and r"\bigcup_" not in text:
        text = text.replace(r"\bigcup", r"\cup ")
    if "pounds" in text:
        text = _POUNDS.sub("", text)
    if "," in text and "." in text:
        text = _DECIMAL_COMMA_CERTAIN.sub(
            lambda m: f"{m[1].replace('.', '')}.{m[2].replace('-', '00')}", text
        )
    text = _in_one_notation(text.lstrip("# ") if text[:1] == "#" else text)
    text = _unwrapped(_ROUGHLY.sub("", text))
    while text and text[-1] in ".,;:\\" and not text.endswith(("...", "\\\\")):
        text = text[:-1].rstrip()
    return text.lstrip("=:,; ") if text[:1] in "=:,; " else text


def _in_plain_signs(text: str) -> str:
    """Unicode signs as LaTeX writes them, HTML taken off."""
    if not text.isascii():
        text = _RAISED.sub(lambda m: "^{" + "".join(_SUPERSCRIPTS[c] for c in m.group()) + "}", text)
        text = _LOWERED.sub(lambda m: "_{" + "".join(_SUBSCRIPTS[c] for c in m.group()) + "}", text)
        text = re.sub("(\\d)((?:\u0305|\u0304))", r"\\overline{\1}", text)  # combining overline
        text = re.sub("(\\d)\u0307", r"\\dot{\1}", text)
        text = _STYLED.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)
        text = _CIRCLED.sub(lambda m: f"({ord(m.group()[0]) - 0x245F}), ", text)
        text = text.translate(_TRANSLATE)
    if not text.isprintable():
        text = _CONTROL.sub("", text)
    if "<" in text and ">" in text:
        text = _TAGS.sub("", text)
        for pattern, replacement in _HTML:
            text = pattern.sub(replacement, text)
    if "&" in text:
        for entity, character in _ENTITIES.items():
            text = text.replace(entity, character)
    return text


def _without_marks(text: str) -> str:
    """Thousands joined, mixed numbers marked, spacing and size commands taken off."""
    if "\\\\" in text and r"\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)  # LaTeX that went through JSON once too often
    if " " in text or "\\" in text or "{,}" in text or "'" in text or "_" in text:
        text = _GROUPED_TIGHT.sub("", text)
        text = _GROUPED_LOOSE.sub(lambda m: re.sub(r"\\?[^\d]", "", m.group(1)), text)
        text = _DECIMAL_COMMA.sub(".", text)
        text = _MIXED_SPACED.sub(r"\1\\frac{\2}{\3}", text)
    if r"\times" in text:
        text = _BOLD_LETTER.sub(r"{\1}", text)
    if "\\" in text or "$" in text or "~" in text:
        text = _NOISE.sub(_noise, text)
        text = _GLUED.sub(" ", text)
    return text


_BOLD_LETTER = re.compile(r"\\(?:mathbf|boldsymbol|bm)\s*\\?([a-zA-Z])(?![a-zA-Z])")  # a vector
_PRIMES = re.compile(r"\^\s*(?:\{\s*((?:\\prime\s*|'\s*)+)\}|(\\prime)(?![a-zA-Z]))")
_MINUTES = re.compile(r"(\d+)\s*\^\s*\{?\s*\\circ\s*\}?\s*(\d\d?)\s*'(?:\s*(\d\d?)\s*(?:''|\"))?(?!')")
_COMPOSED = re.compile(r"\(\s*([a-zA-Z])\s*\\circ\s*([a-zA-Z])\s*\)\s*\(([^()]{1,20})\)")  # (f o g)(x)
_NEGATED = re.compile(r"\\not\s*(\\[a-zA-Z]+|[=<>])")
_NEGATIONS = {
    "=": r"\ne ", r"\in": r"\notin ", "<": r"\ge ", ">": r"\le ",
    r"\le": "> ", r"\leq": "> ", r"\ge": "< ", r"\geq": "< ",
}  # fmt: skip
_LONE_SIGN = re.compile(r"(?:\\text\s*)?\{\s*([:,])\s*\}")


def _in_one_notation(text: str) -> str:
    """One way to write what has several: ordinals, printed sets, negated signs, temperatures, indices, i."""
    if "{:}" in text or "{,}" in text:
        text = _LONE_SIGN.sub(r"\1", text)
    if "^" in text and ("\\text" in text or "\\mathrm" in text):
        text = _ORDINAL.sub(r"\1", text)
    if _PROGRAM.search(text):
        text = _from_program(text)
    if "\\not" in text:
        text = _NEGATED.sub(lambda match: _NEGATIONS.get(match[1]) or rf"\n{match[1][1:]} ", text)
    if r"\prime" in text:
        text = _PRIMES.sub(lambda match: "'" * max(1, match[0].count("prime")), text)
    if "Vert" in text:
        text = text.replace(r"\lVert", r"\|").replace(r"\rVert", r"\|").replace(r"\Vert", r"\|")
    if "." in text and "\\" in text:
        text = _BARE_RECURRING.sub("0.", text)
    if r"\circ" in text and ")" in text:
        text = _COMPOSED.sub(r"\1(\2(\3))", text)
    if r"\circ" in text and "'" in text:
        text = _MINUTES.sub(
            lambda m: rf"({m[1]}+\frac{{{m[2]}}}{{60}}+\frac{{{m[3] or 0}}}{{3600}})^\circ", text
        )
    if r"\circ" in text or "egree" in text:
        text = _TEMPERATURE.sub(lambda match: rf"\text{{ deg{match[1].upper()}}}", text)
    if r"\angle" in text:
        text = text.replace(r"m\angle", r"\angle")
    elif "C" in text:
        text = _CONSTANT.sub(r"C_{\1}", text)
    if "=" in text:
        text = _INDEXED.sub(r"\1_{\2}", text)
    return _IMAGINARY.sub("i", text) if "I" in text else text


def _unwrapped(text: str) -> str:
    """What stands in quotes, a display, a box or before a Chinese unit."""
    if text[:1] in _QUOTES and (quoted := _QUOTED.fullmatch(text)):
        text = quoted.group(2).strip()
    if "\\begin" in text and (inside := _DISPLAY.fullmatch(text)) and "&" not in text and "\\\\" not in text:
        text = inside.group(2).strip()
    if not text.isascii():
        text = _LARGE_CHINESE.sub(lambda m: r"\cdot 10^{" + ("4}" if m[1] == "万" else "8}"), text)
        text = _CHINESE_UNIT.sub(lambda m: CHINESE_UNITS.get(_NOT_CHINESE.sub("", m[0]), ""), text)
    match = _WRAPPER.match(text)
    if match and text.endswith("}") and _closes_at_end(text, match.end()):
        text = text[match.end() : -1].strip()
    return text.removesuffix(r"\text{.}")


def _from_program(text: str) -> str:
    """Sets, equations and matrices as sympy prints them."""
    text = _INTERVAL.sub(lambda m: _ENDS[m[1]][0] + m[2] + _ENDS[m[1]][1], text)
    for name, before, after in (("FiniteSet", r"\{", r"\}"), ("Matrix", "", "")):
        if text.startswith(f"{name}(") and text.endswith(")"):
            text = before + text[len(name) + 1 : -1] + after
    if text.startswith("Union(") and text.endswith(")"):
        text = _NEXT_SET.sub(r" \\cup ", text[6:-1])
    if text.startswith("Eq(") and text.endswith(")"):
        text = " = ".join(text[3:-1].rsplit(", ", 1))
    return text


def _closes_at_end(text: str, start: int) -> bool:
    depth = 1
    for i in range(start, len(text) - 1):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return False
    return depth == 1
