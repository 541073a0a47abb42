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

let index, shown = [], page = 0, searching = 0;

const problemOf = (row) => index.problems[index.problem[row]];
const outcomeOf = (row) => index.outcomes[index.outcome[row]];
async function sampleOf(row) { return (await piece(Math.floor(row / index.per_piece)))[row % index.per_piece]; }

// --- choosing and ordering ---

function chosen() {
  const run = $("run").value, outcome = $("outcome").value;
  const rows = [];
  for (let row = 0; row < index.problem.length; row += 1) {
    if (run !== "" && index.run[row] !== Number(run)) continue;
    if (outcome !== "" && outcomeOf(row) !== outcome) continue;
    rows.push(row);
  }
  return rows;
}

const ORDERS = {
  stored: () => 0,
  shortest: (a, b) => index.tokens[a] - index.tokens[b],
  longest: (a, b) => index.tokens[b] - index.tokens[a],
  outcome: (a, b) => index.outcome[a] - index.outcome[b],
  problem: (a, b) => index.problem[a] - index.problem[b],
};

function ordered(rows) { return rows.sort((a, b) => ORDERS[$("order").value](a, b) || a - b); }

function saysHere(row, words) {
  const problem = problemOf(row);
  const text = `${problem.id}\n${problem.question}\n${problem.reference || ""}\n${index.extracted[row] || ""}`;
  return text.toLowerCase().includes(words);
}

async function refresh() {
  const mine = (searching += 1);
  const words = $("search").value.trim().toLowerCase();
  const rows = chosen();
  page = 0;
  if (!words) {
    shown = ordered(rows);
    show();
    return;
  }
  const found = new Set(rows.filter((row) => saysHere(row, words)));
  shown = ordered([...found]);
  show(`${found.size} found, searching the responses …`);
  const wanted = new Map();
  for (const row of rows) {
    if (found.has(row)) continue;
    const number = Math.floor(row / index.per_piece);
    if (!wanted.has(number)) wanted.set(number, []);
    wanted.get(number).push(row);
  }
  for (const [number, candidates] of wanted) {
    const samples = await unpack(`piece-${number}`);
    if (mine !== searching) return;
    for (const row of candidates) {
      const sample = samples[row % index.per_piece];
      if (`${sample.text}\n${sample.thought}`.toLowerCase().includes(words)) found.add(row);
    }
  }
  shown = ordered([...found]);
  show();
}

// --- drawing ---

function show(note = "") {
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  page = Math.min(Math.max(page, 0), pages - 1);
  const rows = shown.slice(page * PAGE, (page + 1) * PAGE);
  $("samples").replaceChildren(...rows.map(card));
  $("count").textContent = note || `${shown.length} of ${index.problem.length} samples`;
  $("count").dataset.busy = note ? "yes" : "no";
  for (const place of document.querySelectorAll(".page-number")) place.textContent = `page ${page + 1} of ${pages}`;
  for (const button of document.querySelectorAll(".previous")) button.disabled = page === 0;
  for (const button of document.querySelectorAll(".next")) button.disabled = page >= pages - 1;
}

function card(row) {
  const problem = problemOf(row), outcome = outcomeOf(row);
  const answers = el("span", { class: "answers" });
  if (index.extracted[row] !== null) Maths.append(answers, short(maths(index.extracted[row]), 160));
  else answers.append("—");
  const title = el("span", { class: "title" });
  Maths.append(title, short(problem.question.replace(/\s+/g, " "), 140));
  const summary = el("summary", {},
    el("span", { class: `badge ${outcome}` }, OUTCOMES[outcome]), title, answers,
    el("span", { class: "tokens" }, `${index.tokens[row].toLocaleString("en")} tokens`));
  const made = el("details", { class: "sample", "data-row": row }, summary);
  made.addEventListener("toggle", () => { if (made.open && made.childElementCount === 1) fill(made, row); });
  return made;
}

function short(text, most) {
  if (text.length <= most) return text;
  let head = text.slice(0, most);
  if ((head.match(/(?<!\\)\$/g) || []).length % 2) head = head.slice(0, head.lastIndexOf("$")); // no half formula
  return `${head.trimEnd()} …`;
}
// An extracted answer is bare LaTeX: as a formula if it can be one, unless it is plain words.
const maths = (text) => (/[\\^_{}]/.test(text) && !text.includes("$") ? `$${text.trim()}$` : text);

async function fill(place, row) {
  const problem = problemOf(row), sample = await sampleOf(row);
  const facts = el("dl", { class: "facts" });
  const fact = (name, value, formula = false) => {
    if (value === null || value === undefined || value === "") return;
    const shownValue = el("dd");
    if (formula) Maths.append(shownValue, maths(String(value))); else shownValue.append(String(value));
    facts.append(el("dt", {}, name), shownValue);
  };
  fact("extracted", sample.extracted ?? "no answer found", sample.extracted !== null);
  fact("reference", problem.reference, true);
  const outcome = OUTCOMES[outcomeOf(row)], reason = (sample.reason || "").replaceAll("_", " ");
  fact("verdict", reason && !reason.includes(outcome) ? `${outcome}: ${reason}` : outcome);
  fact("cause", sample.cause);
  fact("why", sample.detail);
  fact("found by", sample.trust ? `${sample.how} (${sample.trust} trust)` : sample.how);
  fact("grader", sample.grader);
  fact("sample", `${index.runs[index.run[row]]} · problem ${problem.id} · temperature ${sample.temperature} · `
    + `index ${sample.index} · ended by ${sample.finish_reason}`);
  for (const [name, value] of Object.entries(problem.about)) fact(name, value);
  place.append(el("h4", {}, "Question"), prose(problem.question));
  if (problem.choices.length) {
    const list = el("ol", { class: "choices", type: "A" });
    for (const choice of problem.choices) { const entry = el("li"); Maths.append(entry, choice); list.append(entry); }
    place.append(list);
  }
  place.append(facts);
  const { thought, text } = sample;
  place.append(el("h4", {}, "Response"));
  if (thought) {
    const fold = el("details", { class: "thought" },
      el("summary", {}, `Thought (${thought.length.toLocaleString("en")} characters)`));
    fold.addEventListener("toggle", () => { if (fold.open && fold.childElementCount === 1) fold.append(prose(thought)); });
    place.append(fold);
  }
  place.append(text.trim() ? prose(text) : el("p", { class: "faint" }, "nothing follows the thought"));
  if (sample.original) {
    const fold = el("details", { class: "thought" }, el("summary", {}, "As the model wrote it, before formatting"));
    fold.append(prose(sample.original));
    place.append(fold);
  }
}

function prose(text) {
  const made = el("div", { class: "prose" });
  Maths.append(made, text.trim());
  return made;
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

async function start() {
  themed();
  for (const place of document.querySelectorAll("[data-formula], [data-prose]")) {
    const text = place.textContent;
    place.textContent = "";
    Maths.append(place, "formula" in place.dataset ? maths(text) : text);
  }
  if ($("index")) await startList();
  document.documentElement.dataset.ready = "yes";
}

async function startList() {
  index = await unpack("index");
  if (index.runs.length > 1) index.runs.forEach((name, number) => $("run").append(el("option", { value: number }, name)));
  else $("run").hidden = true;
  for (const outcome of index.outcomes) {
    if (index.outcome.includes(index.outcomes.indexOf(outcome))) {
      $("outcome").append(el("option", { value: outcome }, OUTCOMES[outcome]));
    }
  }
  let waiting;
  $("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 200); });
  for (const id of ["run", "outcome", "order"]) $(id).addEventListener("change", refresh);
  const turn = (by) => { page += by; show(); $("list").scrollIntoView(); };
  for (const button of document.querySelectorAll(".previous")) button.addEventListener("click", () => turn(-1));
  for (const button of document.querySelectorAll(".next")) button.addEventListener("click", () => turn(1));
  $("open-all").addEventListener("click", () => foldAll(true));
  $("close-all").addEventListener("click", () => foldAll(false));
  await refresh();
}

start();
