"use strict";
// What a reader does with the board: chooses a table, asks for the best at an ε, sorts, filters and
// opens rows. All texts go in as text, never as markup.

const by = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
const INFINITE = "∞";
const MANY = 200; // rows, beyond which charts are drawn as pixels, which is faster
const START = 2; // the ε that the page opens with
let view, table, testSet, places = new Map(), order = { column: null, down: false };

const make = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const rank = (value) => (value === "inf" ? Infinity : value);
const short = (value) => (value === null || value === undefined ? "–" : String(+value.toPrecision(3)));
const scores = (row) => row.tests[testSet];

// The columns that fit a laptop: a heading, and what is sorted by. A row's detail has all others. What
// they show is made where the Markdown is made; the rank is the standing's at the chosen ε.
const meanOf = (name) => (row) => scores(row)?.[name]?.[0] ?? null;
const valueOf = (name) => (row) => scores(row)?.[name] ?? null;
const named = (row) => (row.best_free ? `${row.who} (the free row)` : row.who);
const RANK = "rank";
const columns = () => [
  ["generator", (row) => row.who],
  ["ε asked", (row) => rank(row.asked)],
  [RANK, (row) => places.get(row.row)?.first ?? null],
  ["Dice", meanOf("dice")],
  ["over free", meanOf("over")],
  ["gain", valueOf("gain")],
  [`ε spent, ${table.unit}`, (row) => rank(row[table.unit])],
  ["seeds", (row) => row.seeds],
  ["patients", valueOf("patients")],
  ["checked", (row) => row.check],
];
const text = (row, heading) => {
  if (heading !== RANK) return scores(row)?.cells[view.headings.indexOf(heading)] ?? "–";
  const place = places.get(row.row);
  if (!place) return "";
  return place.first === place.last ? String(place.first) : `${place.first}–${place.last}`;
};

// A number, and softer what stands behind it: "0.825 [0.780–0.870]", "0.825 (one draw)".
function cellOf(shown, heading, row) {
  if (heading === "checked") {
    const badge = ([name, words]) => make("span", { className: row.refused ? "bad" : "badge", title: words }, name);
    return Object.entries(row.badges).flatMap((one, n) => (n ? [" ", badge(one)] : [badge(one)]));
  }
  const found = shown.match(/^([+-]?[\d.]+) ([[(].*)$/);
  return found ? [found[1], " ", make("span", { className: "interval" }, found[2])] : [shown];
}

const compare = (left, right) => {
  if (left === null || left === undefined) return right === null || right === undefined ? 0 : 1;
  if (right === null || right === undefined) return -1;
  return (left > right) - (left < right);
};

// What spends no more than the chosen ε by rank, then the bookends, then the rest as it comes.
const place = (row) => {
  const found = [...places.keys()].indexOf(row.row);
  if (found >= 0) return found;
  return row.bookend && !row.unranked && !row.refused ? table.rows.length : table.rows.length + 1;
};

function ordered() {
  const words = by("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const said = (row) => [row.who, `ε=${row.epsilon}`, row.epsilon, row.status, row.selection, row.noise, ...Object.keys(row.badges)].join(" ").toLowerCase();
  const rows = table.rows.filter((row) => words.every((word) => said(row).includes(word)));
  if (order.column === null) return [...rows].sort((a, b) => place(a) - place(b));
  const key = columns()[order.column][1];
  const nothing = (row) => key(row) === null || key(row) === undefined;
  return [...rows].sort((a, b) => {
    const found = compare(key(a), key(b));
    return nothing(a) || nothing(b) || !order.down ? found : -found;
  });
}

function drawHead() {
  const cells = columns().map(([heading], number) => {
    const button = make("button", { type: "button" }, heading);
    button.addEventListener("click", () => sortBy(number));
    const cell = make("th", { scope: "col" }, button);
    const sorted = order.column === number;
    cell.setAttribute("aria-sort", sorted ? (order.down ? "descending" : "ascending") : "none");
    return cell;
  });
  document.querySelector("thead").replaceChildren(make("tr", {}, ...cells));
}

function sortBy(number) {
  const same = order.column === number;
  order = { column: number, down: same ? !order.down : columns()[number][0] === "Dice" };
  drawHead();
  drawRows();
  document.querySelectorAll("thead button")[number].focus();
}

function drawRows() {
  const shown = columns();
  const rows = ordered().map((row) => {
    const name = make("button", { type: "button", title: "Details" }, named(row));
    const cells = [make("th", { scope: "row" }, name)];
    if (row.status !== "done") {
      cells.push(make("td", {}, row.epsilon), make("td", {}));
      const words = `${row.status}: ${row.seeds} cells finished. ${row.reasons.join(" ")}`;
      cells.push(make("td", { className: "bad words", colSpan: shown.length - 3 }, words));
    } else {
      for (const [heading] of shown.slice(1)) cells.push(make("td", {}, ...cellOf(text(row, heading), heading, row)));
    }
    const line = make("tr", {}, ...cells);
    if (places.get(row.row)?.tied) line.className = "best";
    if (row.unranked) line.className = "soft";
    line.addEventListener("click", () => open(row));
    return line;
  });
  document.querySelector("tbody").replaceChildren(...rows);
  by("shown").textContent = `${rows.length} of ${table.rows.length} rows`;
}

// The answer: of the generators whose spent ε is at most what is allowed; its words are made with it.
const chosen = () => Number(by("epsilon").value);
const levelText = (value) => (value === "inf" ? INFINITE : String(value));

function answer() {
  const found = table.standings[testSet][chosen()];
  by("level").textContent = levelText(table.levels[chosen()]);
  by("epsilon").setAttribute("aria-valuetext", `ε = ${by("level").textContent}`);
  by("answer").textContent = found.headline;
  by("more").replaceChildren(...[...found.words.slice(1), ...table.trends[testSet]].map((one) => make("p", {}, one)));
  places = new Map(found.places.map((one) => [one.row, one]));
  drawRows();
  remember();
}

const UNACCOUNTED = "not accounted";

// Charts.
const theme = () => {
  const style = getComputedStyle(document.body);
  const [front, soft, line] = ["--front", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
  const axis = { labelColor: soft, titleColor: front, gridColor: line, domainColor: soft, tickColor: soft };
  return {
    aria: false, mark: { aria: false }, // the plot itself is an image with a label
    background: "transparent", axis, view: { stroke: null }, font: "system-ui, sans-serif",
    legend: { labelColor: front, titleColor: front }, text: { color: soft },
    range: { category: table.looks.map((look) => (dark.matches ? look.dark : look.light)) },
  };
};

let drawn = [];

function showLevel() {
  for (const { view: chart } of drawn) chart.signal("level", levelText(table.levels[chosen()])).run();
}

async function drawCharts() {
  const datasets = table.data[testSet];
  const figures = table.charts.filter((chart) => datasets[chart.data].length).map((chart) => {
    const plot = make("div", { className: "plot", id: `plot-${chart.name}` });
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", chart.words);
    const wide = chart.name === "trade-off" ? "wide" : "";
    return [make("figure", { className: wide }, make("figcaption", {}, chart.title), plot), plot, chart];
  });
  by("charts").replaceChildren(...figures.map(([figure]) => figure));
  const renderer = table.rows.length > MANY ? "canvas" : "svg";
  const options = { actions: false, renderer, config: theme() };
  const [lowest, highest] = table.ends[testSet];
  const values = { lowest, highest, level: levelText(table.levels[chosen()]) };
  const params = ({ spec }) => spec.params.map((one) => ({ ...one, value: values[one.name] }));
  drawn = await Promise.all(figures.map(([, plot, chart]) => vegaEmbed(plot, { ...chart.spec, params: params(chart), datasets }, options)));
  document.body.dataset.drawn = `${table.key} ${testSet} ${dark.matches ? "dark" : "light"}`;
}

// A row's detail.
function curve(name, points) {
  const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const at = ([x, y]) => `${(100 * (x - x0)) / (x1 - x0 || 1)},${38 - (36 * (y - y0)) / (y1 - y0 || 1)}`;
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${name}, from ${short(ys[0])} to ${short(ys.at(-1))}`);
  const line = document.createElementNS(space, "polyline");
  line.setAttribute("points", points.map(at).join(" "));
  for (const [key, value] of Object.entries({ fill: "none", stroke: "currentColor", "vector-effect": "non-scaling-stroke" })) line.setAttribute(key, value);
  svg.append(line);
  return make("figure", {}, svg, make("figcaption", {}, `${name}: ${short(y0)} to ${short(y1)}, ${x1} steps`));
}

const PICTURES = {
  samples: "Synthetic patches above, their vessel masks below",
  neighbours: "Synthetic patches with masks, and below each the nearest real training patch with its mask (phantoms)",
};

// What a row's Dice varies by, and how it stands against the free row.
function spreads(row) {
  const { parts, better, better_text, free_p } = scores(row), said = [];
  if ("seeds" in parts) said.push(`It varies by sd ${short(parts.seeds)} over fits, ${short(parts.patients)} over patients and ${short(parts.rest)} over what is left.`);
  else if ("known" in parts) said.push(`One draw. Seeds of this generator differ by sd ${short(parts.known)}; "What the table has" says where.`);
  else said.push("One draw: how much it varies is not known.");
  if (better) said.push(`A fresh fit beats a fresh fit of ${table.free} with probability ${better_text}.`);
  if (free_p !== null) said.push(`That both are as good: p = ${short(free_p)}, corrected for all rows.`);
  return said;
}

function parts(row) {
  const { detail } = row, made = [];
  const add = (heading, ...content) => made.push(make("h3", {}, heading), ...content);
  if (row.reasons.length) add("What failed", make("pre", { className: "bad" }, row.reasons.join("\n")));
  if (detail.checked.length) add("What was recomputed of it", ...detail.checked.map((text) => make("p", { className: row.refused ? "bad" : "" }, text)));
  if (row.unranked) add("Version", make("p", { className: "bad" }, `${row.unranked}. The same settings mean something else in the installed version.`));
  if (row.selection === UNACCOUNTED) add("Selection", make("p", { className: "bad" }, `selection: ${UNACCOUNTED}. The settings were tuned on patients.`));
  if (detail.privacy) add("Privacy, in words", ...detail.privacy.split("\n\n").map((text) => make("p", { style: "white-space:pre-line" }, text)));
  if (scores(row)) add(`Dice on ${testSet} patients`, ...spreads(row).map((text) => make("p", {}, text)));
  for (const [name, png] of Object.entries(detail.pictures)) {
    const words = PICTURES[name] ?? name;
    add(words, png ? make("img", { src: `data:image/png;base64,${png}`, alt: words }) : make("p", { className: "soft" }, view.no_picture));
  }
  const curves = Object.entries(detail.curves).filter(([, points]) => points.length > 1);
  if (curves.length) add("Training", make("div", { className: "curves" }, ...curves.map(([name, points]) => curve(name, points))));
  const settings = Object.entries(detail.settings).flatMap(([name, value]) => [
    make("dt", {}, name),
    make("dd", { className: detail.changed.includes(name) ? "changed" : "" }, value),
  ]);
  const texts = scores(row)?.cells ?? [];
  if (texts.length) add("All its numbers", make("dl", {}, ...view.headings.slice(1).flatMap((heading, n) => [make("dt", {}, heading), make("dd", {}, texts[n + 1])])));
  if (detail.plug_ins.length) add("Plug-ins from elsewhere", ...detail.plug_ins.map((one) => make("p", {}, one)));
  if (detail.fid) add("FID", make("p", {}, detail.fid));
  add(`Settings (bold: other than the ${detail.preset} preset's)`, make("dl", {}, ...settings));
  add("The command that computes it again", make("pre", {}, detail.command));
  if (detail.command_note) made.push(make("p", { className: "soft" }, detail.command_note));
  add("Run keys, by seed", make("pre", {}, detail.keys.join(" ")));
  return made;
}

// Choices, which the address has too.
function remember() {
  const said = new URLSearchParams({ table: table.key, on: testSet, epsilon: table.levels[chosen()] });
  history.replaceState(null, "", `#${said}`);
}

function asked() {
  const said = new URLSearchParams(location.hash.slice(1));
  const number = view.tables.findIndex((one) => one.key === said.get("table"));
  return { table: number < 0 ? view.start : number, on: said.get("on"), epsilon: said.get("epsilon") };
}

function chooseTestSet() {
  testSet = by("test-set").value;
  drawHead();
  answer();
  return drawCharts();
}

function chooseTable(_, said = {}) {
  table = view.tables[by("table").value];
  by("notes").textContent = table.notes.join(" ");
  by("unit").textContent = table.unit;
  by("test-set").replaceChildren(...table.test_sets.map((name) => make("option", { value: name }, name)));
  if (table.test_sets.includes(said.on)) by("test-set").value = said.on;
  const wanted = rank(said.epsilon ?? START) === Infinity ? Infinity : Number(said.epsilon ?? START);
  const last = table.levels.length - 1, near = table.levels.findLastIndex((one) => rank(one) <= wanted);
  Object.assign(by("epsilon"), { max: last, value: Math.max(near, 0), disabled: last < 1 });
  order = { column: null, down: false };
  return chooseTestSet();
}

function open(row) {
  by("detail-title").textContent = `${row.who}, ε = ${row.epsilon}`;
  by("detail-body").replaceChildren(...parts(row));
  by("detail").showModal();
  by("detail").scrollTop = 0;
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

async function start() {
  view = await unpacked(by("view").textContent);
  if (!view.tables.length) return;
  by("table").replaceChildren(...view.tables.map((one, number) => make("option", { value: number }, one.title)));
  const said = asked();
  by("table").value = said.table;
  by("table").addEventListener("change", chooseTable);
  by("test-set").addEventListener("change", chooseTestSet);
  by("epsilon").addEventListener("input", () => { answer(); showLevel(); });
  by("filter").addEventListener("input", drawRows);
  dark.addEventListener("change", drawCharts);
  addEventListener("hashchange", () => { by("table").value = asked().table; chooseTable(null, asked()); });
  await chooseTable(null, said);
}

start();
