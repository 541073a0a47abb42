// The list of a comparison: problems that both runs have, searched, filtered, sorted, paged, and opened side by side.
"use strict";
const LETTERS = ["A", "B"];
let rowsOfPair, pairsShown = [], pairPage = 0, pairSearch = 0;

const shareIn = (pair, run) => pair.rates[run][0] / pair.rates[run][1];
const gained = (pair) => shareIn(pair, 1) - shareIn(pair, 0);
const bothShares = (pair) => shareIn(pair, 0) + shareIn(pair, 1);

// What each control chooses by.
const CHANGES = {
  b: (pair) => gained(pair) > 1e-12,
  a: (pair) => gained(pair) < -1e-12,
  same: (pair) => Math.abs(gained(pair)) <= 1e-12,
  apart: (pair) => pair.apart,
};
const PAIR_ORDERS = {
  "": (a, b) => Math.abs(gained(b)) - Math.abs(gained(a)),
  a: (a, b) => gained(a) - gained(b),
  b: (a, b) => gained(b) - gained(a),
  hardest: (a, b) => bothShares(a) - bothShares(b),
  asked: () => 0,
};
const rowsIn = (pair, run) => rowsOfPair.get(pair)[run];
const pairControls = () => ["search", "change", "order", "outcome-A", "outcome-B"].map($).concat(
  [...document.querySelectorAll("[data-group]")]);

function chosenPairs() {
  const wanted = [];
  if ($("change").value) wanted.push(CHANGES[$("change").value]);
  LETTERS.forEach((letter, run) => {
    const outcome = $(`outcome-${letter}`).value;
    if (outcome) wanted.push((pair) => pair.outcomes[run].includes(outcome));
  });
  for (const control of document.querySelectorAll("[data-group]")) {
    if (control.value) wanted.push((pair) => String(pair.about[control.dataset.group] ?? "") === control.value);
  }
  return index.pairs.filter((pair) => wanted.every((holds) => holds(pair)));
}

async function matchingPairs(words) {
  const mine = (pairSearch += 1);
  const pairs = chosenPairs();
  if (!words) return pairs;
  const says = (...texts) => texts.join("\n").toLowerCase().includes(words);
  const found = new Set(pairs.filter((pair) => says(pair.id, pair.question, pair.reference, ...pair.answers)));
  const pieceOfRow = (row) => Math.floor(row / index.per_piece);
  const open = new Map();
  for (const pair of pairs) {
    for (const row of found.has(pair) ? [] : rowsOfPair.get(pair).flat()) {
      open.set(pieceOfRow(row), [...(open.get(pieceOfRow(row)) ?? []), [pair, row]]);
    }
  }
  for (const [number, candidates] of open) {
    const samples = await unpack(`piece-${number}`);
    if (mine !== pairSearch) return null;
    for (const [pair, row] of candidates) {
      const sample = samples[row % index.per_piece];
      if (says(sample.text, sample.thought)) found.add(pair);
    }
  }
  return pairs.filter((pair) => found.has(pair));
}

async function refreshPairs() {
  $("count").dataset.busy = "yes";
  const found = await matchingPairs($("search").value.trim().toLowerCase());
  if (found === null) return; // another search has begun
  pairsShown = found.sort(PAIR_ORDERS[$("order").value]);
  pairPage = 0;
  showPairs();
}

function showPairs() {
  const pages = Math.max(1, Math.ceil(pairsShown.length / PAGE));
  pairPage = Math.min(Math.max(pairPage, 0), pages - 1);
  $("samples").replaceChildren(...pairsShown.slice(pairPage * PAGE, (pairPage + 1) * PAGE).map(pairCard));
  $("count").textContent = `${pairsShown.length} of ${index.pairs.length} problems`;
  $("count").dataset.busy = "no";
  for (const place of document.querySelectorAll(".page-number")) place.textContent = `page ${pairPage + 1} of ${pages}`;
  for (const button of document.querySelectorAll(".previous")) button.disabled = pairPage === 0;
  for (const button of document.querySelectorAll(".next")) button.disabled = pairPage >= pages - 1;
  const state = new URLSearchParams(pairControls().filter((one) => one.value).map((one) => [one.id, one.value]));
  if (pairPage) state.set("page", pairPage + 1);
  history.replaceState(null, "", `#${state}`);
}

function pairCard(pair) {
  const change = Object.keys(CHANGES).find((name) => CHANGES[name](pair));
  const points = Math.round(100 * gained(pair));
  const told = pair.apart ? `told apart, p ${pair.p.toPrecision(2)}` : "";
  const side = (run) => el("span", { class: "side" },
    el("small", { class: "faint" }, `${LETTERS[run]} ${pair.rates[run][0]} of ${pair.rates[run][1]}`),
    pair.reference === null ? "" : answer(pair.answers[run], "", "answers"));
  const summary = el("summary", {},
    el("span", { class: "first" }, el("strong", { class: `change ${change}` }, `${points > 0 ? "+" : ""}${points}`),
      el("small", { class: "faint" }, told)),
    el("span", { class: "what" }, titled(pair), el("small", { class: "faint" }, pair.id)),
    side(0), side(1),
    el("span", { class: "both" }, pair.reference === null ? "" : answer(pair.reference, "reference ", "faint wanted")));
  return folding(summary, { class: "sample pair" }, (made) => {
    const rows = rowsOfPair.get(pair), any = rows.flat()[0];
    if (any === undefined) {
      made.append(el("h4", {}, "Question"), prose(pair.question),
        el("p", { class: "faint" }, "The page has no room for the responses to this problem: --page-mb and --samples give it more."));
      return;
    }
    const prompts = new Set(rows.filter((some) => some.length).map((some) => JSON.stringify(messagesOf(some[0]))));
    const alike = prompts.size === 1;
    question(made, any);
    if (alike) made.append(sent(any));
    made.append(el("div", { class: "sides" }, ...LETTERS.map((letter, run) => {
      const cards = rows[run].map((row) => card(row, false));
      if (cards.length === 1) cards[0].open = true;
      return el("section", {}, el("h4", {}, `${letter} · ${pair.rates[run][0]} of ${pair.rates[run][1]} right`),
        ...(alike || !rows[run].length ? [] : [sent(rows[run][0])]), ...cards);
    })));
  });
}

function onPairKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "/") { event.preventDefault(); $("search").focus(); }
  if (event.key !== "j" && event.key !== "k") return;
  const all = [...document.querySelectorAll(".pair > summary")];
  const here = all.indexOf(event.target.closest(".pair")?.querySelector("summary"));
  const next = event.key === "j" ? all[here + 1] : all[Math.max(here, 1) - 1];
  if (next) next.focus();
}

async function followPairs() {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const control of pairControls()) {
    control.value = state.get(control.id) ?? "";
    if (control.selectedIndex === -1) control.value = "";
  }
  const turned = Number(state.get("page")) - 1;
  await refreshPairs();
  if (turned > 0) { pairPage = turned; showPairs(); }
}

// Of samples that are not on the page.
const likelyOutcomes = ([right, judged]) => [...(right ? ["correct"] : []), ...(right < judged ? ["wrong"] : [])];

async function startPairs() {
  index = await unpack("paired");
  const byId = new Map(index.pairs.map((pair) => [pair.id, pair]));
  rowsOfPair = new Map(index.pairs.map((pair) => [pair, [[], []]]));
  for (let row = 0; row < index.problem.length; row += 1) {
    const pair = byId.get(problemOf(row).id);
    if (pair) rowsIn(pair, index.run[row]).push(row);
  }
  for (const pair of index.pairs) {
    pair.outcomes = [0, 1].map((run) => (rowsIn(pair, run).length ? rowsIn(pair, run).map(outcomeOf) : likelyOutcomes(pair.rates[run])));
  }
  listen(index.pairs, pairControls(), refreshPairs, (by) => { pairPage += by; showPairs(); $("list").scrollIntoView(); });
  for (const [id, open] of [["open-all", true], ["close-all", false]]) {
    $(id).addEventListener("click", () => { for (const place of document.querySelectorAll(".pair")) place.open = open; });
  }
  document.addEventListener("keydown", onPairKey);
  window.addEventListener("hashchange", followPairs);
  await followPairs();
  document.documentElement.dataset.pairs = "ready";
}

startPairs();
