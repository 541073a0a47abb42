// How does LaTeX become MathML? A small reader for what answers usually hold; anything else stays as it was written.
const Maths = (() => {
  const NS = "http://www.w3.org/1998/Math/MathML";
  const LETTERS = {
    alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ϵ", varepsilon: "ε", zeta: "ζ", eta: "η", theta: "θ",
    iota: "ι", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", xi: "ξ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ",
    upsilon: "υ", phi: "ϕ", varphi: "φ", chi: "χ", psi: "ψ", omega: "ω", Gamma: "Γ", Delta: "Δ", Theta: "Θ",
    Lambda: "Λ", Xi: "Ξ", Pi: "Π", Sigma: "Σ", Phi: "Φ", Psi: "Ψ", Omega: "Ω", infty: "∞", ell: "ℓ", emptyset: "∅",
    varnothing: "∅", partial: "∂", nabla: "∇", hbar: "ℏ", Re: "ℜ", Im: "ℑ", aleph: "ℵ", degree: "°", circ: "∘",
  };
  const SIGNS = {
    times: "×", cdot: "⋅", div: "÷", pm: "±", mp: "∓", le: "≤", leq: "≤", leqslant: "≤", ge: "≥", geq: "≥",
    geqslant: "≥", ne: "≠", neq: "≠", approx: "≈", equiv: "≡", cong: "≅", sim: "∼", simeq: "≃", propto: "∝", in: "∈",
    notin: "∉", ni: "∋", subset: "⊂", subseteq: "⊆", supset: "⊃", supseteq: "⊇", cup: "∪", cap: "∩", setminus: "∖",
    to: "→", rightarrow: "→", Rightarrow: "⇒", implies: "⟹", iff: "⟺", leftrightarrow: "↔", Leftrightarrow: "⇔",
    leftarrow: "←", Leftarrow: "⇐", mapsto: "↦", forall: "∀", exists: "∃", neg: "¬", lnot: "¬", land: "∧", wedge: "∧",
    lor: "∨", vee: "∨", oplus: "⊕", otimes: "⊗", perp: "⊥", parallel: "∥", mid: "∣", nmid: "∤", angle: "∠",
    triangle: "△", ldots: "…", dots: "…", cdots: "⋯", vdots: "⋮", ddots: "⋱", therefore: "∴", because: "∵", ast: "∗",
    star: "⋆", bullet: "∙", prime: "′", lfloor: "⌊", rfloor: "⌋", lceil: "⌈", rceil: "⌉", langle: "⟨", rangle: "⟩",
    lbrace: "{", rbrace: "}", "{": "{", "}": "}", vert: "|", lvert: "|", rvert: "|", Vert: "‖", "|": "‖", "%": "%",
    $: "$", "#": "#", "&": "&", _: "_", backslash: "\\", ll: "≪", gg: "≫", lt: "<", gt: ">", square: "□", surd: "√",
  };
  const LARGE = {
    sum: "∑", prod: "∏", coprod: "∐", int: "∫", iint: "∬", oint: "∮", bigcup: "⋃", bigcap: "⋂", lim: "lim",
    max: "max", min: "min", sup: "sup", inf: "inf", limsup: "lim sup", liminf: "lim inf", gcd: "gcd",
  };
  const NAMES = new Set(("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp det dim ker deg "
    + "arg Pr hom lcm mod").split(" "));
  const SPACES = { ",": "0.17em", ":": "0.22em", ";": "0.28em", " ": "0.3em", quad: "1em", qquad: "2em", "!": "0" };
  const VARIANTS = { mathbb: "double-struck", mathcal: "script", mathfrak: "fraktur", mathscr: "script" };
  const DOUBLE = { R: "ℝ", N: "ℕ", Z: "ℤ", Q: "ℚ", C: "ℂ", P: "ℙ", E: "𝔼" };
  const TEXTS = new Set(["text", "textbf", "textit", "textrm", "mbox", "hbox", "mathrm", "operatorname", "textnormal",
    "textsf", "texttt"]);
  const STYLES = new Set(["mathbf", "mathit", "mathsf", "boldsymbol", "bm", "mathtt", "displaystyle", "textstyle",
    "scriptstyle", "limits", "nolimits", "bf", "rm", "it", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr",
    "biggl", "biggr", "Biggl", "Biggr", "middle", "hline", "nonumber", "notag"]);
  const ACCENTS = { bar: "‾", overline: "‾", hat: "^", widehat: "^", vec: "→", overrightarrow: "→", tilde: "~",
    widetilde: "~", dot: "˙", ddot: "¨", overbrace: "⏞" };
  const FENCES = { matrix: ["", ""], pmatrix: ["(", ")"], bmatrix: ["[", "]"], vmatrix: ["|", "|"], Bmatrix: ["{", "}"],
    Vmatrix: ["‖", "‖"], smallmatrix: ["", ""], cases: ["{", ""], array: ["", ""], aligned: ["", ""], align: ["", ""],
    "align*": ["", ""], gathered: ["", ""], "gather*": ["", ""], gather: ["", ""], split: ["", ""],
    equation: ["", ""], "equation*": ["", ""], dcases: ["{", ""] };
  const MOST_TOKENS = 3000, MOST_DEPTH = 40;

  class Unreadable extends Error {}

  function node(name, children = [], attributes = {}) {
    const made = document.createElementNS(NS, name);
    for (const child of [].concat(children)) made.append(child);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  const row = (children) => (children.length === 1 ? children[0] : node("mrow", children));

  function tokens(source) {
    const found = source.match(/\\[a-zA-Z]+\*?|\\[\s\S]|\d+(?:\.\d+)?|\s+|[\s\S]/gu) || [];
    if (found.length > MOST_TOKENS) throw new Unreadable();
    return found;
  }

  class Reader {
    constructor(source) { this.tokens = tokens(source); this.at = 0; this.depth = 0; }

    peek() { this.skip(); return this.tokens[this.at]; }
    skip() { while (this.at < this.tokens.length && /^\s+$/u.test(this.tokens[this.at])) this.at += 1; }
    next() { this.skip(); if (this.at >= this.tokens.length) throw new Unreadable(); return this.tokens[this.at++]; }
    expect(token) { if (this.next() !== token) throw new Unreadable(); }

    all() {
      const children = this.until(() => this.peek() === undefined);
      return row(children);
    }

    until(ended) {
      if (++this.depth > MOST_DEPTH) throw new Unreadable();
      const children = [];
      while (!ended()) {
        if (this.peek() === undefined) throw new Unreadable();
        const child = this.scripted();
        if (child) children.push(child);
      }
      this.depth -= 1;
      return children;
    }

    group() {  // one argument: {...} or a single thing
      if (this.peek() === "{") {
        this.next();
        const children = this.until(() => this.peek() === "}");
        this.next();
        return row(children.length ? children : [node("mrow")]);
      }
      const token = this.peek();
      if (token !== undefined && /^\d{2,}$/.test(token)) {  // \frac12 is a half
        this.tokens.splice(this.at, 1, ...token);
      }
      return this.atom() || node("mrow");
    }

    raw() {  // the text of {...} as it stands
      this.expect("{");
      let open = 1, text = "";
      for (;;) {
        if (this.at >= this.tokens.length) throw new Unreadable();
        const token = this.tokens[this.at++];
        if (token === "{") open += 1;
        if (token === "}" && --open === 0) return text;
        text += token.startsWith("\\") && token.length === 2 ? token[1] : token;
      }
    }

    scripted() {
      const base = this.atom();
      let below = null, above = null, primes = "";
      for (;;) {
        const token = this.peek();
        if (token === "'") { this.next(); primes += "′"; }
        else if (token === "_" && !below) { this.next(); below = this.group(); }
        else if (token === "^" && !above) { this.next(); above = this.group(); }
        else break;
      }
      if (primes) above = above ? node("mrow", [node("mo", primes), above]) : node("mo", primes);
      if (!below && !above) return base;
      const inner = base || node("mrow");
      const stacked = inner.hasAttribute("data-limits");
      if (below && above) return node(stacked ? "munderover" : "msubsup", [inner, below, above]);
      return below ? node(stacked ? "munder" : "msub", [inner, below])
        : node(stacked ? "mover" : "msup", [inner, above]);
    }

    atom() {
      const token = this.next();
      if (token === "{") {
        this.at -= 1;
        return this.group();
      }
      if (/^\d/.test(token)) return node("mn", token);
      if (token.startsWith("\\")) return this.command(token.slice(1));
      if (token === "}" || token === "&" || token === "$") throw new Unreadable();
      if (token === "_" || token === "^") { this.at -= 1; return node("mrow"); }
      if (token === "~") return node("mspace", [], { width: "0.3em" });
      if (token === "-") return node("mo", "−");
      if (/^[\p{L}]$/u.test(token)) return node("mi", token);
      if (/^[()[\]|]$/.test(token)) return node("mo", token, { stretchy: "false" });
      return node("mo", token);
    }

    command(name) {
      if (name in LETTERS) return node("mi", LETTERS[name]);
      if (name in SIGNS) return node("mo", SIGNS[name], { stretchy: "false" });
      if (name in LARGE) {
        return node(LARGE[name].length > 1 ? "mi" : "mo", LARGE[name], /int$/.test(name) ? {} : { "data-limits": "" });
      }
      if (NAMES.has(name)) return node("mi", name);
      if (name in SPACES) return node("mspace", [], { width: SPACES[name] });
      if (TEXTS.has(name)) return node("mtext", this.raw());
      if (STYLES.has(name)) return null;
      if (name in VARIANTS) {
        const letters = this.peek() === "{" ? this.raw() : this.next();
        return node("mi", [...letters].map((letter) => (name === "mathbb" && DOUBLE[letter]) || letter).join(""));
      }
      if (name in ACCENTS) return node("mover", [this.group(), node("mo", ACCENTS[name])], { accent: "true" });
      switch (name) {
        case "frac": case "dfrac": case "tfrac": case "cfrac": {
          const above = this.group();
          return node("mfrac", [above, this.group()]);
        }
        case "binom": case "dbinom": case "tbinom": {
          const above = this.group();
          return node("mrow", [node("mo", "("), node("mfrac", [above, this.group()], { linethickness: "0" }),
            node("mo", ")")]);
        }
        case "sqrt": {
          if (this.peek() !== "[") return node("msqrt", this.group());
          this.next();
          const degree = row(this.until(() => this.peek() === "]"));
          this.next();
          return node("mroot", [this.group(), degree]);
        }
        case "boxed": case "fbox":
          return node("mrow", this.group(), { class: "boxed" });
        case "underline": case "underbrace":
          return node("munder", [this.group(), node("mo", name === "underline" ? "_" : "⏟")]);
        case "overset": case "stackrel": {
          const above = this.group();
          return node("mover", [this.group(), above]);
        }
        case "underset": {
          const below = this.group();
          return node("munder", [this.group(), below]);
        }
        case "pmod":
          return node("mrow", [node("mo", "("), node("mi", "mod"), node("mspace", [], { width: "0.3em" }), this.group(),
            node("mo", ")")]);
        case "bmod":
          return node("mo", "mod");
        case "left":
          return this.fenced();
        case "begin":
          return this.environment();
        case "tag": case "label":
          this.raw();
          return null;
        case "\\":
          return node("mspace", [], { linebreak: "newline" });
        default:
          throw new Unreadable();
      }
    }

    fenced() {
      const open = this.delimiter();
      const inside = this.until(() => this.peek() === "\\right");
      this.next();
      return node("mrow", [open, ...inside, this.delimiter()].filter(Boolean));
    }

    delimiter() {
      const token = this.next();
      if (token === ".") return null;
      const sign = token.startsWith("\\") ? SIGNS[token.slice(1)] : token;
      if (sign === undefined) throw new Unreadable();
      return node("mo", sign, { stretchy: "true", fence: "true" });
    }

    environment() {
      const name = this.raw();
      if (!(name in FENCES)) throw new Unreadable();
      if (name === "array") this.raw();
      const rows = [[]];
      let cell = [];
      const endCell = () => { rows.at(-1).push(node("mtd", cell)); cell = []; };
      for (;;) {
        const token = this.peek();
        if (token === undefined) throw new Unreadable();
        if (token === "&") { this.next(); endCell(); }
        else if (token === "\\\\") { this.next(); endCell(); rows.push([]); }
        else if (token === "\\end") {
          this.next();
          if (this.raw() !== name) throw new Unreadable();
          if (cell.length || rows.at(-1).length) endCell(); else rows.pop();
          break;
        } else {
          const child = this.scripted();
          if (child) cell.push(child);
        }
      }
      const align = /^(align|aligned|split)/.test(name) ? "aligned" : name === "cases" ? "cases" : "";
      const table = node("mtable", rows.map((cells) => node("mtr", cells)), { class: align });
      const [open, close] = FENCES[name];
      return node("mrow", [open && node("mo", open, { stretchy: "true", fence: "true" }), table,
        close && node("mo", close, { stretchy: "true", fence: "true" })].filter(Boolean));
    }
  }

  function render(source, display) {
    try {
      return node("math", new Reader(source).all(), display ? { display: "block" } : {});
    } catch (error) {
      if (error instanceof Unreadable) return null;
      throw error;
    }
  }

  // $$..$$, \[..\], \(..\), $..$ (no space inside the dollars, no digit behind them), and \boxed{..} on its own
  const FORMULA = new RegExp([
    /\$\$([\s\S]{1,4000}?)\$\$/, /\\\[([\s\S]{1,4000}?)\\\]/, /\\\(([\s\S]{1,2000}?)\\\)/,
    /\$(?=\S)((?:[^$\n\\]|\\[\s\S]){1,1000}?)(?<=\S)\$(?!\d)/,
    /(\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\}){0,300}\})/,
  ].map((part) => part.source).join("|"), "g");

  // Append text to an element, formulas rendered; never as HTML.
  function append(element, text) {
    let from = 0;
    for (const match of text.matchAll(FORMULA)) {
      const source = match.slice(1).find((part) => part !== undefined);
      const made = render(source, match[1] !== undefined || match[2] !== undefined);
      if (!made) continue;
      made.setAttribute("title", match[0]);
      element.append(text.slice(from, match.index), made);
      from = match.index + match[0].length;
    }
    element.append(text.slice(from));
  }

  return { append, render };
})();
