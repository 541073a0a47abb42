// The list of samples: unpacked piece by piece, searched, sorted, paged. Text only ever becomes text nodes.
"use strict";
const OUTCOMES = { correct: "correct", wrong: "wrong", undecided: "undecided", no_answer: "no answer",
  truncated: "truncated", not_judged: "not judged" };
const PAGE = 25, KEPT_PIECES = 12;
const $ = (id) => document.getElementById(id);

function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

async function unpack(id) {
  const packed = atob($(id).textContent.trim());
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i += 1) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

const pieces = new Map();
function piece(number) {
  if (!pieces.has(number)) {
    if (pieces.size >= KEPT_PIECES) pieces.delete(pieces.keys().next().value);
    pieces.set(number, unpack(`piece-${number}`));
  }
  return pieces.get(number);
}

let index, shown = [], rowsFound = 0, page = 0, searching = 0, usualView = "problems";
const runOf = []; // of each problem

const problemOf = (row) => index.problems[index.problem[row]];
const outcomeOf = (row) => index.outcomes[index.outcome[row]];
async function sampleOf(row) { return (await piece(Math.floor(row / index.per_piece)))[row % index.per_piece]; }
const endingOf = (row) => index.finish_reason[row].replaceAll("_", " ");
const reasonOf = (row) => index.reason[row].replaceAll("_", " ");

// --- choosing and ordering ---

// What each control of the list filters by. A value is text, as it stands in the address.
const FACTS = {
  run: (row) => String(index.run[row]),
  temperature: (row) => String(index.temperature[row]),
  index: (row) => String(index.index[row]),
  outcome: outcomeOf,
  reason: (row) => index.reason[row],
  finish: (row) => index.finish_reason[row],
  named: (row) => (index.named[row] ? "yes" : "no"),
  rate: (row) => rateName(rateOf(problemOf(row))),
  problem: (row) => problemOf(row).id,
  extracted: (row) => index.extracted[row] ?? "",
  reference: (row) => problemOf(row).reference ?? "",
};
const filters = () => [...document.querySelectorAll("[data-filter]")];
function factOf(control) {
  const group = control.dataset.group;
  return group === undefined ? FACTS[control.dataset.filter] : (row) => String(problemOf(row).about[group] ?? "");
}

function chosen() {
  const wanted = filters().filter((control) => control.value !== "").map((control) => [factOf(control), control.value]);
  const rows = [];
  for (let row = 0; row < index.problem.length; row += 1) {
    if (wanted.every(([fact, value]) => fact(row) === value)) rows.push(row);
  }
  return rows;
}

// [right, judged] of a problem in the whole run, at the chosen temperature if one is chosen.
function rateOf(problem) {
  const temperature = $("temperature").value;
  let right = 0, judged = 0;
  for (const [name, [some, all]] of Object.entries(problem.rates)) {
    if (temperature === "" || name === temperature) { right += some; judged += all; }
  }
  return [right, judged];
}
const share = ([right, judged]) => (judged ? right / judged : 2);
const sharedRow = (row) => share(rateOf(problemOf(row)));
const MOST_BARS = 17;
let sameCount = 0; // how many samples every problem has, if they are few and equally many
function rateName([right, judged]) {
  if (!judged) return "not judged";
  if (sameCount) return `${right} of ${judged}`;
  if (right === 0 || right === judged) return right ? "100 %" : "0 %";
  const tenth = Math.min(9, Math.floor((10 * right) / judged));
  return `${10 * tenth || 1}–${10 * tenth + 9} %`;
}

const ORDERS = {
  "": () => 0,
  shortest: (a, b) => index.tokens[a] - index.tokens[b],
  longest: (a, b) => index.tokens[b] - index.tokens[a],
  outcome: (a, b) => index.outcome[a] - index.outcome[b],
  problem: (a, b) => index.problem[a] - index.problem[b],
  hardest: (a, b) => sharedRow(a) - sharedRow(b) || index.problem[a] - index.problem[b],
  split: (a, b) => Math.abs(sharedRow(a) - 0.5) - Math.abs(sharedRow(b) - 0.5) || index.problem[a] - index.problem[b],
};

// The rows, or lists of the rows of one problem each.
function ordered(rows) {
  rows.sort((a, b) => ORDERS[$("order").value](a, b) || a - b);
  rowsFound = rows.length;
  if ($("view").value !== "problems") return rows;
  const together = new Map();
  for (const row of rows) {
    if (!together.has(index.problem[row])) together.set(index.problem[row], []);
    together.get(index.problem[row]).push(row);
  }
  return [...together.values()];
}

function saysHere(row, words) {
  const problem = problemOf(row);
  const text = `${problem.id}\n${problem.question}\n${problem.reference || ""}\n${index.extracted[row] || ""}`;
  return text.toLowerCase().includes(words);
}

async function matching(onFirst = () => {}) {
  const mine = (searching += 1);
  const words = $("search").value.trim().toLowerCase();
  const rows = chosen();
  if (!words) return rows;
  const named = rows.filter((row) => problemOf(row).id.toLowerCase() === words);
  if (named.length) return named;
  const found = new Set(rows.filter((row) => saysHere(row, words)));
  onFirst([...found]);
  const wanted = new Map();
  for (const row of rows) {
    if (found.has(row)) continue;
    const number = Math.floor(row / index.per_piece);
    if (!wanted.has(number)) wanted.set(number, []);
    wanted.get(number).push(row);
  }
  for (const [number, candidates] of wanted) {
    const samples = await unpack(`piece-${number}`);
    if (mine !== searching) return null;
    for (const row of candidates) {
      const sample = samples[row % index.per_piece];
      if (`${sample.text}\n${sample.thought}`.toLowerCase().includes(words)) found.add(row);
    }
  }
  return [...found];
}

async function refresh() {
  page = 0;
  drawOverview();
  const rows = await matching((found) => {
    shown = ordered(found);
    show(`${found.length} found, searching the responses …`);
  });
  if (rows === null) return; // another search has begun
  shown = ordered(rows);
  show();
}

// --- the address ---

const STATE = () => [$("view"), $("order"), $("search"), ...filters()];
const usual = (control) => (control.id === "view" ? usualView : "");

function keepAddress() {
  const state = new URLSearchParams(STATE().filter((one) => one.value !== usual(one)).map((one) => [one.id, one.value]));
  if (page) state.set("page", page + 1);
  history.replaceState(null, "", `#${state}`);
}

async function followAddress() {
  const state = new URLSearchParams(location.hash.slice(1));
  const follow = (control) => {
    control.value = state.get(control.id) ?? usual(control);
    if (control.selectedIndex === -1) control.value = usual(control);
  };
  STATE().forEach(follow);
  drawOverview(); // which rates there are depends on the run and the temperature
  follow($("rate"));
  $("more").open = filters().some((control) => control.value !== "" && $("more").contains(control));
  const turned = Number(state.get("page")) - 1;
  await refresh();
  if (turned > 0) { page = turned; show(); }
  if (shown.length === 1 && state.has("problem")) document.querySelector("details.sample").open = true;
  if (STATE().some((control) => state.has(control.id))) $("filter").scrollIntoView();
}

const addressOf = (facts) => `#${new URLSearchParams(facts)}`;
const addressOfSample = (row) => addressOf({ view: "samples", ...Object.fromEntries(
  ["run", "problem", "temperature", "index"].map((name) => [name, FACTS[name](row)])) });

// --- drawing ---

const MOST_LISTED = 5;

// The problems by their pass rates, those that are split and the hardest ones, and ways to samples of a kind.
function drawOverview() {
  const places = [...new Set(index.problem.filter((_, row) => $("run").value === "" || FACTS.run(row) === $("run").value))];
  if (!places.length) return;
  const problems = places.map((place) => ({ place, rate: rateOf(index.problems[place]) }));
  const judged = problems.filter(({ rate }) => rate[1]);
  const open = judged.filter(({ rate }) => share(rate) < 1);
  const apart = ({ rate }) => Math.abs(share(rate) - 0.5);
  const split = open.filter(({ rate }) => rate[0]).sort((a, b) => apart(a) - apart(b));
  const hardest = open.sort((a, b) => share(a.rate) - share(b.rate) || b.rate[1] - a.rate[1]);
  $("overview").replaceChildren(
    el("div", { class: "columns" }, drawRates(problems.map(({ rate }) => rate)),
      ...(usualView === "problems" ? [drawList("Most split", split, "split", "No problem is right in some samples and wrong in others.")] : []),
      drawList("Hardest", hardest, "hardest", judged.length ? "Every problem is right in all samples." : "Nothing is judged.")),
    drawKinds());
}

const nameOf = (place) => `${index.runs.length > 1 ? `${index.runs[runOf[place]]} · ` : ""}${index.problems[place].id}`;

function drawList(title, problems, order, none) {
  const entries = problems.slice(0, MOST_LISTED).map(({ place, rate: [right, all] }) => {
    const problem = index.problems[place];
    return el("li", {}, el("a", { href: addressOf({ view: "problems", run: runOf[place], problem: problem.id }), title: nameOf(place) },
      el("strong", {}, `${right} of ${all}`), " ", titled(problem)));
  });
  const all = el("a", { href: addressOf({ view: "problems", order }) }, `all, ${title.toLowerCase()} first`);
  return el("section", { class: "few" }, el("h3", {}, title),
    entries.length ? el("ul", {}, ...entries) : el("p", { class: "faint" }, none), problems.length > MOST_LISTED ? all : "");
}

function drawKinds() {
  const counts = new Map();
  let near = 0;
  for (let row = 0; row < index.problem.length; row += 1) {
    counts.set(outcomeOf(row), (counts.get(outcomeOf(row)) || 0) + 1);
    near += outcomeOf(row) === "truncated" && index.named[row];
  }
  const link = (title, count, facts) => el("a", { href: addressOf({ view: "samples", ...facts }) }, title,
    ...(count === null ? [] : [" ", el("b", {}, count.toLocaleString("en"))]));
  const kinds = Object.keys(OUTCOMES).filter((name) => counts.get(name))
    .map((name) => link(OUTCOMES[name], counts.get(name), { outcome: name }));
  if (near) kinds.push(link("truncated with the right value in the text", near, { outcome: "truncated", named: "yes" }));
  kinds.push(link("longest", null, { order: "longest" }), link("all", index.problem.length, {}));
  return el("p", { class: "kinds" }, "Samples: ", ...kinds);
}

// How many problems have which pass rate; a bar chooses them.
function drawRates(rates) {
  const counts = new Map();
  const judged = new Set(rates.map(([, all]) => all));
  sameCount = judged.size === 1 && [...judged][0] < MOST_BARS ? [...judged][0] : 0;
  const all = sameCount
    ? Array.from({ length: sameCount + 1 }, (_, right) => rateName([right, sameCount]))
    : ["0 %", ...Array.from({ length: 10 }, (_, tenth) => rateName([tenth || 0.5, 10])), "100 %", "not judged"];
  for (const name of all) counts.set(name, 0);
  for (const rate of rates) counts.set(rateName(rate), (counts.get(rateName(rate)) || 0) + 1);
  if (!counts.get("not judged")) counts.delete("not judged");
  const choice = $("rate").value;
  $("rate").replaceChildren(el("option", { value: "" }, "all pass rates"),
    ...[...counts].map(([name, count]) => el("option", { value: name }, `right: ${name} (${count})`)));
  $("rate").value = counts.has(choice) ? choice : "";
  const most = Math.max(1, ...counts.values());
  const bars = [...counts].map(([name, count]) => {
    const height = count ? Math.max(3, (100 * count) / most) : 0;
    const bar = el("button", { type: "button", class: "rate", "aria-pressed": String($("rate").value === name),
      "aria-label": `${count} problems right in ${name}`, title: `right in ${name}` },
      el("b", {}, count ? String(count) : ""), el("i", { style: `height: ${(height * 0.06).toFixed(2)}rem` }),
      el("span", {}, name.match(/^\d+/) ?? "–"));
    bar.addEventListener("click", () => {
      const again = $("rate").value === name;
      $("rate").value = again ? "" : name;
      $("view").value = again ? $("view").value : "problems";
      refresh();
    });
    return bar;
  });
  return el("section", {},
    el("h3", {}, sameCount ? `Problems by right samples of ${sameCount}` : "Problems by pass rate (%)"),
    el("div", { class: "rates" }, ...bars));
}

function show(note = "") {
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  page = Math.min(Math.max(page, 0), pages - 1);
  const entries = shown.slice(page * PAGE, (page + 1) * PAGE);
  const byProblem = $("view").value === "problems";
  $("samples").replaceChildren(...entries.map((entry) => (byProblem ? problemCard(entry) : card(entry, true))));
  const problems = byProblem ? `${shown.length} ${shown.length === 1 ? "problem" : "problems"}, ` : "";
  $("count").textContent = note || `${problems}${rowsFound} of ${index.problem.length} samples`;
  $("count").dataset.busy = note ? "yes" : "no";
  for (const place of document.querySelectorAll(".page-number")) place.textContent = `page ${page + 1} of ${pages}`;
  for (const button of document.querySelectorAll(".previous")) button.disabled = page === 0;
  for (const button of document.querySelectorAll(".next")) button.disabled = page >= pages - 1;
  if (!note) keepAddress();
}

function folding(summary, attributes, whenOpened) {
  const made = el("details", attributes, summary);
  made.addEventListener("toggle", () => { if (made.open && made.childElementCount === 1) whenOpened(made); });
  return made;
}
function fold(title, inside, kind = "thought") {
  return folding(el("summary", {}, title), { class: kind }, (place) => place.append(inside()));
}

function titled(problem) {
  const title = el("span", { class: "title", dir: "auto" });
  Formulas.append(title, short(problem.question.replace(/\s+/g, " "), 140), true);
  return title;
}

function answer(text, name, kind) {
  const made = el("span", { class: kind, dir: "auto" });
  if (name) made.append(name);
  if (text === null || text === undefined) made.append("—");
  else if (String(text).includes("\n")) made.append(`${String(text).split("\n").length} lines`);
  else Formulas.append(made, short(maths(String(text).replace(/\s+/g, " ")), 160));
  return made;
}

function card(row, isAlone) {
  const problem = problemOf(row), outcome = outcomeOf(row), reason = saidBeside(row);
  const run = index.runs.length > 1 ? `${index.runs[index.run[row]]} · ` : "";
  const summary = el("summary", {},
    el("span", { class: "first" }, el("span", { class: `badge ${outcome}` }, OUTCOMES[outcome]),
      el("small", { class: "faint" }, reason)),
    el("span", { class: "what" }, isAlone ? titled(problem) : "", el("small", { class: "faint" },
      `${isAlone ? `${run}${problem.id} · ` : ""}T ${index.temperature[row]} · index ${index.index[row]} · ended by ${endingOf(row)}`)),
    el("span", { class: "both" }, answer(index.extracted[row], "", "answers"),
      problem.reference === null || !isAlone ? "" : answer(problem.reference, "reference ", "faint wanted")),
    el("span", { class: "tokens" }, `${index.tokens[row].toLocaleString("en")} tokens`));
  return folding(summary, { class: "sample", "data-row": row }, (made) => fill(made, row, isAlone));
}

// The reason of a verdict, unless its outcome says so already.
function saidBeside(row) {
  const outcome = OUTCOMES[outcomeOf(row)], reason = reasonOf(row);
  return reason.includes(outcome) ? "" : reason;
}

function problemCard(rows) {
  const problem = problemOf(rows[0]), [right, judged] = rateOf(problem);
  const run = index.runs.length > 1 ? `${index.runs[index.run[rows[0]]]} · ` : "";
  const marks = rows.slice(0, 64).map((row) => el("i", { class: `badge ${outcomeOf(row)}` }));
  if (rows.length > 64) marks.push("…");
  const summary = el("summary", {},
    el("span", { class: "first" }, el("strong", {}, `${right} of ${judged}`)),
    el("span", { class: "what" }, titled(problem), el("small", { class: "faint" }, `${run}${problem.id}`)),
    el("span", { class: "both" }, problem.reference === null ? "" : answer(problem.reference, "reference ", "faint wanted")),
    el("span", { class: "marks" }, ...marks));
  return folding(summary, { class: "sample problem" }, (made) => {
    asked(made, rows[0]);
    made.append(el("h4", {}, rows.length === 1 ? "Its sample" : `Its ${rows.length} samples`), ...rows.map((row) => card(row, false)));
  });
}

// The question, its choices, and the messages as they were sent.
function asked(place, row) {
  question(place, row);
  place.append(sent(row));
}
function question(place, row) {
  const problem = problemOf(row);
  place.append(el("h4", {}, "Question"), prose(problem.question));
  if (problem.choices.length) {
    const list = el("ol", { class: "choices", type: "A" });
    for (const choice of problem.choices) {
      const entry = el("li", { dir: "auto" });
      Formulas.append(entry, choice);
      list.append(entry);
    }
    place.append(list);
  }
}
function messagesOf(row) {
  const problem = problemOf(row), run = index.run[row];
  return [["system", index.systems[run]], ["user", problem.prompt.join(problem.question)],
    ["begun answer", index.prefills[run]]].filter(([, text]) => text);
}
function sent(row) {
  return fold("Prompt as sent", () => el("div", {}, ...messagesOf(row).flatMap(([role, text]) =>
    [el("h4", {}, role), el("div", { class: "prose", dir: "auto" }, text)])), "asked");
}

function short(text, most) {
  if (text.length <= most) return text;
  return `${text.slice(0, Formulas.outside(text, most)).trimEnd()} …`; // no half formula
}
// An extracted answer is bare LaTeX: as a formula if it can be one, unless it is plain words.
const maths = (text) => (/[\\^_{}]/.test(text) && !/\$|\\[([]/.test(text) ? `$${text.trim()}$` : text);

async function fill(place, row, isAlone) {
  const problem = problemOf(row), sample = await sampleOf(row), extracted = index.extracted[row];
  const facts = el("dl", { class: "facts" });
  const fact = (name, value, formula = false) => {
    if (value === null || value === undefined || value === "") return;
    const shownValue = el("dd", { dir: "auto" });
    const lines = String(value).split("\n").length;
    if (formula && lines > 1) shownValue.append(fold(`${lines} lines`, () => code(String(value), "python")));
    else if (formula) Formulas.append(shownValue, maths(String(value)));
    else shownValue.append(String(value));
    facts.append(el("dt", {}, name), shownValue);
  };
  fact("extracted", extracted ?? "no answer found", extracted !== null);
  fact("reference", problem.reference, true);
  const outcome = OUTCOMES[outcomeOf(row)], reason = saidBeside(row);
  fact("verdict", reason ? `${outcome}: ${reason}` : outcome);
  fact("cause", sample.cause);
  fact("why", sample.detail);
  fact("found by", sample.trust ? `${sample.how} (${sample.trust} trust)` : sample.how);
  fact("grader", sample.grader);
  fact("sample", `${index.runs[index.run[row]]} · problem ${problem.id} · temperature ${index.temperature[row]} · `
    + `index ${index.index[row]} · ended by ${endingOf(row)}`);
  for (const [name, value] of Object.entries(problem.about)) fact(name, value);
  if (isAlone) asked(place, row);
  place.append(facts);
  const { thought, text } = sample;
  place.append(el("h4", {}, "Response"));
  if (thought) place.append(fold(`Thought (${thought.length.toLocaleString("en")} characters)`, () => prose(thought)));
  place.append(text.trim() ? prose(text) : el("p", { class: "faint" }, "nothing follows the thought"));
  if (sample.original) place.append(fold("As the model wrote it, before formatting", () => prose(sample.original)));
  place.append(el("div", { class: "controls" },
    copier("copy the response", () => [thought, text].filter(Boolean).join("\n\n")),
    el("a", { href: addressOf({ view: "problems", problem: problem.id }) }, "all samples of this problem"),
    el("a", { href: addressOfSample(row) }, "address of this sample")));
}

// --- text ---

const RULE = /^\s*\|?(?:\s*:?-{3,}:?\s*\|)+(?:\s*:?-{3,}:?)?\s*$/;
const cellsOf = (line) => (line.trim().replace(/^\||\|$/g, "").match(/(?:\$[^$]*\$|\\.|[^|\\])+|(?<=\|)(?=\|)/g) || [])
  .map((cell) => cell.trim());

// Text with its formulas, fenced blocks, headings, lists and tables. It only ever becomes text nodes.
function prose(text) {
  const made = el("div", { class: "prose", dir: "auto" });
  const lines = text.trim().split("\n");
  let plain = [], inFormula = 0;
  const flush = () => {
    if (plain.length) made.append(inline(el("div"), plain.join("\n").trimEnd()));
    plain = [];
  };
  const block = (element) => { flush(); made.append(element); };
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at];
    const fence = inFormula ? null : line.match(/^\s*(`{3,}|~{3,})([^`]*)$/);
    const heading = inFormula ? null : line.match(/^(#{1,6})\s+(\S.*)$/);
    const item = inFormula ? null : line.match(/^(\s*)([-*+]|\d{1,3}[.)])\s+(\S.*)$/);
    if (fence) {
      const inside = [];
      const isEnd = (one) => one.startsWith(fence[1]) && !one.replaceAll(fence[1][0], "");
      for (at += 1; at < lines.length && !isEnd(lines[at].trim()); at += 1) inside.push(lines[at]);
      block(code(inside.join("\n"), fence[2]));
    } else if (heading) {
      block(inline(el("div", { class: "heading" }), heading[2]));
    } else if (!inFormula && line.includes("|") && RULE.test(lines[at + 1] || "")) {
      const rows = [el("tr", {}, ...cellsOf(line).map((cell) => inline(el("th"), cell)))];
      for (at += 2; at < lines.length && lines[at].includes("|"); at += 1) {
        rows.push(el("tr", {}, ...cellsOf(lines[at]).map((cell) => inline(el("td"), cell))));
      }
      at -= 1;
      block(el("div", { class: "wide of-text" }, el("table", {}, ...rows)));
    } else if (item && !opensFormula(line)) {
      const depth = Math.min(6, Math.floor(item[1].length / 2));
      const sign = /\d/.test(item[2]) ? item[2] : "•";
      block(el("div", { class: "item", style: `margin-left: ${1.4 * depth}rem` },
        el("span", {}, sign), inline(el("div"), item[3])));
    } else {
      if (line.trim() || plain.length) plain.push(line);
      inFormula = inFormula + opensFormula(line) > 0 ? 1 : 0;
      if (line.includes("$$") && line.split("$$").length % 2 === 0) inFormula = inFormula ? 0 : 1;
    }
  }
  flush();
  return made;
}
const opensFormula = (line) => line.split("\\[").length - line.split("\\]").length;

// Code between backticks and what is bold; all else with its formulas.
function inline(place, text) {
  let from = 0;
  for (const match of text.matchAll(/`([^`\n]+)`|(?<![\w$*])\*\*(?=\S)([^*\n]+)(?<=\S)\*\*(?![\w*])/g)) {
    Formulas.append(place, text.slice(from, match.index));
    if (match[1] !== undefined) place.append(el("code", {}, match[1]));
    else { place.append(el("strong")); Formulas.append(place.lastChild, match[2]); }
    from = match.index + match[0].length;
  }
  Formulas.append(place, text.slice(from));
  return place;
}

function code(text, language = "") {
  return el("div", { class: "code" }, painted(el("pre", { dir: "ltr", tabindex: "0" }), text, language), copier("copy", () => text));
}

// Words, texts, numbers and comments of a program in colours of their own.
const PYTHON = "False None True and as assert async await break class continue def del elif else except finally for from global if "
  + "import in is lambda nonlocal not or pass raise return try while with yield match case self";
const BRACES = "auto bool boolean break case catch char class const continue default delete do double else enum false final float fn for "
  + "func function if impl import in int interface let long mut namespace new null nullptr package private public return short "
  + "signed sizeof static string struct super switch template this throw true try type typedef typename unsigned use using var void while";
const QUOTED = /"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/;
const LANGUAGES = [
  [/^(?:py|python)\d?$/i, PYTHON, /#[^\n]*/],
  [/^(?:c|cpp|c\+\+|cs|csharp|go|java|javascript|js|kotlin|php|rust|scala|swift|ts|typescript)$/i, BRACES, /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/],
].map(([names, words, comment]) => [names, new RegExp([`(${comment.source})`, `(${QUOTED.source})`, "\\b(\\d[\\w.]*)",
  `\\b(${words.replaceAll(" ", "|")})\\b`].join("|"), "g")]);
const KINDS = ["comment", "quoted", "number", "word"], MOST_PAINTED = 50_000;
function painted(place, text, language) {
  const name = language.trim() || (/^(?:\s*(?:def|class|for|while|if) .*:|(?:from [\w.]+ )?import [\w.]+.*)$/m.test(text) ? "python" : "");
  const pattern = text.length < MOST_PAINTED && LANGUAGES.find(([names]) => names.test(name))?.[1];
  let from = 0;
  for (const match of pattern ? text.matchAll(pattern) : []) {
    const kind = KINDS[match.slice(1).findIndex((part) => part !== undefined)];
    place.append(text.slice(from, match.index), el("span", { class: kind }, match[0]));
    from = match.index + match[0].length;
  }
  place.append(text.slice(from));
  return place;
}

function copier(label, text) {
  const button = el("button", { type: "button", class: "copy" }, label);
  const said = (done) => { button.textContent = done ? "copied" : "not copied: the browser forbids it"; };
  button.addEventListener("click", () => {
    if (navigator.clipboard) navigator.clipboard.writeText(text()).then(() => said(true), () => said(byHand(text())));
    else said(byHand(text()));
  });
  return button;
}
function byHand(text) {
  const field = el("textarea", { class: "by-hand" });
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

// What is filtered, as one object a sample; with its texts, or only what a table has room for.
async function filtered(withTexts) {
  const rows = await matching();
  const found = [];
  for (const row of (rows ?? []).sort((a, b) => a - b)) {
    const { id, question, reference, about } = problemOf(row);
    const facts = { run: index.runs[index.run[row]], problem_id: id };
    for (const name of ["temperature", "index", "reason", "finish_reason", "extracted", "tokens"]) facts[name] = index[name][row];
    facts.outcome = outcomeOf(row);
    found.push(withTexts ? { ...facts, question, reference, about, ...(await sampleOf(row)) } : { ...facts, reference, ...about, question });
  }
  return found;
}
async function downloadLines() {
  save("samples.jsonl", (await filtered(true)).map((one) => `${JSON.stringify(one)}\n`));
}
async function downloadTable() {
  const found = await filtered(false);
  const head = [...new Set(found.flatMap(Object.keys))];
  save("samples.csv", ["\ufeff", ...[head, ...found.map((one) => head.map((name) => one[name]))]
    .map((cells) => `${cells.map(cellOfTable).join(",")}\r\n`)]);
}
// A text that a spreadsheet would take for a formula of its own is not begun by its sign.
function cellOfTable(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = /^[=+@\t\r]|^-(?![\d.]+$)/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
function save(name, parts) {
  const link = el("a", { download: name, href: URL.createObjectURL(new Blob(parts)) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// --- controls ---

function themed() {
  const names = ["auto", "light", "dark"];
  const button = $("theme");
  button.addEventListener("click", () => {
    const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
    document.documentElement.dataset.theme = next;
    button.textContent = `theme: ${next}`;
  });
}

function foldAll(open) { for (const place of document.querySelectorAll("details.sample")) place.open = open; }

// The facts of `items` to choose by, the controls that show the list anew, and the buttons that turn its pages.
function listen(items, controls, refresh, turn) {
  for (const control of document.querySelectorAll("[data-group]")) {
    options(control.id, items.map((item) => String(item.about[control.dataset.group] ?? "")),
      (value) => `${control.dataset.group}: ${value}`);
  }
  let waiting;
  for (const control of controls) {
    if (control.tagName === "SELECT") control.addEventListener("change", refresh);
    else control.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 200); });
  }
  for (const button of document.querySelectorAll(".previous")) button.addEventListener("click", () => turn(-1));
  for (const button of document.querySelectorAll(".next")) button.addEventListener("click", () => turn(1));
}

async function start() {
  themed();
  for (const place of document.querySelectorAll("[data-formula], [data-prose]")) {
    const text = place.textContent;
    place.textContent = "";
    Formulas.append(place, "formula" in place.dataset ? maths(text) : text);
  }
  if ($("listed")) await startList();
  document.documentElement.dataset.ready = "yes";
}

function options(id, values, label = (value) => value) {
  const different = [...new Set(values)].filter((value) => value !== "");
  const sorted = different.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  for (const value of sorted) $(id).append(el("option", { value }, label(value)));
  $(id).hidden = different.length < 2;
}

// j and k, and on a row the arrows, go from one row to the next; / goes to the search.
const STEPS = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 };
const UNFOLDS = { ArrowRight: true, ArrowLeft: false };
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "/") { event.preventDefault(); $("search").focus(); }
  const row = event.target.closest(".sample > summary");
  if (event.key.startsWith("Arrow") && !row) return; // the page scrolls
  if (event.key in UNFOLDS) row.parentNode.open = UNFOLDS[event.key];
  if (!(event.key in STEPS)) return;
  event.preventDefault();
  const all = [...document.querySelectorAll(".sample > summary")].filter((one) => one.getClientRects().length);
  const here = all.indexOf(event.target.closest(".sample")?.querySelector("summary"));
  let next = STEPS[event.key] > 0 ? all[here + 1] : all[Math.max(here, 1) - 1];
  if (STEPS[event.key] > 0 && !next && !document.querySelector(".next").disabled) {
    page += 1;
    show();
    next = document.querySelector(".sample > summary");
  }
  if (next) next.focus();
}

async function startList() {
  index = await unpack("listed");
  index.problem.forEach((place, row) => { runOf[place] = index.run[row]; });
  usualView = new Set(index.problem).size < index.problem.length ? "problems" : "samples";
  index.runs.forEach((name, number) => $("run").append(el("option", { value: number }, name)));
  $("run").hidden = index.runs.length < 2;
  for (const outcome of index.outcomes) {
    if (index.outcome.includes(index.outcomes.indexOf(outcome))) {
      $("outcome").append(el("option", { value: outcome }, OUTCOMES[outcome]));
    }
  }
  options("temperature", index.temperature.map(String), (value) => `temperature ${value}`);
  options("index", index.index.map(String), (value) => `index ${value}`);
  options("reason", index.reason, (value) => value.replaceAll("_", " "));
  options("finish", index.finish_reason, (value) => `ended by ${value.replaceAll("_", " ")}`);
  listen(index.problems, STATE(), refresh, (by) => { page += by; show(); $("filter").scrollIntoView(); });
  $("open-all").addEventListener("click", () => foldAll(true));
  $("close-all").addEventListener("click", () => foldAll(false));
  $("download-lines").addEventListener("click", downloadLines);
  $("download-table").addEventListener("click", downloadTable);
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", followAddress);
  await followAddress();
}

start();
