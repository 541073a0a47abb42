// How does LaTeX in a text become MathML? KaTeX sets it; what it cannot read, or what does not look like a formula
// afterwards, stays as it was written. Browsers know only the core of MathML: `finished` says the rest in its words.
const Formulas = (() => {
  const NS = "http://www.w3.org/1998/Math/MathML";
  const words = (text) => new Set(text.split(" "));
  const ELEMENTS = words("math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover "
    + "mtable mtr mtd mstyle mpadded mphantom menclose");
  const ATTRIBUTES = words("display mathvariant fence separator stretchy lspace rspace minsize maxsize accent accentunder "
    + "displaystyle scriptlevel linethickness width height depth voffset columnalign columnlines columnspacing rowlines "
    + "rowspacing notation linebreak mathcolor mathbackground mathsize class encoding xmlns");
  const LENGTHS = words("lspace rspace minsize maxsize linethickness width height depth voffset");
  const TOKENS = words("mi mn mo mtext");
  const NOT_SET = "#e0e0e1"; // the colour in which KaTeX shows a command that it refuses
  const MOST_EM = 12, MOST_NODES = 6000, MOST_DEPTH = 80;
  const DEFINES = /\\(?:[egx]?def|let|futurelet|(?:re)?newcommand|providecommand|global|long|char)(?![a-zA-Z])/;
  const DISPLAYED = /\\tag|\\begin\{(?:align|alignat|gather|equation|CD)\*?\}/;
  const MACROS = { "\\mbox": "\\text{#1}", "\\framebox": "\\boxed{#1}", "\\overarc": "\\overset{\\frown}{#1}",
    "\\overparen": "\\overset{\\frown}{#1}", "\\cancelto": "\\cancel{#2}^{#1}", "\\O": "\\text{Ø}" };
  const LARGE = { sum: "∑", prod: "∏", coprod: "∐", int: "∫", iint: "∬", iiint: "∭", oint: "∮", bigcup: "⋃", bigcap: "⋂",
    bigoplus: "⨁", bigotimes: "⨂", bigodot: "⨀", bigvee: "⋁", bigwedge: "⋀", biguplus: "⨄", bigsqcup: "⨆" };
  const SCRIPTS = words("msub msup msubsup munder mover munderover");
  const WITH_LIMITS = { msub: "munder", msup: "mover", msubsup: "munderover" };
  // The first capital, small letter and digit of each alphabet, and the letters that have stood elsewhere for longer.
  const ALPHABETS = {
    "double-struck": [0x1d538, 0x1d552, 0x1d7d8, { C: "ℂ", H: "ℍ", N: "ℕ", P: "ℙ", Q: "ℚ", R: "ℝ", Z: "ℤ" }],
    script: [0x1d49c, 0x1d4b6, 0, { B: "ℬ", E: "ℰ", F: "ℱ", H: "ℋ", I: "ℐ", L: "ℒ", M: "ℳ", R: "ℛ", e: "ℯ", g: "ℊ", o: "ℴ" }],
    fraktur: [0x1d504, 0x1d51e, 0, { C: "ℭ", H: "ℌ", I: "ℑ", R: "ℜ", Z: "ℨ" }],
  };
  const SPACES = { "\u200a": 0.0556, "\u2009": 0.1667, "\u2005": 0.2222, "\u205f": 0.2222 }; // em

  class NoFormula extends Error {}

  function node(name, children = [], attributes = {}) {
    const made = document.createElementNS(NS, name);
    made.append(...children);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }
  const space = (width) => node("mspace", [], { width: `${width}em` });

  function render(source, display) {
    if (typeof katex === "undefined" || DEFINES.test(source)) return null;
    const place = document.createElement("span");
    const displayMode = display || DISPLAYED.test(source);
    try {
      katex.render(asMeant(source), place, { output: "mathml", displayMode, throwOnError: true, strict: "ignore", trust: false,
        maxExpand: 300, maxSize: MOST_EM, errorColor: NOT_SET, macros: { ...MACROS } });
      return finished(place.querySelector("math"), source);
    } catch {
      return null; // whatever a text does to KaTeX, it is shown as it was written
    }
  }

  // A percent sign is no comment that swallows the rest, and how far apart two lines are may stand behind a space.
  function asMeant(source) {
    return source.replace(/\\\\\s+(?=\[-?[\d.]+ ?[a-z]{2}\])/g, "\\\\").replace(/(\\[\s\S])|%/g, (_, escaped) => escaped ?? "\\%");
  }

  // --- what KaTeX made: looked through, and said in the words that browsers know ---

  function finished(made, source) {
    const inside = made.querySelector("semantics");
    inside.replaceWith(inside.firstElementChild);
    if (made.getElementsByTagName("*").length > MOST_NODES) throw new NoFormula();
    check(made, 0);
    const all = (name) => [...made.getElementsByTagName(name)];
    for (const one of [...all("mo"), ...all("mi")]) if (one.firstElementChild) unwrap(one);
    limits(made, source);
    for (const one of all("mo")) if (one.textContent === "\u2061") function_(one);
    for (const one of [...all("mi"), ...all("mn"), ...all("mo")]) letters(one);
    all("mo").forEach(sign);
    all("mtable").forEach(table);
    all("mover").forEach((one) => bar(one, "over"));
    all("munder").forEach((one) => bar(one, "under"));
    for (const one of all("mspace")) if (one.hasAttribute("mathbackground")) one.setAttribute("class", "rule");
    broken(made);
    for (const name of ["mathcolor", "mathbackground", "mathsize"]) { // what could hide a text
      for (const one of made.querySelectorAll(`[${name}]`)) one.removeAttribute(name);
    }
    return made;
  }

  function check(element, depth) {
    if (!ELEMENTS.has(element.localName) || element.namespaceURI !== NS || depth > MOST_DEPTH) throw new NoFormula();
    for (const { name, value } of element.attributes) {
      if (!ATTRIBUTES.has(name) || (name === "mathcolor" && value === NOT_SET)) throw new NoFormula();
      if (LENGTHS.has(name) && !isShort(value)) throw new NoFormula();
    }
    for (const child of [...element.childNodes]) {
      if (child.nodeType === Node.ELEMENT_NODE) check(child, depth + 1);
      else if (!TOKENS.has(element.localName)) child.replaceWith(space(widthOf(child.data)));
    }
  }
  function isShort(value) {
    const [, number, unit] = value.match(/^([+-]?[\d.]+)(em|ex|px|pt|mu|%)?$/) || [];
    return unit === "%" || Math.abs(Number(number)) / ({ em: 1, ex: 2, px: 13, pt: 10, mu: 18 }[unit] || 1) <= MOST_EM;
  }
  const widthOf = (text) => [...text].reduce((sum, one) => sum + (SPACES[one] || 0), 0) * (text.includes("\u2063") ? 0 : 1);

  // An operator of several parts, such as a stack, is none to a browser.
  function unwrap(operator) {
    const between = operator.localName === "mi" ? "0em" : "0.2778em";
    const side = (name) => node("mspace", [], { width: operator.getAttribute(name) ?? between });
    operator.replaceWith(node("mrow", [side("lspace"), ...operator.childNodes, side("rspace")]));
  }

  // In a line, KaTeX puts the limits beside a large sign, \limits or not.
  function limits(made, source) {
    const named = [...source.matchAll(/\\([a-zA-Z]+)\s*\\limits/g)].map((match) => LARGE[match[1]]);
    if (!named.length) return;
    for (const one of made.querySelectorAll("msub, msup, msubsup")) {
      if (!named.includes(one.firstElementChild.textContent)) continue;
      one.firstElementChild.setAttribute("movablelimits", "false");
      one.replaceWith(node(WITH_LIMITS[one.localName], one.childNodes));
    }
  }

  // Thin spaces around the name of a function, as TeX has them.
  function function_(apply) {
    let name = apply.previousElementSibling, last = apply, up = apply.parentNode;
    const isAllOf = () => up.firstElementChild === name && (up.localName === "mrow" ? up.lastElementChild === last : SCRIPTS.has(up.localName));
    for (; name && isAllOf(); up = up.parentNode) name = last = up;
    if (!name) return;
    const before = name.previousElementSibling, behind = last.nextElementSibling;
    const isOperand = (one) => one && (one.localName !== "mo" || /^[)\]}⌋⌉!]$/.test(one.textContent)) && one.localName !== "mspace";
    if (isOperand(before) && before.textContent !== "\u2061") name.before(space(0.1667));
    if (behind && behind.localName !== "mo" && !opens(behind)) last.after(space(0.1667));
  }
  const opens = (one) => one.localName === "mspace" || (one.localName === "mrow" && one.firstElementChild?.getAttribute("fence") === "true");

  function letters(token) {
    const [capital, small, digit, others] = ALPHABETS[token.getAttribute("mathvariant")] || [];
    if (!capital) return;
    const at = (start, letter, first) => (start ? String.fromCodePoint(start + letter.charCodeAt(0) - first.charCodeAt(0)) : letter);
    token.removeAttribute("mathvariant");
    token.textContent = [...token.textContent].map((letter) => others[letter] ?? (/[A-Z]/.test(letter) ? at(capital, letter, "A")
      : /[a-z]/.test(letter) ? at(small, letter, "a") : /[0-9]/.test(letter) ? at(digit, letter, "0") : letter)).join("");
  }

  // A prime and a bar that is a fence stand close, and an arrow over a letter is no mark of the letter before.
  function sign(made) {
    made.textContent = made.textContent === "\u20d7" ? "→" : made.textContent.normalize(); // a struck sign is one sign
    const isFence = made.textContent === "∣" && made.getAttribute("stretchy") === "false";
    if (isFence) made.textContent = "|";
    if (isFence || made.textContent === "′") for (const side of ["lspace", "rspace"]) made.setAttribute(side, "0em");
  }

  // Where the columns stand, how far apart, and the lines between them.
  function table(made) {
    const list = (name) => (made.getAttribute(name) || "").split(" ").filter(Boolean);
    const [aligned, apart, upright, flat, rows] = ["columnalign", "columnspacing", "columnlines", "rowlines", "rowspacing"].map(list);
    const last = (values, place) => values[Math.min(place, values.length - 1)];
    [...made.children].forEach((row, number) => [...row.children].forEach((cell, place) => {
      const half = (value) => parseFloat(value ?? "1em") / 2;
      const left = place ? half(last(apart, place - 1)) : 0, right = place + 1 < row.children.length ? half(last(apart, place)) : 0;
      const high = half(last(rows, number) ?? "0.16em") + 0.08;
      const line = (values, at, side) => (values[at] && values[at] !== "none" ? `border-${side}: 1px ${values[at]} currentColor;` : "");
      cell.setAttribute("style", `text-align: ${last(aligned, place) || "center"}; padding: ${high}em ${right}em ${high}em ${left}em;`
        + line(upright, place, "right") + line(flat, number, "bottom"));
    }));
  }

  // A bar is as wide as what it stands over, whatever font there is.
  function bar(made, side) {
    const [base, sign] = made.children;
    const isBar = /^[‾_¯]$/.test(sign.textContent) && sign.getAttribute("stretchy") === "true";
    if (isBar) made.replaceWith(node("mrow", [base], { class: `bar-${side}` }));
  }

  // A line that is broken outside of a table.
  function broken(made) {
    const row = made.firstElementChild;
    const breaks = [...row.children].filter((one) => one.getAttribute("linebreak") === "newline");
    if (!breaks.length) return;
    const lines = [[]];
    for (const one of [...row.childNodes]) if (breaks.includes(one)) lines.push([]); else lines.at(-1).push(one);
    const cell = (line) => node("mtd", line, { style: "text-align: left; padding: 0.1em 0" });
    row.replaceWith(node("mtable", lines.map((line) => node("mtr", [cell(line)])), { displaystyle: "true" }));
  }

  // $$..$$, \[..\], \(..\), $..$ (no space inside the dollars, no digit behind them), and what needs no sign around it
  const FORMULA = new RegExp([
    /\$\$([\s\S]{1,4000}?)\$\$/, /\\\[([\s\S]{1,4000}?)\\\]/, /\\\(([\s\S]{1,2000}?)\\\)/,
    /\$(?=\S)((?:[^$\n\\]|\\[\s\S]){1,1000}?)(?<=\S)\$(?!\d)/,
    /(\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\}){0,300}\})/,
    /(\\begin\{(?:align|gather|equation)\*?\}[\s\S]{1,4000}?\\end\{(?:align|gather|equation)\*?\})/,
  ].map((part) => part.source).join("|"), "g");

  // The last place before `most` that is in no formula; behind a formula that is not much longer.
  function outside(text, most) {
    for (const match of text.matchAll(FORMULA)) {
      const end = match.index + match[0].length;
      if (match.index >= most) break;
      if (end > most) return end < 2 * most ? end : match.index;
    }
    return most;
  }

  // Append text to an element, formulas rendered, all within the line or not; never as HTML.
  function append(element, text, inLine = false) {
    let from = 0;
    for (const match of text.matchAll(FORMULA)) {
      const source = match.slice(1).find((part) => part !== undefined);
      const made = render(source, !inLine && (match[1] !== undefined || match[2] !== undefined));
      if (!made) continue;
      made.setAttribute("title", match[0]);
      element.append(text.slice(from, match.index), made);
      from = match.index + match[0].length;
    }
    element.append(text.slice(from));
  }

  return { append, outside, render };
})();
