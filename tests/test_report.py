"""Does the report show what is there, in a real browser, without a request, and whatever a model wrote?"""

import base64
import csv
import hashlib
import json
import random
import re
from contextlib import closing
from html import escape
from pathlib import Path

import pytest
from browser import NO_BROWSER, browser_is_installed, open_browser
from helpers import script, wait_until
from made_runs import make_large_run, make_run
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

import report
from util.errors import UserError
from util.results.page import katex
from util.results.page.frame import new_page, table
from util.results.page.gather import Shelf, read_run
from util.results.page.listing import value_pattern
from util.results.page.names import run_names, short_models

ROOT = Path(__file__).parent.parent
CASES = ROOT / "tests" / "cases"
ATTACK = (
    '</script><script>window.hacked = 1</script><img src="https://example.org/x" onerror="window.hacked = 2">'
    "<svg onload='window.hacked = 3'></svg>"
)
THOUGHT = "<think>First I add the squares, the secretword among them.</think>"


def report_of(*folders, output, extra=()):
    assert report.run(report.parse([*map(str, folders), "-o", str(output), *extra])) == 0
    return output


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report on 60 samples of 20 problems."""
    folder = tmp_path_factory.mktemp("report")
    problems = [
        {
            "id": f"p{number}",
            "question": f"Question {number}: find $x^{number}$.",
            "about": {"level": number % 3},
        }
        for number in range(20)
    ]
    problems[7] |= {"question": f"What does {ATTACK} mean?", "choices": [ATTACK, "second"], "answer": ATTACK}
    samples = []
    for number in range(60):
        sample = {"problem_id": f"p{number % 20}", "index": number // 20, "tokens": 100 + number}
        sample["correct"] = number % 3 != 0
        sample["text"] = (
            rf"{THOUGHT if number == 41 else ''}So $\frac{{1}}{{{number + 1}}}$ and \boxed{{42}}."
        )
        if number == 9:
            sample |= {"finish_reason": "length", "reason": "truncated", "extracted": None}
        if number == 12:
            sample |= {"reason": "undecided", "cause": "several candidates of equal rank"}
        if number == 7:
            sample |= {"text": ATTACK, "extracted": ATTACK, "reasoning": ATTACK}
        samples.append(sample)
    run = make_run(folder / "run", samples, problems=problems, settings={"model": "org/<b>model<b>"})
    counts = folder / "train.card.json"
    counts.write_text(json.dumps({"file": "train.json", "funnel": {"generated": 60, "final": 31}}))
    return report_of(run, output=folder / "report.html", extra=["--counts", str(counts)])


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not browser_is_installed():
        pytest.skip(NO_BROWSER)
    driver = open_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def shown(browser, page):
    """The page, freshly opened and ready; its log is read at the end of each test."""
    browser.get_log("browser")
    browser.get_log("performance")
    go(browser, page, "#view=samples")
    yield browser
    assert browser.get_log("browser") == []


def rows(browser):
    return browser.find_elements(By.CSS_SELECTOR, "details.sample")


def badges(browser):
    return [badge.text for badge in browser.find_elements(By.CSS_SELECTOR, ".badge")]


def count(browser):
    return browser.find_element(By.ID, "count").text


def search(browser, words):
    """Put the words into the search at once: what is typed is searched for whenever somebody pauses."""
    browser.execute_script(
        """const [field, words] = arguments;
        document.getElementById("count").dataset.busy = "yes";
        field.value = words;
        field.dispatchEvent(new Event("input"));""",
        browser.find_element(By.ID, "search"),
        words,
    )
    wait_until(lambda: browser.find_element(By.ID, "count").get_attribute("data-busy") == "no")


@pytest.mark.parametrize("command", [(), ("compare",)])
def test_a_page_replaces_no_file_of_a_run(tmp_path, command):
    folder = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}])
    before = (folder / "samples.jsonl").read_bytes()
    runs = (folder, folder) if command else (folder,)
    done = script("report.py", *command, *runs, "-o", folder / "samples.jsonl")
    assert (done.returncode, "is a file of the run in" in done.stderr) == (2, True), done.stderr
    assert (folder / "samples.jsonl").read_bytes() == before


def test_the_list_comes_in_pages(shown):
    assert len(rows(shown)) == 25
    assert count(shown) == "60 of 60 samples"
    for _ in range(2):
        shown.find_element(By.CSS_SELECTOR, ".next").click()
    assert len(rows(shown)) == 10
    assert shown.find_element(By.CSS_SELECTOR, ".page-number").text == "page 3 of 3"
    assert not shown.find_element(By.CSS_SELECTOR, ".next").is_enabled()


def test_search_finds_words_in_questions_and_in_folded_thoughts(shown):
    search(shown, "question 13:")
    assert count(shown) == "3 of 60 samples"
    search(shown, "SecretWord")
    assert count(shown) == "1 of 60 samples"
    search(shown, "nowhere at all")
    assert count(shown) == "0 of 60 samples"


def test_samples_are_chosen_by_outcome_and_put_in_order(shown):
    Select(shown.find_element(By.ID, "outcome")).select_by_value("truncated")
    wait_until(lambda: badges(shown) == ["truncated"])
    Select(shown.find_element(By.ID, "outcome")).select_by_value("")
    Select(shown.find_element(By.ID, "order")).select_by_value("longest")
    wait_until(lambda: rows(shown)[0].find_element(By.CSS_SELECTOR, ".tokens").text == "159 tokens")
    Select(shown.find_element(By.ID, "order")).select_by_value("shortest")
    wait_until(lambda: rows(shown)[0].find_element(By.CSS_SELECTOR, ".tokens").text == "100 tokens")


def test_undecided_samples_are_a_group_of_their_own_and_say_why(shown):
    Select(shown.find_element(By.ID, "outcome")).select_by_value("undecided")
    wait_until(lambda: badges(shown) == ["undecided"])
    (row,) = rows(shown)
    row.find_element(By.TAG_NAME, "summary").click()
    wait_until(lambda: "several candidates of equal rank" in row.text)
    colours = "return [...document.querySelectorAll('.badge')].map((badge) => getComputedStyle(badge).color)"
    (undecided,) = shown.execute_script(colours)
    Select(shown.find_element(By.ID, "outcome")).select_by_value("")
    wait_until(lambda: len(badges(shown)) == 25)
    others = zip(badges(shown), shown.execute_script(colours), strict=True)
    assert undecided not in {colour for outcome, colour in others if outcome != "undecided"}


def test_the_scores_of_a_run_with_undecided_samples_have_two_ends(tmp_path):
    samples = [{"problem_id": f"p{number}", "index": 0, "correct": number < 3} for number in range(5)]
    samples[4]["reason"] = "undecided"
    text = report_of(make_run(tmp_path / "run", samples), output=tmp_path / "report.html").read_text()
    assert 'avg@1 <strong>60.0</strong><span class="upper"> (up to 80.0: 1 undecided)</span> ' in text
    assert "undecided (1)" in text and "20.0 % undecided" in text
    decided = report_of(make_run(tmp_path / "other", samples[:4]), output=tmp_path / "other.html").read_text()
    assert (
        "up to" not in decided
        and "ndecided " not in decided.partition(">Scores</h2>")[2].partition('id="list"')[0]
    )


def test_a_sample_unfolds_and_its_thought_stays_folded(shown):
    search(shown, "secretword")
    (row,) = rows(shown)
    row.find_element(By.TAG_NAME, "summary").click()
    wait_until(lambda: "reference" in row.text)
    assert "secretword" not in row.text
    assert "maths-1" in row.text
    row.find_element(By.CSS_SELECTOR, ".thought > summary").click()
    wait_until(lambda: "secretword" in row.text)
    shown.find_element(By.ID, "close-all").click()
    assert row.get_attribute("open") is None


def test_maths_is_rendered_by_the_browser_itself(shown):
    search(shown, "question 3:")
    rows(shown)[0].find_element(By.TAG_NAME, "summary").click()
    wait_until(lambda: rows(shown)[0].find_elements(By.CSS_SELECTOR, ".prose math mfrac"))
    assert rows(shown)[0].find_elements(By.CSS_SELECTOR, ".prose math menclose[notation=box]")


def test_what_a_model_writes_never_runs_and_is_shown_as_it_is(shown):
    search(shown, "window.hacked")
    assert count(shown) == "3 of 60 samples"
    shown.find_element(By.ID, "open-all").click()
    wait_until(lambda: all("Response" in row.text for row in rows(shown)))
    for fold in shown.find_elements(By.CSS_SELECTOR, ".thought > summary"):
        fold.click()
    wait_until(lambda: "<script>window.hacked = 1</script>" in rows(shown)[0].text)
    assert shown.execute_script("return window.hacked") is None
    assert not shown.find_elements(By.CSS_SELECTOR, ".sample img, .sample svg, .sample script")
    assert "<b>model<b>" in shown.find_element(By.TAG_NAME, "h1").text


ATTACKS = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "$\\text{</math><img src=x onerror='window.hacked = 1'>}$",
    "\\[\\href{javascript:window.hacked = 1}{click}\\]",
    "\\(\\htmlData{x=1}{\\includegraphics{https://example.org/x.png}}\\)",
    "$\\def\\a{\\a\\a}\\a$",
    "```<b>html\n<script>window.hacked = 1</script>\n```",
    "| <img src=x onerror='window.hacked = 1'> |\n|---|\n| <svg onload='window.hacked = 1'> |",
    "# <style>body { display: none }</style>",
    "[a link](javascript:window.hacked)  ![a picture](https://example.org/x.png)",
    "&lt;script&gt; &#x3c;img&#x3e;",
    "\u202e right to left \u2066 and \x00 \x1b[31m back",
    "<!-- <base href='https://example.org'> -->",
    "$" + "{" * 2000 + "x" + "}" * 2000 + "$",
    "$" + "\\frac{1}{" * 300 + "x" + "}" * 300 + "$",
    "$" * 5000,
    "`" * 3 + "\n" + "`" * 2000,
    "**" * 3000,
    "|" * 3000 + "\n" + "|---" * 1000,
    "__proto__ constructor toString",
]  # fmt: skip


def test_no_text_in_any_place_runs_asks_or_hides_anything(browser, tmp_path):
    problems = [
        {"id": text[:300], "question": text, "answer": text, "prompt": f"Say: {text}", "choices": [text],
         "about": {"subject": text[:300]}}
        for text in ATTACKS
    ]  # fmt: skip
    samples = [
        {"problem_id": text[:300], "index": 0, "text": text, "reasoning": text, "extracted": text,
         "detail": text, "how": text, "cause": text, "grader": text}
        for text in ATTACKS
    ]  # fmt: skip
    settings = {"model": ATTACKS[0], "system_prompt": ATTACKS[1], "task": ATTACKS[2]}
    run = make_run(tmp_path / "run", samples, problems=problems, settings=settings)
    page = report_of(run, output=tmp_path / "report.html")
    browser.get_log("performance")
    go(browser, page, "#view=samples&order=longest")
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    wait_until(lambda: all(one.find_elements(By.CSS_SELECTOR, ".facts") for one in rows(browser)))
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    seen = browser.execute_script("""const all = [...document.querySelectorAll('main *')];
        return [window.hacked ?? null, [...new Set(all.map((one) => one.localName))],
        [...new Set(all.flatMap((one) => one.getAttributeNames()))], document.body.innerText,
        [...document.querySelectorAll('main a')].every((one) => one.getAttribute('href').startsWith('#'))]""")
    hacked, names, attributes, text, links_stay = seen
    assert hacked is None and links_stay
    assert not {"img", "iframe", "style", "base", "object", "annotation-xml", "foreignObject"} & set(names)
    assert not [name for name in attributes if re.match("on|src|action|xlink", name)]
    assert "<style>body { display: none }</style>" in text and "javascript:window.hacked = 1" in text
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [one["params"]["request"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert {one["url"].partition("#")[0] for one in sent} - {"data:,", "about:blank"} == {page.as_uri()}
    assert [entry for entry in browser.get_log("browser") if "hacked" in entry["message"]] == []


def test_the_page_asks_no_server_for_anything(shown, page):
    shown.find_element(By.ID, "open-all").click()
    wait_until(lambda: all(len(row.text) > 100 for row in rows(shown)))
    messages = [json.loads(entry["message"])["message"] for entry in shown.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} == {page.as_uri()}


def test_the_page_follows_the_system_and_its_own_button_between_light_and_dark(shown):
    def ground():
        colour = shown.execute_script("return getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    for scheme, dark in (("dark", True), ("light", False)):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        shown.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        assert (ground() < 150) is dark
    button = shown.find_element(By.ID, "theme")
    button.click()
    assert (button.text, ground() > 600) == ("theme: light", True)
    button.click()
    assert (button.text, ground() < 150) == ("theme: dark", True)
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})  # dark on white, without buttons
    assert ground() > 600 and not button.is_displayed()
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_page_fits_a_phone(shown):
    phone = {"width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    shown.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    shown.find_element(By.ID, "open-all").click()
    wait_until(lambda: all(len(row.text) > 100 for row in rows(shown)))
    assert shown.execute_script("return document.documentElement.scrollWidth") <= 380
    shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [1200, 380])
def test_a_comparison_of_long_questions_and_answers_fits_the_window(browser, tmp_path, width):
    long = {"question": f"Find ${' + '.join(f'x_{{{number}}}' for number in range(60))}$. " * 3}
    problems = [{"id": f"test/intermediate_algebra/{number}.json", **long} for number in range(3)]
    runs = [
        make_run(
            tmp_path / name,
            [
                {"problem_id": problem["id"], "index": 0, "correct": correct, "extracted": "\\frac{1}{2}" * 9}
                for problem in problems
            ],
            problems=problems,
        )
        for name, correct in (("a", True), ("b", False))
    ]
    page = tmp_path / "compare.html"
    assert report.run(report.parse(["compare", *map(str, runs), "-o", str(page)])) == 0
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    wait_until(lambda: browser.find_element(By.TAG_NAME, "html").get_attribute("data-ready") == "yes")
    wider = "return [...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert browser.execute_script(wider) == 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_title_is_not_cut_within_a_formula(browser, tmp_path):
    problems = [
        {
            "id": f"p{number}",
            "question": f"Find all {'very ' * 23}large numbers {formula} that are even.",
        }
        for number, formula in enumerate(["$x_1 + x_2 + x_3 + x_4 + x_5$", rf"\[{' + '.join(['x'] * 60)}\]"])
    ]
    run = make_run(
        tmp_path / "run", [{"problem_id": one["id"], "index": 0} for one in problems], problems=problems
    )
    go(browser, report_of(run, output=tmp_path / "report.html"))
    first, second = (row.find_element(By.CSS_SELECTOR, ".title") for row in rows(browser))
    assert first.text.startswith("Find all") and first.text.endswith("…") and "$" not in first.text
    assert len(first.find_elements(By.CSS_SELECTOR, "math msub")) == 5
    assert second.text.endswith("large numbers …")


def test_the_page_shows_scores_pictures_levels_and_the_funnel(shown):
    text = shown.find_element(By.TAG_NAME, "body").text
    for part in ("[", "pass@3", "maj@3", "By level", "Curation of train.json", "completion tokens", "a" * 40):
        assert part in text
    pictures = shown.find_elements(By.CSS_SELECTOR, "figure svg")
    assert len(pictures) == 2
    assert all(
        picture.size["width"] < 420 for picture in pictures
    )  # their letters stay as small as the text's


def test_ten_thousand_samples_can_be_opened_and_searched(browser, tmp_path):
    characters = make_large_run(tmp_path / "run", problems=500, n=20, characters=800)
    page = report_of(tmp_path / "run", output=tmp_path / "report.html")
    assert page.stat().st_size <= 1.2 * characters
    browser.get_log("browser")
    browser.get(page.as_uri())
    wait_until(lambda: len(rows(browser)) == 25)
    assert browser.find_elements(By.CSS_SELECTOR, "math") == []  # those of the responses wait to be looked at
    search(browser, "question that is not there")
    assert count(browser) == "0 problems, 0 of 10000 samples"
    assert browser.get_log("browser") == []


MARKED_UP = """## Steps
- first $x^2$
1. second

| n | value |
|---|---|
| 1 | $y^2$ |

```python
def f(a):
    return a  # **not bold**
```
\\[
- x + 2 = 4
\\]
This is **bold**, `code` and 2**3."""


@pytest.fixture(scope="module")
def two_temperatures(tmp_path_factory):
    """A page of 8 samples at each of two temperatures on nine problems: number k is right k times."""
    folder = tmp_path_factory.mktemp("two")
    problems = [
        {"id": f"p{k}", "question": f"Question {k}?", "prompt": f"Please: Question {k}? Thanks.",
         "about": {"level": k % 2}} for k in range(9)
    ]  # fmt: skip
    problems[8] |= {"question": "كم عدد؟", "prompt": "كم عدد؟ <i>asked</i>"}
    samples = [
        {"problem_id": f"p{k}", "index": index, "temperature": temperature, "correct": index < k,
         "text": MARKED_UP} for k in range(9) for temperature in (0.6, 1.0) for index in range(8)
    ]  # fmt: skip
    samples[0] |= {"finish_reason": "length", "reason": "truncated", "extracted": None}
    run = make_run(folder / "run", samples, problems=problems, settings={"system_prompt": "Be <b>brief</b>."})
    return report_of(run, output=folder / "report.html")


def go(browser, page, address=""):
    browser.get("about:blank")
    browser.get(page.as_uri() + address)
    wait_until(lambda: browser.find_element(By.TAG_NAME, "html").get_attribute("data-ready") == "yes")


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("temperature=0.6", 72),
        ("index=3", 18),
        ("outcome=truncated", 1),
        ("reason=wrong_answer", 71),
        ("finish=length", 1),
        ("extracted=41", 71),
        ("reference=42", 144),
        ("problem=p1", 16),
        ("about.level=1", 64),
        ("rate=4+of+16", 16),
        ("temperature=0.6&rate=4+of+8&outcome=wrong", 4),
        ("temperature=9&view=nothing&outcome=%3Cb%3E", 144),  # what the page does not have chooses nothing
    ],
)
def test_an_address_holds_what_the_list_is_filtered_by(browser, two_temperatures, address, found):
    go(browser, two_temperatures, f"#{address}")
    assert count(browser).endswith(f"{found} of 144 samples")


def test_a_row_says_which_sample_it_is_and_what_came_of_it(browser, two_temperatures):
    go(browser, two_temperatures, "#view=samples&problem=p0&temperature=1&index=2")
    (row,) = rows(browser)
    for told in ("p0 · T 1 · index 2 · ended by stop", "wrong", "41", "reference 42", "10 tokens"):
        assert told in row.find_element(By.TAG_NAME, "summary").text
    assert row.get_attribute("open") is not None  # the address of one sample opens it


def test_problems_are_listed_by_how_many_samples_are_right(browser, two_temperatures):
    go(browser, two_temperatures, "#view=problems&order=split")
    firsts = "return [...document.querySelectorAll('.problem strong')].map((one) => one.textContent)"
    assert browser.execute_script(firsts)[:3] == ["8 of 16", "6 of 16", "10 of 16"]
    Select(browser.find_element(By.ID, "order")).select_by_value("hardest")
    assert browser.execute_script(firsts) == [f"{2 * k} of 16" for k in range(9)]
    bars = browser.find_elements(By.CSS_SELECTOR, ".rate")
    assert [bar.text.split() for bar in bars][:3] == [["1", "0"], ["1"], ["1", "2"]]
    bars[6].click()
    wait_until(lambda: browser.execute_script(firsts) == ["6 of 16"])
    assert browser.current_url.endswith("#order=hardest&rate=6+of+16")
    (problem,) = browser.find_elements(By.CSS_SELECTOR, ".problem")
    problem.find_element(By.TAG_NAME, "summary").click()
    wait_until(lambda: len(problem.find_elements(By.CSS_SELECTOR, ".sample")) == 16)


def test_the_prompt_stands_with_its_problem_as_it_was_sent(browser, two_temperatures):
    go(browser, two_temperatures, "#view=samples&problem=p8&temperature=1&index=2")
    (row,) = rows(browser)
    wait_until(lambda: row.find_elements(By.CSS_SELECTOR, ".asked"))
    row.find_element(By.CSS_SELECTOR, ".asked > summary").click()
    wait_until(lambda: "Be <b>brief</b>." in row.text and "كم عدد؟ <i>asked</i>" in row.text)
    align = "return getComputedStyle(arguments[0]).direction"
    assert browser.execute_script(align, row.find_element(By.CSS_SELECTOR, ".title")) == "rtl"
    assert "Be &lt;b&gt;brief&lt;/b&gt;." in two_temperatures.read_text(encoding="utf-8")  # how it was made


def test_programs_are_in_a_fixed_width_font_and_markdown_is_rendered(browser, two_temperatures):
    go(browser, two_temperatures, "#view=samples&problem=p3&temperature=1&index=2")
    (row,) = rows(browser)
    wait_until(lambda: row.find_elements(By.CSS_SELECTOR, "pre"))
    program = row.find_element(By.CSS_SELECTOR, "pre")
    assert program.text == "def f(a):\n    return a  # **not bold**"
    assert "mono" in program.value_of_css_property("font-family").lower()
    shown = {
        name: [one.text for one in row.find_elements(By.CSS_SELECTOR, f".prose {name}")]
        for name in (".heading", ".item > span", "th", "strong", "code")
    }
    assert shown == {".heading": ["Steps"], ".item > span": ["•", "1."], "th": ["n", "value"],
                     "strong": ["bold"], "code": ["code"]}  # fmt: skip
    assert len(row.find_elements(By.CSS_SELECTOR, ".prose math")) == 3  # one begins a line with a minus
    assert "```" not in row.text and "2**3" in row.text


def test_programs_are_in_colours_and_stay_as_they_were_written(browser, two_temperatures):
    go(browser, two_temperatures, "#view=samples&problem=p3&temperature=1&index=2")
    wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, "pre"))
    colours = (
        "return [...document.querySelectorAll('pre span')].map((one) => [one.className, one.textContent])"
    )
    assert browser.execute_script(colours) == [
        ["word", "def"],
        ["word", "return"],
        ["comment", "# **not bold**"],
    ]
    painted = """const place = painted(el('pre'), arguments[0], arguments[1]);
        return [place.textContent, place.innerHTML]"""
    for language, text, shown in (
        ("py", "x = 'a # b' if y else 3.5", "<span class=\"quoted\">'a # b'</span>"),
        ("cpp", 'int a = 1; // no "text"', '<span class="comment">// no "text"</span>'),
        ("", "import os", '<span class="word">import</span>'),
        ("", "if all else fails, do it", ""),  # no program, so far as one can see
        ("text", "def f(a):", ""),
        ("py", '"""never closed <b>', "&lt;b&gt;"),
        ("py", "'" * 60_000, ""),  # too long for colours
    ):
        written, html = browser.execute_script(painted, text, language)
        assert written == text and shown in html and bool(shown) == ("<span" in html), (language, text, html)


def test_a_block_ends_at_its_own_fence_and_a_program_as_an_answer_is_named_by_its_length(
    browser, two_temperatures
):
    go(browser, two_temperatures)
    blocks = """return [...prose(arguments[0]).children].map((one) =>
        [one.className, one.querySelector('pre')?.textContent ?? one.textContent])"""
    for text, shown in (
        ("```\na\n```python\nb\n```\nc", [["code", "a\n```python\nb"], ["", "c"]]),
        ("~~~py\na\n```\nb\n~~~~", [["code", "a\n```\nb"]]),
        ("````\n```\n````\nz", [["code", "```"], ["", "z"]]),
        ("a\n```\nnever closed", [["", "a"], ["code", "never closed"]]),
    ):
        assert browser.execute_script(blocks, text) == shown
    named = "return answer(arguments[0], '', 'answers').textContent"
    assert [browser.execute_script(named, text) for text in ("a_1\nb", r"\frac12", None)] == [
        "2 lines",
        "12",
        "—",
    ]


def test_keys_go_through_the_rows(browser, two_temperatures):
    go(browser, two_temperatures, "#view=samples&problem=p3&outcome=correct")
    from selenium.webdriver.common.keys import Keys

    body = browser.find_element(By.TAG_NAME, "body")
    where = "return document.activeElement.id || document.activeElement.parentNode.dataset.row"
    seen = []
    for key in ("j", "j", "k", Keys.ARROW_DOWN, Keys.ARROW_UP):
        (body if not seen else browser.switch_to.active_element).send_keys(key)
        seen.append(browser.execute_script(where))
    assert seen[0] == seen[2] == seen[4] != seen[1] == seen[3]
    is_open = "return document.activeElement.parentNode.open"
    for key, opened in ((Keys.ARROW_RIGHT, True), (Keys.ARROW_LEFT, False)):
        browser.switch_to.active_element.send_keys(key)
        assert browser.execute_script(is_open) is opened
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"  # one sees where one is
    browser.switch_to.active_element.send_keys("/")
    browser.switch_to.active_element.send_keys("jk", Keys.BACKSPACE, Keys.BACKSPACE)
    assert browser.execute_script(where) == "search"


def test_what_is_filtered_can_be_downloaded_as_lines_and_as_a_table(browser, two_temperatures, tmp_path):
    go(browser, two_temperatures, "#view=samples&problem=p3&outcome=correct")
    browser.execute_cdp_cmd("Browser.setDownloadBehavior",
                            {"behavior": "allow", "downloadPath": str(tmp_path)})  # fmt: skip
    for name in ("lines", "table"):
        browser.find_element(By.ID, f"download-{name}").click()
    wait_until(lambda: {path.name for path in tmp_path.iterdir()} == {"samples.jsonl", "samples.csv"})
    lines = [
        json.loads(line) for line in (tmp_path / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    with open(tmp_path / "samples.csv", encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    for found in (lines, table):
        assert {
            (one["problem_id"], float(one["temperature"]), int(one["index"]), one["outcome"]) for one in found
        } == {("p3", temperature, index, "correct") for temperature in (0.6, 1) for index in range(3)}
    assert lines[0]["text"] == MARKED_UP and lines[0]["question"] == table[0]["question"] == "Question 3?"
    assert table[0]["level"] == "1" and table[0]["reference"] == "42" and "text" not in table[0]
    cells = "return arguments[0].map(cellOfTable)"
    assert browser.execute_script(cells, ["=1+1", "-x", "-1.5", "@a", 'a "b", c', "", None]) == [
        "'=1+1", "'-x", "-1.5", "'@a", '"a ""b"", c"', "", "",
    ]  # fmt: skip
    wait_until(lambda: count(browser) == "6 of 144 samples")


# --- what a user wants to know, and how many clicks it takes ---


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Three problems with four samples at each of two temperatures, and of each kind of outcome one."""
    folder = tmp_path_factory.mktemp("asked")
    problems = [
        {
            "id": f"problem {k}",
            "question": f"Question {k}?",
            "answer": "1/2",
            "about": {"subject": f"area {k}"},
        }
        for k in (1, 12, 3)
    ]
    samples = [
        {"problem_id": one["id"], "index": index, "temperature": temperature, "extracted": f"{index}/7",
         "correct": index < {"problem 1": 4, "problem 12": 2}.get(one["id"], 0), "tokens": 10 * index}
        for one in problems for temperature in (0.7, 1.0) for index in range(4)
    ]  # fmt: skip
    cut = {"finish_reason": "length", "reason": "truncated", "extracted": None}
    samples[-1] |= {**cut, "text": "<think>So it is 1 / 2. Let me check"}
    samples[-2] |= {**cut, "text": "<think>So it is 11/25. Let me check"}
    samples[-3] |= {"reason": "undecided", "cause": "several candidates of equal rank"}
    samples[-5] |= {"reason": "no_answer", "extracted": None}
    samples[-6] |= {"reason": "grader_error", "extracted": None}
    samples[-8] |= {"text": f"<think>Hm.</think>{MARKED_UP}"}
    run = make_run(folder / "run", samples, problems=problems, settings={"system_prompt": "Be brief."})
    return report_of(run, output=folder / "report.html")


ROW = ".sample:not(.problem)[open]"
QUESTIONS = {
    "which problems split?": ([], ".few ~ .few, .few", "4 of 8 Question 12?"),
    "which is the hardest?": ([], ".few + .few", "0 of 7 Question 3?"),
    "what did it answer on problem 12 at 0.7?": (
        [".few a[title='problem 12']", "//summary[contains(., 'T 0.7 · index 3')]"], ROW, "extracted\n3/7",
    ),
    "what are all its answers to problem 3?": (
        [".few a[title='problem 3']"], ".problem[open]", "T 1 · index 0 · ended by stop\n0/7",
    ),
    "how was it asked?": ([".few a[title='problem 3']", ".asked > summary"], ".asked[open]", "Be brief."),
    "which problems are never right?": (
        ["//button[contains(@aria-label, 'right in 0 %')]"], "#samples", "Question 3?",
    ),
    "which truncated answers had the right value in the thought?": (
        ["//a[contains(., 'truncated with the right value')]"], "#samples", "T 1 · index 3 · ended by length",
    ),
    "why is an answer undecided?": (
        ["//a[starts-with(., 'undecided')]", ".sample > summary"], ROW, "several candidates of equal rank",
    ),
    "what does the longest response say?": (
        ["//a[.='longest']", ".sample > summary"], ROW, "index 3",
    ),
    "in which subject is it weak?": (["//nav/a[.='Accuracy by kind of problem']"], "main", "area 3"),
    "with which settings was it made?": (["//nav/a[.='How the runs were made']"], "main", "token cap 4096"),
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_within_two_clicks(browser, asked, question):
    clicks, place, answer = QUESTIONS[question]
    assert len(clicks) <= 2
    go(browser, asked)
    for click in clicks:
        by = By.XPATH if click.startswith("//") else By.CSS_SELECTOR
        wait_until(lambda by=by, click=click: browser.find_elements(by, click))
        browser.find_element(by, click).click()
    text = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText).join('\\n')"
    wait_until(lambda: answer.replace("\n", " ") in " ".join(browser.execute_script(text, place).split()))


def test_truncated_answers_with_the_right_value_are_told_from_others(browser, asked):
    go(browser, asked, "#view=samples&outcome=truncated&named=yes")
    assert count(browser) == "1 of 24 samples"
    go(browser, asked, "#view=samples&outcome=truncated&named=no")
    assert count(browser) == "1 of 24 samples"


def serious(browser, axe):
    tool = axe.Axe(browser)
    tool.inject()
    return [
        (one["id"], one["impact"], one["nodes"][0]["html"])
        for one in tool.run()["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("width", "scheme"), [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")]
)
def test_axe_finds_nothing_serious(browser, asked, width, scheme):
    axe = pytest.importorskip("axe_selenium_python", reason="pip install -r requirements/dev.txt has axe")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    go(browser, asked, "#order=hardest")
    for place in (".sample", ".sample .sample", ".asked, .thought"):
        wait_until(lambda place=place: browser.find_elements(By.CSS_SELECTOR, place))
        browser.execute_script(f"document.querySelector({place!r}).open = true")
    wait_until(lambda: browser.find_elements(By.CSS_SELECTOR, ".sample[open]:not(.problem) pre"))
    badges = {badge.text for badge in browser.find_elements(By.CSS_SELECTOR, ".sample .sample .badge")}
    assert badges == {"wrong", "truncated", "undecided", "no answer", "not judged"}
    tool = axe.Axe(browser)
    tool.inject()
    found = tool.run()["violations"]
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []


# --- formulas ---

NO_KATEX = f"KaTeX is missing: {katex.INSTALL}"
FORMULAS = [json.loads(line) for line in (CASES / "formulas.jsonl").read_text(encoding="utf-8").splitlines()]
SHOWN = """return [...document.querySelectorAll('.case')].map((place) => {
    const math = place.querySelector('math');
    return math && [math.textContent.replaceAll('\u00a0', ' ').replaceAll('\u2061', ''), place.innerHTML,
        [...place.childNodes].every((one) => one === math || one.data === '')];
})"""


@pytest.fixture(scope="module")
def formulas(browser, tmp_path_factory):
    """The cases of formulas.jsonl as a browser shows them: None where it shows what was written."""
    if katex.find_katex() is None:
        pytest.skip(NO_KATEX)
    page = tmp_path_factory.mktemp("formulas") / "page.html"
    with new_page(page, "Formulas") as out:
        for case in FORMULAS:
            out.write(f'<p class="case" data-prose>\\({escape(case["latex"])}\\)</p>')
    browser.get_log("browser")
    go(browser, page)
    assert browser.get_log("browser") == []
    return browser


def test_hard_formulas_are_set_as_they_are_meant_or_shown_as_they_were_written(formulas):
    found = formulas.execute_script(SHOWN)
    wrong = []
    for number, (case, math) in enumerate(zip(FORMULAS, found, strict=True)):
        if case.get("raw") or math is None:
            is_right = case.get("raw", False) and math is None
        else:
            selector = f".case:nth-of-type({number + 1}) {case['find']}"
            is_right = (math[0], math[2]) == (case["text"], True)
            is_right &= formulas.execute_script(f"return document.querySelector({selector!r}) !== null")
        if not is_right:
            wrong.append((case, math))
    assert not wrong, "\n".join(map(str, wrong))


def test_what_stands_over_and_below_a_term_is_as_wide_as_it(formulas):
    places = formulas.find_elements(By.CSS_SELECTOR, ".case math")
    bar, number = (
        places[0].find_element(By.CSS_SELECTOR, name).size["width"] for name in (".bar-over", "mn")
    )
    assert bar > 2.5 * number  # six digits, beside "0."
    limits = next(place for place in places if "∑" in place.text)
    sign, below, above = (child.rect for child in limits.find_elements(By.CSS_SELECTOR, "munderover > *"))
    assert above["y"] < sign["y"] < below["y"] and sign["x"] < below["x"] + below["width"]


def test_without_katex_formulas_stand_as_they_were_written_and_the_page_says_so(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}])
    monkeypatch.setattr(katex, "SHA256", "0" * 64)  # as of another version
    text = report_of(folder, output=tmp_path / "report.html").read_text(encoding="utf-8")
    assert katex.find_katex() is None and "Khan Academy" not in text
    assert f"Formulas are shown as they were written: {katex.INSTALL} and a new page set them." in text


def test_katex_is_in_the_page_with_its_licence_and_the_version_that_the_requirements_name(tmp_path):
    assert f"{katex.PACKAGE}=={katex.VERSION}" in (ROOT / "requirements/page.txt").read_text()
    script = katex.find_katex()
    if script is None:
        pytest.skip(NO_KATEX)
    assert "Khan Academy" in script and "without restriction" in script and "AS IS" in script
    text = report_of(
        make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}]), output=tmp_path / "r.html"
    ).read_text(encoding="utf-8")
    allowed = re.search(r"script-src ([^\"]*)\"", text)[1].split()
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert scripts[0] == script and len(scripts) == 3
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
    assert allowed == [f"'sha256-{digest}'" for digest in digests]


# --- without a browser ---


def test_letters_answered_stand_beside_those_that_are_right(tmp_path):
    answers = {"a": "AAB", "b": "AAA", "c": "C-A"}  # of problems with the letters A, B and C
    problems = [{"id": one, "answer": one.upper(), "choices": ["x", "y", "z"]} for one in answers]
    samples = [
        {"problem_id": one, "index": index, "correct": answer == one.upper(),
         "extracted": None if answer == "-" else answer}
        for one, given in answers.items() for index, answer in enumerate(given)
    ]  # fmt: skip
    run = make_run(tmp_path / "run", samples, problems=problems)
    text = report_of(run, output=tmp_path / "report.html").read_text(encoding="utf-8")
    section = text.partition(">Letters</h2>")[2].partition("<h2")[0]
    cells = [re.sub("<.*?>", " ", row).split() for row in re.findall("<tr>(.*?)</tr>", section)]
    assert cells[1:] == [
        ["A", "33.3", "%", "66.7", "%"], ["B", "33.3", "%", "11.1", "%"], ["C", "33.3", "%", "11.1", "%"],
        ["none", "0.0", "%", "11.1", "%"],
    ]  # fmt: skip
    other = make_run(tmp_path / "other", samples[:3])
    assert "Letters" not in report_of(other, output=tmp_path / "o.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("reference", "text", "is_there"),
    [
        ("1/2", "so 1 / 2 it is", True),
        ("1/2", "so 11/2, or 1/25", False),
        (r"\frac{3}{4}", r"$\dfrac 3 4$ and", True),
        (r"\left(3, \frac{\pi}{2}\right)", r"the point $(3,\tfrac{\pi}{2})$", True),
        ("42", "it is 42.", True),
        ("42", "it is 42.5 or 142", False),
        ("7", "x^7", True),
        ("even", "an even number", False),  # a word stands everywhere
        ("x" * 41, "x" * 41, False),
        (None, "42", False),
    ],
)
def test_a_right_value_is_found_in_a_text_however_it_is_written(reference, text, is_there):
    pattern = value_pattern(reference)
    assert (pattern is not None and pattern.search(text) is not None) == is_there


def test_a_page_is_no_larger_than_it_may_be_and_says_what_it_leaves_out(tmp_path, capsys):
    dice = random.Random(5)
    samples = [
        {"problem_id": f"p{number % 20}", "index": number // 20, "text": dice.randbytes(10_000).hex()}
        for number in range(200)
    ]
    run = make_run(tmp_path / "run", samples)
    page = report_of(run, output=tmp_path / "report.html", extra=["--page-mb", "1"])
    assert 700_000 < page.stat().st_size <= 1_000_000
    told = re.search(
        r"(\d+) of 200 samples, chosen evenly: a page holds at most 10,000 samples \(--samples\) and 1 MB "
        r"\(--page-mb\)",
        page.read_text(encoding="utf-8"),
    )
    assert told and told[0] in " ".join(capsys.readouterr().err.split())
    few = report_of(run, output=tmp_path / "few.html", extra=["--page-mb", "1", "--samples", "7"])
    assert "Here are 7 of 200 samples" in few.read_text(encoding="utf-8")


def test_a_shelf_with_little_room_keeps_samples_of_all_problems(tmp_path):
    samples = [{"problem_id": f"p{number % 10}", "index": number // 10} for number in range(300)]
    run = make_run(tmp_path / "run", samples)
    with closing(Shelf(1000)) as wide, closing(Shelf(1000, 20_000)) as narrow:
        read_run(run, shelf=wide)
        read_run(run, shelf=narrow)
        assert 20 < len(narrow) < len(wide) == 300
        wide.shrink(0.2)
        for shelf in (narrow, wide):
            assert len({sample["problem_id"] for _, sample in shelf.samples()}) == 10


def test_runs_are_named_by_what_tells_them_apart(tmp_path):
    def titles(*changes):
        folders = [
            make_run(tmp_path / f"{len(changes)}{number}", [{"problem_id": "p", "index": 0}], settings=change)
            for number, change in enumerate(changes)
        ]
        text = report_of(*folders, output=tmp_path / "report.html").read_text(encoding="utf-8")
        return re.findall("<figcaption>Tokens: (.*?)</figcaption>", text)

    assert titles({}) == ["model-a"]
    assert titles({}, {"model": "org/b"}) == ["model-a", "b"]
    assert titles({}, {"task": "AIME"}, {"task": "AIME", "model": "b"}) == [
        "MATH500 · model-a",
        "AIME · model-a",
        "AIME · b",
    ]
    assert titles({}, {"prompt": "plain"}, {"prompt": "plain", "seed": 1}, {"model": "b"}) == [
        "model-a · prompt default · seed 0",
        "model-a · prompt plain · seed 0",
        "model-a · prompt plain · seed 1",
        "b · prompt default · seed 0",
    ]
    assert titles({}, {}, {"model": "b"}, {"model": "b"}, {"model": "c"}) == [
        "model-a (50)", "model-a (51)", "b (52)", "b (53)", "c",
    ]  # fmt: skip


def test_models_and_folders_are_named_by_the_part_that_differs():
    assert short_models(["org/a", "other/a", "org/a"]) == ["org/a", "other/a", "org/a"]
    assert short_models(["/data/run-1/hf/", "/data/run-2/hf"]) == ["run-1/hf", "run-2/hf"]
    assert short_models(["org/a", "org/b", "b", "org/a"]) == ["org/a", "org/b", "b", "org/a"]


def test_runs_of_several_tasks_and_temperatures_have_short_names(tmp_path):
    def run(folder, temperatures, **settings):
        samples = [{"problem_id": "p", "index": 0, "temperature": value} for value in temperatures]
        return read_run(make_run(tmp_path / folder / "run", samples, settings=settings))

    aime, math = {"task": "AIME", "max_tokens": 96}, {"task": "MATH500", "max_tokens": 48}
    runs = [run("a", [0.7], **aime), run("b", [0.3], **math), run("c", [1.0], **math)]
    assert run_names(runs) == ["AIME · T 0.7", "MATH500 · T 0.3", "MATH500 · T 1"]
    assert run_names([*runs, run("d", [0.3], **math)])[1::2] == [
        "MATH500 · T 0.3 (b/run)",
        "MATH500 · T 0.3 (d/run)",
    ]
    assert run_names([run("e", [0.5, 1.0])]) == ["model-a"]


def test_scores_of_problems_with_different_numbers_of_samples_are_over_all_of_them(tmp_path):
    samples = [{"problem_id": "p", "index": index} for index in range(4)]
    samples += [{"problem_id": f"q{number}", "index": 0, "correct": number == 0} for number in range(3)]
    page = report_of(make_run(tmp_path / "run", samples), output=tmp_path / "report.html")
    text = page.read_text(encoding="utf-8")
    assert "avg@1-4 <strong>50.0" in text
    assert "pass@1 50.0" in text and "pass@4" not in text  # over all problems, or not in the headline
    assert "<polyline" not in text  # a single point over all problems is no curve


def test_a_phone_shows_the_scores_as_cards_but_no_table_that_does_not_ask_for_it(tmp_path):
    page = report_of(
        make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}]), output=tmp_path / "r.html"
    )
    assert '<div class="wide scores"><table class="cards">' in page.read_text(encoding="utf-8")
    assert 'data-label="k"' in table(["k"], [["1"]], cards=True)
    assert (
        table(["k"], [["1"]])
        == '<div class="wide"><table><tr><th>k</th></tr><tr><td>1</td></tr></table></div>'
    )


def test_subjects_of_different_tasks_stand_in_tables_of_their_own(tmp_path):
    def run(task, *subjects):
        samples = [{"problem_id": subject, "index": 0} for subject in subjects]
        problems = [{"id": subject, "about": {"subject": subject}} for subject in subjects]
        return make_run(tmp_path / task, samples, problems=problems, settings={"task": task})

    page = report_of(
        run("MMLU", "law", "art"), run("MATH500", "algebra", "geometry"), output=tmp_path / "report.html"
    ).read_text(encoding="utf-8")
    law, algebra = page.index("<h3>MMLU by subject</h3>"), page.index("<h3>MATH500 by subject</h3>")
    assert law < page.index("<span>law</span>") < algebra < page.index("<span>algebra</span>")


def test_a_page_says_how_its_run_was_made(tmp_path):
    settings = {"top_p": 0.9, "stop": ["Question:"], "seed": 3}
    run = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}], settings=settings)
    info = json.loads((run / "run.json").read_text())
    info["made_with"]["hardware"] = {"gpus": ["Some GPU"] * 4 + ["Other GPU"]}
    (run / "run.json").write_text(json.dumps(info))
    text = report_of(run, output=tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<dd>4 × Some GPU, Other GPU</dd>" in text
    assert (
        "<dd>temperature 0.7, n 1, token cap 4096, seed 3, loops ended never, top-p 0.9, "
        "stop [&#x27;Question:&#x27;]</dd>" in text
    )


def test_of_too_many_samples_an_even_choice_is_shown(tmp_path):
    samples = [{"problem_id": f"p{number % 10}", "index": number // 10} for number in range(300)]
    run = make_run(tmp_path / "run", samples)
    shelf = Shelf(50)
    facts = read_run(run, shelf=shelf)
    kept = [sample for _, sample in shelf.samples()]
    assert (len(kept), shelf.seen, facts.judged) == (50, 300, 300)
    assert len({sample["problem_id"] for sample in kept}) == 10
    shelf.close()


def test_texts_of_any_script_and_half_a_surrogate_pair_are_shown_as_they_are(tmp_path):
    text = "Größe 数学 😀 \ud83d"
    run = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0, "text": text}])
    shelf = Shelf(1)
    read_run(run, shelf=shelf)
    ((_, sample),) = shelf.samples()
    assert sample["text"] == text
    shelf.close()


def test_a_report_can_leave_out_the_samples(tmp_path):
    run = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0, "text": "not to be shown"}])
    report_of(run, output=tmp_path / "report.html", extra=["--samples", "0"])
    assert 'id="piece-0"' not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_run_without_verdicts_is_told_how_to_get_them(tmp_path):
    run = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}], graded=False)
    with pytest.raises(UserError, match=r"no verdicts yet.*\n.*inference_and_check.py .*--check"):
        report.run(report.parse([str(run), "-o", str(tmp_path / "report.html")]))


def test_a_run_of_which_nothing_could_be_judged_is_told_why(tmp_path):
    sample = {"problem_id": "p", "index": 0, "correct": False, "reason": "grader_error", "extracted": None}
    run = make_run(tmp_path / "run", [sample])
    with pytest.raises(
        UserError, match=r"1 sample, none of which could be judged \(1 grader_error\).*\n.*--regrade"
    ):
        report.run(report.parse([str(run), "-o", str(tmp_path / "report.html")]))


@pytest.mark.parametrize("mode", [[], ["compare", "RUN"], ["explain"], ["manifest"]])
def test_a_path_without_a_run_says_what_is_there(tmp_path, mode):
    make_run(tmp_path / "results" / "run", [{"problem_id": "p0", "index": 0}])
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no run")
    run = str(tmp_path / "results" / "run")
    for name, sentence in (
        ("nowhere", "there is no such folder"),
        ("empty", "no run.json; name the folder of a run"),
        ("file", "it is a file"),
        ("results", f"it holds runs; name one of them, such as {run}"),
    ):
        if name == "results" and mode[:1] in ([], ["compare"]):
            continue  # these take all of them
        words = [run if word == "RUN" else word for word in mode]
        with pytest.raises(UserError, match=f"no run at .*{name}: .*{sentence}"):
            report.run(report.parse([*words, str(tmp_path / name)]))


def test_a_folder_of_runs_is_all_runs_in_it(tmp_path, capsys):
    runs = [make_run(tmp_path / "results" / name, [{"problem_id": "p", "index": 0}]) for name in ("a", "b")]
    (tmp_path / "results" / "model_eval.log").write_text("")
    output = tmp_path / "report.html"
    report.run(report.parse([str(tmp_path / "results"), "-o", str(output)]))
    shown = json.loads(capsys.readouterr().out.strip().split("\n")[-1])
    assert list(shown["runs"]) == [str(run) for run in runs] and output.exists()
    with pytest.raises(UserError, match="a run is named twice"):
        report.run(report.parse([str(tmp_path / "results"), str(runs[0]), "-o", str(output)]))


def damaged(folder, how):
    """A run that cannot be shown."""
    run = make_run(folder, [{"problem_id": "p", "index": 0}] * (how != "empty"), graded=how != "ungraded")
    match how:
        case "torn":
            (run / "samples.jsonl").write_text('{"problem_id"\n' + (run / "samples.jsonl").read_text())
        case "json":
            (run / "run.json").write_text("{")
        case "lost":
            (run / "run.json").unlink()
        case "problems":
            (run / "problems.jsonl").unlink()
        case "folder":
            (run / "verdicts.jsonl").unlink()
            (run / "verdicts.jsonl").mkdir()
    return run


def test_a_run_that_cannot_be_shown_is_named_and_the_others_are(tmp_path, capsys):
    results, output = tmp_path / "results", tmp_path / "report.html"
    shown = [
        make_run(results / name, [{"problem_id": "p", "index": 0}], settings={"task": task})
        for name, task in (("a", "AIME"), ("deeper/b", "MATH500"))
    ]
    told = {"torn": "line 1 is damaged", "json": "cannot be read", "lost": "restore it",
            "problems": "does not name", "folder": "cannot read", "ungraded": "no verdicts yet",
            "empty": "no samples yet"}  # fmt: skip
    others = {how: damaged(results / how, how) for how in told}
    (results / "model_eval.log").write_text("")
    (tmp_path / "results.txt").write_text("{}")
    (tmp_path / "nothing").mkdir()
    for paths in ([results], [*results.iterdir()], [tmp_path / "results.txt", results, tmp_path / "nothing"]):
        assert report.run(report.parse([*map(str, paths), "-o", str(output)])) == 0
        out, err = capsys.readouterr()
        last = json.loads(out.strip().split("\n")[-1])
        assert {*last["runs"]} == {*map(str, shown)}
        assert {*last["left_out"]} == {*map(str, others.values())}
        for how, why in told.items():
            assert f"{others[how]}" in last["left_out"][str(others[how])] and why in err, how
        skipped = {str(path) for path in paths if path.suffix or path.name == "nothing"}
        assert {line.split(" is no run")[0] for line in err.split("\n") if "skipped" in line} == skipped
        page = output.read_text(encoding="utf-8")
        assert page.count('<a href="#run=') == 2 and page.count("not shown: ") == len(others)
    with pytest.raises(UserError, match="none of the 2 runs can be shown; of the first: .*no samples yet"):
        report.run(report.parse([str(others["empty"]), str(others["torn"]), "-o", str(output)]))
    with pytest.raises(UserError, match="no run at .*typo: there is no such folder"):
        report.run(report.parse([str(shown[0]), str(tmp_path / "typo"), "-o", str(output)]))
    with pytest.raises(UserError, match="no run at any of .*nothing, .*results.txt"):
        report.run(
            report.parse([str(tmp_path / "nothing"), str(tmp_path / "results.txt"), "-o", str(output)])
        )


def test_the_index_says_what_is_complete_and_leads_to_the_samples_of_each_run(browser, tmp_path):
    whole, part = (
        make_run(
            tmp_path / task,
            [{"problem_id": f"{task}{number}", "index": 0} for number in range(3)],
            problems=[{"id": "never asked"}] * (task == "AIME"),
            settings={"task": task, "model": "org/<b>m</b>"},
        )
        for task in ("MATH500", "AIME")
    )
    info = json.loads((part / "run.json").read_text())
    info["asked"]["at"] = {"0.7": [[4, 1]]}
    (part / "run.json").write_text(json.dumps(info))
    go(browser, report_of(whole, part, output=tmp_path / "report.html"))
    lines = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#runs + .wide tr")][1:]
    assert "complete" in lines[0] and "avg@1 100.0 [" in lines[0]
    assert "INCOMPLETE: 3 of 4 asked, 1 of 4 problems without a sample" in lines[1]
    browser.find_elements(By.CSS_SELECTOR, "#runs + .wide a")[1].click()
    wait_until(lambda: count(browser).startswith("3 of 6 samples"))
    assert all("AIME" in row.text for row in rows(browser))


def test_a_small_run_is_whole_beside_a_large_one(tmp_path):
    large = make_run(tmp_path / "large", [{"problem_id": f"p{number}", "index": 0} for number in range(300)])
    small = make_run(tmp_path / "small", [{"problem_id": f"p{number}", "index": 0} for number in range(20)])
    for order in ((large, small), (small, large)):
        with closing(Shelf(60)) as shelf:
            for number, run in enumerate(order):
                read_run(run, number=number, shelf=shelf)
            kept = [run for run, _ in shelf.samples()]
            assert kept.count(order.index(small)) == 20 and kept.count(order.index(large)) == 40
            assert shelf.told_of(order.index(large)) == "40 of 300" and shelf.told_of(2) == "0"


def test_a_file_without_counts_is_named(tmp_path):
    run = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}])
    for content in ("[]", '{"some": "thing"}', "no json"):
        (tmp_path / "counts.json").write_text(content)
        with pytest.raises(UserError, match="counts.json (holds no counts|cannot be read)"):
            report_of(run, output=tmp_path / "report.html", extra=["--counts", str(tmp_path / "counts.json")])


def test_a_missing_folder_for_the_report_is_named_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        report.run(report.parse([str(tmp_path / "no run"), "-o", str(tmp_path / "missing" / "report.html")]))


def test_a_run_being_written_is_reported_and_said_to_be(tmp_path, capsys):
    import fcntl

    run = make_run(tmp_path / "run", [{"problem_id": "p", "index": 0}])
    with open(run / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("process 1 on a-machine")
        lock.flush()
        report_of(run, output=tmp_path / "report.html")
    assert "is being written by process 1 on a-machine" in capsys.readouterr().err
    assert "is being written by process 1" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_memory_does_not_grow_with_the_texts(tmp_path):
    import tracemalloc

    make_large_run(tmp_path / "run", problems=50, n=20, characters=16_000)
    tracemalloc.start()
    with_texts = Shelf(200)
    read_run(tmp_path / "run", shelf=with_texts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with_texts.close()
    assert peak < 3_000_000  # the texts are 16 MB


WRONG_KINDS = {
    "settings": [{"model": 5}, {"task": None}, {"stop": "x"}, {"seed": [1]}, {"max_tokens": "100"}],
    "asked": [
        {"temperatures": 5},
        {"temperatures": [None]},
        {"temperatures": None},
        {"n": "2"},
        {"n": True},
        {"engine": [1]},
        {"engine": {"tp": "two"}},
        {"engine": {"api_base": "http://x"}},
        {"stopping": {"until_correct": 1}},
        {"stopping": [1]},
        {"data_dir": 3},
        {"system_prompt_from": ["a"]},
    ],
    "dataset": [{"path": 5}, {"revision": {}}],
    "made_with": [{"suite": 9}, {"hardware": []}, {"hardware": {"gpus": [[1]]}}],
    "prompt": [{"text": None}, {"hash": 5}],
}


@pytest.mark.parametrize(
    ("part", "wrong"), [(part, wrong) for part, all_wrong in WRONG_KINDS.items() for wrong in all_wrong]
)
@pytest.mark.parametrize("mode", ["page", "compare", "explain", "manifest"])
def test_a_run_json_with_a_value_of_the_wrong_kind_is_refused(tmp_path, mode, part, wrong):
    sample = {"problem_id": "p", "index": 0}
    right, damaged = (make_run(tmp_path / name, [sample]) for name in ("right", "damaged"))
    info = json.loads((damaged / "run.json").read_text())
    info[part] |= wrong
    (damaged / "run.json").write_text(json.dumps(info))
    flags = {"page": [damaged, "-o", tmp_path / "page.html"], "compare": ["compare", right, damaged]}
    with pytest.raises(UserError, match=r"is damaged \((.|\n)*\): restore it") as refusal:
        report.run(report.parse([*map(str, flags.get(mode, [mode, damaged]))]))
    assert next(iter(wrong)) in str(refusal.value)


# --- comparisons ---


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """A page of two runs on 40 problems: of every four, one is won by B, one by A, two are equal."""
    folder = tmp_path_factory.mktemp("compared")
    problems = [
        {"id": f"p{k}", "question": f"Question {k}: {ATTACK if k == 3 else ''}?", "about": {"level": k % 2}}
        for k in range(40)
    ]
    for name, right in (("a", (0, 2, 2, 0)), ("b", (2, 0, 2, 0))):
        samples = [
            {"problem_id": f"p{k}", "index": index, "correct": index < right[k % 4],
             "text": f"The word{name}{k} of this run. {ATTACK}"} for k in range(40) for index in range(2)
        ]  # fmt: skip
        if name == "b":
            samples[2] |= {"finish_reason": "length", "reason": "truncated", "extracted": None}
        make_run(folder / name, samples, problems=problems, settings={"model": f"org/{name}"})
    report_of(folder / "a", output=folder / "report.html")
    words = ["compare", str(folder / "a"), str(folder / "b"), "-o", str(folder / "page.html")]
    assert report.run(report.parse(words)) == 0
    return folder / "page.html"


def open_comparison(browser, page, address=""):
    browser.get("about:blank")
    browser.get(page.as_uri() + address)
    wait_until(lambda: browser.find_element(By.TAG_NAME, "html").get_attribute("data-pairs") == "ready")


FIRST_ROW = "return document.querySelector('details.sample')?.innerText"


def test_a_comparison_is_searched_filtered_and_sorted_by_its_address(browser, comparison):
    open_comparison(browser, comparison, "#change=b")
    for address, found, first in (
        ("change=b", 10, "p0"),
        ("", 40, "p0"),
        ("change=a&order=a", 10, "p1"),
        ("change=same&about.level=1", 10, "p3"),
        ("change=apart", 0, None),
        ("outcome-A=correct&outcome-B=truncated", 1, "p1"),
        ("outcome-A=wrong&order=hardest", 20, "p3"),
        ("search=wordb17", 1, "p17"),
        ("search=question+12", 1, "p12"),
        ("page=2", 40, None),
        ("change=nothing&page=-7&outcome-A=%3Cb%3E", 40, "p0"),
    ):
        browser.execute_script("location.hash = arguments[0]", address)
        wait_until(lambda found=found: count(browser) == f"{found} of 40 problems")
        on_page = 15 if "page=2" in address else min(found, 25)
        wait_until(lambda number=on_page: len(rows(browser)) == number)
        wait_until(lambda first=first: not first or f"{first}\n" in f"{browser.execute_script(FIRST_ROW)}\n")


def test_a_problem_of_a_comparison_opens_with_the_responses_of_both_runs(browser, comparison):
    open_comparison(browser, comparison)
    Select(browser.find_element(By.ID, "change")).select_by_value("b")
    wait_until(lambda: count(browser) == "10 of 40 problems")
    search(browser, "question 4:")
    (row,) = rows(browser)
    assert "+100" in row.text and "A 0 of 2" in row.text and "B 2 of 2" in row.text
    row.find_element(By.TAG_NAME, "summary").click()
    wait_until(lambda: len(row.find_elements(By.CSS_SELECTOR, ".sides .sample")) == 4)
    for one in row.find_elements(By.CSS_SELECTOR, ".sides .sample > summary"):
        one.click()
    wait_until(lambda: row.text.count("of this run.") == 4)
    sides = [side.text for side in row.find_elements(By.CSS_SELECTOR, ".sides section")]
    assert [(side.count("worda4 "), side.count("wordb4 ")) for side in sides] == [(2, 0), (0, 2)]
    assert ATTACK in row.text and browser.execute_script("return window.hacked") is None
    assert browser.current_url.endswith("#search=question+4%3A&change=b")
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(("width", "scheme"), [(1400, "dark"), (390, "light")])
def test_axe_finds_nothing_serious_in_a_comparison_and_it_fits(browser, comparison, width, scheme):
    axe = pytest.importorskip("axe_selenium_python", reason="pip install -r requirements/dev.txt has axe")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    open_comparison(browser, comparison)
    rows(browser)[0].find_element(By.TAG_NAME, "summary").click()
    wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".sides .sample")) == 4)
    found = serious(browser, axe)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert found == [] and wide <= width


def test_prompts_that_differ_stand_with_each_run_of_a_comparison(browser, tmp_path):
    for name in "ab":
        settings = {"system_prompt": f"You are {name}."}
        make_run(tmp_path / name, [{"problem_id": "p", "index": 0}], settings=settings)
    page = tmp_path / "page.html"
    report.run(report.parse(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(page)]))
    open_comparison(browser, page)
    rows(browser)[0].find_element(By.TAG_NAME, "summary").click()
    wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".sides .asked")) == 2)
    for fold in browser.find_elements(By.CSS_SELECTOR, ".asked > summary"):
        fold.click()
    first, second = browser.find_elements(By.CSS_SELECTOR, ".asked")
    wait_until(lambda: "You are a." in first.text and "You are b." in second.text)
    wait_until(lambda: browser.find_element(By.CSS_SELECTOR, ".sides").text.count("The answer is") == 2)


def test_a_comparison_links_to_the_reports_that_lie_beside_or_are_named(comparison, tmp_path):
    assert 'href="report.html"' in comparison.read_text(encoding="utf-8")
    runs = [str(comparison.parent / name) for name in "ab"]
    output, other = tmp_path / "page.html", tmp_path / "other # one.html"
    words = ["compare", *runs, "-o", str(output), "--reports", str(other), str(comparison.parent / "b.html")]
    report.run(report.parse(words))
    page = output.read_text(encoding="utf-8")
    assert 'href="other%20%23%20one.html"' in page and "/b.html" in page
    with pytest.raises(UserError, match="--reports names 1 files for 2 runs"):
        report.run(report.parse(words[:-1]))


def test_a_comparison_is_no_larger_than_it_may_be_and_keeps_both_runs_of_a_problem(tmp_path):
    dice = random.Random(5)
    for name in "ab":
        samples = [
            {"problem_id": f"p{number}", "index": 0, "text": dice.randbytes(10_000).hex()}
            for number in range(100)
        ]
        make_run(tmp_path / name, samples)
    words = ["compare", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "page.html")]
    report.run(report.parse([*words, "--page-mb", "1"]))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert 500_000 < len(page) <= 1_000_000 and re.search(r"here are \d+ of 200 samples", page)
    with closing(Shelf(60, by_problem=True)) as shelf:
        for number, name in enumerate("ab"):
            read_run(tmp_path / name, number=number, shelf=shelf)
        kept = [(run, sample["problem_id"]) for run, sample in shelf.samples()]
    assert len(kept) == 60 and {name for run, name in kept if run} == {name for run, name in kept if not run}
