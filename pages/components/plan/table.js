// The plan's table. An edit stays pending here until the server says that it has it, and is sent
// again with every later one: nothing typed is lost, however long a rerun takes.

const SVG = "http://www.w3.org/2000/svg";
const COLUMNS = [
  ["locked", "Lock", "Fills and bulk edits leave locked layers alone.", (row) => !row.locked],
  ["layer", "Layer", "In execution order. A click brings a layer into focus.", (row) => row.place],
  ["curve", "Curve", "Measured loss by this row's criterion.", null],
  ["ratio", "Ratio (%)", "Fraction to remove, of the original. Enter goes to the next row.",
    (row) => -row.ratio],
  ["criterion", "Criterion", "Which channels go first.", (row) => row.criterion],
  ["achieved", "Achieved", "Of the units, after rounding to whole ones or to a multiple, and what " +
    "stays.", (row) => -row.achieved],
  ["tolerated", "Tolerated", "Largest measured ratio within the tolerance, by this row's " +
    "criterion.", (row) => -(row.tolerated ?? -1)],
  ["takes", "Takes", "Share of the model's parameters that removing the whole group saves.",
    (row) => -row.takes],
  ["drop", "", "What this layer costs when it is pruned alone, with its interval.",
    (row) => -(row.loss ?? -1e9)],
];

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function percent(value) {
  return value === null ? "\u2013" : `${value.toFixed(2)}\u00a0%`;
}

/** A dotted name that breaks after its dots. */
function dotted(name) {
  return name.split(/(?<=\.)/).flatMap((part, place) => (place ? [make("wbr"), part] : [part]));
}

/** Read a ratio as people type it; null for what is none. */
function ratioOf(text) {
  const plain = text.trim().replace("%", "").replace(",", ".").trim();
  const value = Number(plain);
  return plain === "" || !(value >= 0 && value <= 100) ? null : Math.round(value * 100) / 100;
}

class Table {
  constructor(root, alone) {
    // What the drop of one layer is called: the task's word.
    this.alone = alone;
    this.client = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());
    this.last = 0;
    this.pending = [];
    this.rows = [];
    this.lines = new Map();
    this.open = null;
    this.sorted = { column: "layer", up: true };
    this.bar(root);
    this.head = make("tr");
    this.body = make("tbody");
    const table = make("table", {}, make("thead", {}, this.head), this.body);
    table.setAttribute("aria-label", "Ratio and criterion of each layer of the plan");
    root.append(make("div", { className: "frame" }, table));
    this.headings();
  }

  bar(root) {
    this.search = make("input", {
      type: "search", placeholder: "Find a layer", oninput: () => this.layOut(),
    });
    this.search.setAttribute("aria-label", "Find a layer");
    this.bulk = make("input", { className: "number", value: "50", inputMode: "decimal" });
    this.bulk.setAttribute("aria-label", "Ratio for the rows shown, in percent");
    this.count = make("button", { type: "button", onclick: () => this.setShown() });
    this.fold = make("button", { type: "button", onclick: () => this.foldAll() });
    this.bulk.addEventListener("keydown", (event) => event.key === "Enter" && this.setShown());
    root.append(make("div", { className: "bar" }, this.search, this.fold,
      make("span", { className: "set" }, this.count, this.bulk, " %")));
  }

  headings() {
    for (const [name, label, help, order] of COLUMNS) {
      const cell = make("th", { title: help, scope: "col", className: name });
      if (order) {
        const text = label || this.alone;
        const button = make("button", { type: "button", onclick: () => this.sort(name) }, text);
        cell.append(button);
      } else cell.append(label);
      this.head.append(cell);
    }
  }

  sort(name) {
    const same = this.sorted.column === name;
    this.sorted = { column: name, up: same ? !this.sorted.up : true };
    this.layOut();
  }

  /** Take what the server says. */
  update(data, send, focus) {
    Object.assign(this, { send, focus, criteria: data.criteria, reach: data.reach });
    this.inFocus = data.focus;
    if (data.applied && data.applied.client === this.client) {
      this.pending = this.pending.filter((item) => item.number > data.applied.number);
    }
    const keys = (rows) => rows.map((row) => row.key).join("\n");
    const isNew = keys(this.rows) !== keys(data.rows);
    this.rows = data.rows.map((row, place) => ({ ...row, place }));
    const blocks = new Set(this.rows.map((row) => row.block));
    this.isFolded = blocks.size < this.rows.length;
    if (this.open === null || isNew) this.open = new Set();
    if (isNew) {
      this.lines.clear();
      for (const row of this.rows) this.lines.set(row.key, this.line(row));
    }
    for (const item of this.pending) this.rowOf(item.key)[item.field] = item.value;
    for (const row of this.rows) this.fill(row);
    if (isNew) this.layOut();
    else this.headers();
  }

  rowOf(key) {
    return this.rows.find((row) => row.key === key) ?? {};
  }

  line(row) {
    const key = row.key;
    const line = { key };
    line.locked = make("input", {
      type: "checkbox", onchange: () => this.change([[key, "locked", line.locked.checked]]),
    });
    line.layer = make("button", { type: "button", onclick: () => this.focus(row.layer) });
    line.others = make("small");
    line.note = make("div", { className: "note" });
    line.curve = make("td", { className: "curve" });
    line.ratio = make("input", { className: "number", inputMode: "decimal" });
    line.ratio.addEventListener("change", () => this.commit(line));
    line.ratio.addEventListener("keydown", (event) => this.key(event, line));
    line.ratio.addEventListener("focus", () => line.ratio.select());
    line.criterion = make("select", {
      onchange: () => this.change([[key, "criterion", line.criterion.value]]),
    });
    for (const name of ["achieved", "tolerated", "takes", "drop"]) {
      line[name] = make("td", { className: name });
    }
    for (const name of ["locked", "ratio", "criterion"]) {
      const label = { locked: "Lock", ratio: "Ratio of", criterion: "Criterion of" }[name];
      line[name].setAttribute("aria-label", `${label} ${row.layer}`);
    }
    line.node = make("tr", {}, make("td", { className: "locked" }, line.locked),
      make("th", { scope: "row", className: "layer" }, line.layer, line.others, line.note),
      line.curve, make("td", { className: "ratio" }, line.ratio),
      make("td", { className: "criterion" }, line.criterion),
      line.achieved, line.tolerated, line.takes, line.drop);
    line.node.dataset.key = key;
    return line;
  }

  /** Write a row's values, but never over what is being typed. */
  fill(row) {
    const line = this.lines.get(row.key);
    const isTyping = line.ratio.getRootNode().activeElement === line.ratio;
    line.locked.checked = row.locked;
    line.note.textContent = row.note;
    if (!isTyping || line.ratio.value === line.shown) {
      const text = row.ratio.toFixed(2);
      if (line.ratio.value !== text) line.ratio.value = text;
      line.shown = text;
    }
    this.offer(line, row);
    line.achieved.replaceChildren(percent(row.achieved), make("small", {}, row.stay));
    const bar = make("span", { className: "share" });
    bar.style.setProperty("--share", `${row.tolerated ?? 0}%`);
    line.tolerated.replaceChildren(percent(row.tolerated), row.tolerated === null ? "" : bar);
    line.takes.textContent = percent(row.takes);
    line.drop.replaceChildren(row.drop, make("small", {}, row.interval));
    line.node.classList.toggle("focus", row.layer === this.inFocus);
    line.node.classList.toggle("cut", row.achieved > 0);
    const drawn = JSON.stringify([row.curve, this.reach]);
    if (line.drawn !== drawn) line.curve.replaceChildren(sparkline(row.curve, this.reach));
    line.drawn = drawn;
  }

  offer(line, row) {
    const offered = JSON.stringify(this.criteria);
    if (line.offered !== offered) {
      const groups = this.criteria.map(([title, items]) => make("optgroup", { label: title },
        ...items.map(([name, label]) => make("option", { value: name }, label))));
      line.criterion.replaceChildren(...groups);
      line.offered = offered;
    }
    line.criterion.value = row.criterion;
  }

  shown() {
    const wanted = this.search.value.trim().toLowerCase();
    const isWanted = (name) => name.toLowerCase().includes(wanted);
    return this.rows.filter((row) => [row.layer, ...row.others].some(isWanted));
  }

  layOut() {
    const found = this.shown();
    const order = COLUMNS.find(([name]) => name === this.sorted.column)[3];
    const sign = this.sorted.up ? 1 : -1;
    const compare = (a, b) => (a < b ? -sign : a > b ? sign : 0);
    const rows = found.toSorted((a, b) => compare(order(a), order(b)) || a.place - b.place);
    const folded = this.isFolded && this.sorted.column === "layer" && !this.search.value.trim();
    const nodes = [];
    this.titles = new Map();
    const members = Map.groupBy(rows, (row) => (folded ? row.block : ""));
    for (const [block, items] of members) {
      if (folded) nodes.push(this.title(block, items));
      if (!folded || this.open.has(block)) {
        nodes.push(...items.map((row) => this.named(row, folded ? block : "")));
      }
    }
    if (!nodes.length) {
      nodes.push(make("tr", {}, make("td", { colSpan: COLUMNS.length }, "No layer matches.")));
    }
    this.body.replaceChildren(...nodes);
    this.fold.hidden = !folded;
    this.headers();
  }

  /** Return a row's line; below its block the block's name is not said again. */
  named(row, block) {
    const line = this.lines.get(row.key);
    const isInside = block && row.layer.startsWith(`${block}.`);
    const name = isInside ? row.layer.slice(block.length + 1) : row.layer;
    line.layer.replaceChildren(...dotted(name));
    const count = row.others.length;
    line.others.textContent = count ? `and ${count} more ${count === 1 ? "layer" : "layers"}` : "";
    line.layer.title = [row.layer, ...row.others].join(", ");
    line.others.title = line.layer.title;
    line.node.classList.toggle("inside", Boolean(isInside));
    return line.node;
  }

  /** The row that stands for a block: how many groups, what is cut, one ratio for all. */
  title(block, items) {
    const isOpen = this.open.has(block);
    const input = make("input", { className: "number", inputMode: "decimal", placeholder: "all" });
    input.setAttribute("aria-label", `Ratio of all groups of ${block}`);
    input.addEventListener("change", () => {
      const ratio = ratioOf(input.value);
      if (ratio !== null) this.setRows(this.rows.filter((row) => row.block === block), ratio);
      input.value = "";
    });
    const toggle = make("button", { type: "button", onclick: () => this.toggle(block) },
      `${isOpen ? "\u25be" : "\u25b8"}\u00a0`, ...dotted(block));
    toggle.setAttribute("aria-expanded", String(isOpen));
    const about = make("td", { colSpan: COLUMNS.length - 4, className: "about" });
    this.titles.set(block, about);
    return make("tr", { className: "block" }, make("td"),
      make("th", { scope: "row", className: "layer" }, toggle),
      make("td", { className: "curve" }), make("td", { className: "ratio" }, input), about);
  }

  toggle(block) {
    if (!this.open.delete(block)) this.open.add(block);
    this.layOut();
  }

  foldAll() {
    const blocks = new Set(this.rows.map((row) => row.block));
    this.open = this.open.size ? new Set() : blocks;
    this.layOut();
  }

  /** Say what depends on values: counts, directions, sums of blocks. */
  headers() {
    [...this.head.children].forEach((cell, place) => {
      const isSorted = COLUMNS[place][0] === this.sorted.column;
      cell.setAttribute("aria-sort",
        isSorted ? (this.sorted.up ? "ascending" : "descending") : "none");
    });
    const count = this.shown().filter((row) => !row.locked).length;
    const which = this.search.value.trim() ? "matching" : "unlocked";
    this.count.textContent = `Set ${count} ${which} ${count === 1 ? "row" : "rows"} to`;
    this.count.disabled = count === 0;
    this.fold.textContent = this.open.size ? "Fold all blocks" : "Open all blocks";
    for (const [block, about] of this.titles ?? []) {
      const rows = this.rows.filter((row) => row.block === block);
      const cut = rows.filter((row) => row.achieved > 0);
      const kept = rows.reduce((sum, row) => sum + row.kept, 0);
      const total = rows.reduce((sum, row) => sum + row.total, 0);
      const groups = `${rows.length} ${rows.length === 1 ? "group" : "groups"}`;
      about.textContent = cut.length
        ? `${groups}, ${cut.length} pruned: ${kept.toLocaleString("en")} of ` +
          `${total.toLocaleString("en")} units stay`
        : `${groups}, none pruned`;
    }
  }

  setShown() {
    const ratio = ratioOf(this.bulk.value);
    this.bulk.classList.toggle("wrong", ratio === null);
    if (ratio !== null) this.setRows(this.shown(), ratio);
  }

  setRows(rows, ratio) {
    this.change(rows.filter((row) => !row.locked).map((row) => [row.key, "ratio", ratio]));
  }

  commit(line) {
    const ratio = ratioOf(line.ratio.value);
    line.ratio.classList.toggle("wrong", ratio === null);
    line.ratio.title = ratio === null ? "A ratio is a number from 0 to 100." : "";
    if (ratio === null) return;
    line.shown = line.ratio.value;
    if (ratio !== this.rowOf(line.key).ratio) this.change([[line.key, "ratio", ratio]]);
  }

  key(event, line) {
    if (event.key === "Escape") {
      line.ratio.value = line.shown;
      line.ratio.classList.remove("wrong");
      return;
    }
    const isUp = event.key === "ArrowUp" || (event.key === "Enter" && event.shiftKey);
    if (!isUp && event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    this.commit(line);
    const inputs = [...this.body.querySelectorAll("tr[data-key] input.number")];
    const next = inputs[inputs.indexOf(line.ratio) + (isUp ? -1 : 1)];
    if (next) next.focus();
    else line.ratio.select();
  }

  change(items) {
    for (const [key, field, value] of items) {
      this.pending = this.pending.filter((item) => item.key !== key || item.field !== field);
      this.last += 1;
      this.pending.push({ number: this.last, key, field, value });
      const row = this.rowOf(key);
      row[field] = value;
      this.fill(row);
    }
    if (items.length) this.send({ client: this.client, items: this.pending });
    this.headers();
  }
}

function sparkline(values, [low, high]) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 64 20");
  svg.setAttribute("aria-hidden", "true");
  if (values.length < 2) return svg;
  const step = 62 / (values.length - 1);
  const points = values.map((value, place) =>
    `${(1 + place * step).toFixed(1)},${(19 - ((value - low) / (high - low)) * 18).toFixed(1)}`);
  const path = document.createElementNS(SVG, "polyline");
  path.setAttribute("points", points.join(" "));
  svg.append(path);
  return svg;
}

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".plan");
  root.table ??= new Table(root, data.alone);
  root.table.update(
    data,
    (edits) => setStateValue("edits", edits),
    (layer) => setTriggerValue("focus", layer),
  );
}
