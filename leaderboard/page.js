"use strict";
// What a reader does with the board: chooses a table, asks for the best at an ε, sorts, filters and
// opens rows. All texts go in as text, never as markup.

const by = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
const INFINITE = "∞";
const MANY = 200; // rows, beyond which charts are drawn as pixels, which is faster
let view, table, testSet, order = { column: null, down: false };

const make = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const rank = (value) => (value === "inf" ? Infinity : value);
const short = (value) => (value === null || value === undefined ? "–" : String(+value.toPrecision(3)));
const scores = (row) => row.tests[testSet];

// The columns: a heading, and what is sorted by. What they show is made where the Markdown is made.
const meanOf = (name) => (row) => scores(row)?.[name]?.[0] ?? null;
const valueOf = (name) => (row) => scores(row)?.[name] ?? null;
const named = (row) => (row.best_free ? `${row.who} (the free row)` : row.who);
const columns = () => [
  ["generator", (row) => row.who],
  ["ε asked", (row) => rank(row.asked)],
  ["unit", (row) => row.unit],
  ["Dice", meanOf("dice")],
  ["patients", valueOf("patients")],
  ["seed sd", (row) => scores(row)?.parts.seeds ?? null],
  ["patient sd", (row) => scores(row)?.parts.patients ?? null],
  ["of real", valueOf("real")],
  ["gain", valueOf("gain")],
  ["over free", meanOf("over")],
  ["ε spent, patch", (row) => rank(row.patch)],
  ["ε spent, patient", (row) => rank(row.patient)],
  ["δ", (row) => row.delta],
  ["95HD mm", meanOf("hd95_mm")],
  ["bAVD mm", meanOf("bavd_mm")],
  ["clDice", meanOf("cldice")],
  ["FID", (row) => row.fid],
  ["offline distance", (row) => row.distance],
  ["mask distance", (row) => row.masks],
  ["seconds", (row) => row.seconds],
  ["peak MiB", (row) => row.peak],
  ["seeds", (row) => row.seeds],
  ["selection", (row) => row.selection],
  ["noise", (row) => row.noise],
  ["sites", (row) => row.sites],
  ["version", (row) => row.version],
  ["suite", (row) => `${row.suite} ${row.commit}`],
  ["checked", (row) => row.check],
];

// A number, and softer what stands behind it: "0.825 [0.780–0.870]", "0.825 (one draw)".
function cellOf(text, heading, row) {
  if (heading === "checked") return [make("span", { className: row.refused ? "bad" : "" }, text)];
  const found = text.match(/^([+-]?[\d.]+) ([[(].*)$/);
  return found ? [found[1], " ", make("span", { className: "interval" }, found[2])] : [text];
}

const compare = (left, right) => {
  if (left === null || left === undefined) return right === null || right === undefined ? 0 : 1;
  if (right === null || right === undefined) return -1;
  return (left > right) - (left < right);
};

function ordered() {
  const words = by("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (row) => [row.who, `ε=${row.epsilon}`, row.epsilon, row.status, row.selection, row.noise, row.check].join(" ").toLowerCase();
  const rows = table.rows.filter((row) => words.every((word) => text(row).includes(word)));
  if (order.column === null) return rows;
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
      cells.push(make("td", {}, row.epsilon), make("td", {}, row.unit));
      const words = `${row.status}: ${row.seeds} cells finished. ${row.reasons.join(" ")}`;
      cells.push(make("td", { className: "bad words", colSpan: shown.length - 3 }, words));
    } else {
      const texts = scores(row)?.cells;
      shown.slice(1).forEach(([heading], n) => cells.push(make("td", {}, ...cellOf(texts?.[n + 1] ?? "–", heading, row))));
    }
    const line = make("tr", {}, ...cells);
    if (row.unranked) line.className = "soft";
    line.addEventListener("click", () => open(row));
    return line;
  });
  document.querySelector("tbody").replaceChildren(...rows);
  by("shown").textContent = `${rows.length} of ${table.rows.length} rows`;
}

// The answer: of the generators whose spent ε is at most what is allowed; its words are made with it.
function answer() {
  const at = Number(by("epsilon").value);
  const allowed = rank(table.levels[at]);
  by("level").textContent = allowed === Infinity ? INFINITE : String(allowed);
  by("answer").replaceChildren(...table.standings[testSet][at].words.map((text) => make("p", {}, text)));
}

const UNACCOUNTED = "not accounted";

// Charts.
const theme = () => {
  const style = getComputedStyle(document.body);
  const [front, soft, line] = ["--front", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
  const axis = { labelColor: soft, titleColor: front, gridColor: line, domainColor: soft, tickColor: soft };
  return {
    background: "transparent", axis, view: { stroke: null }, font: "system-ui, sans-serif",
    legend: { labelColor: front, titleColor: front }, text: { color: soft },
    range: { category: dark.matches ? ["#7cc4ff", "#ffb454", "#7ee2a8", "#ff9db0", "#d2a8ff", "#e8d96b", "#b8c0c8", "#ff8f6b", "#5fd4d4", "#c5e07a"] : ["#0b62b0", "#b35900", "#1a7f4b", "#b3264a", "#6f42c1", "#7a6a00", "#57606a", "#a8401f", "#0b7a7a", "#567a0b"] },
  };
};

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
  await Promise.all(figures.map(([, plot, chart]) => vegaEmbed(plot, { ...chart.spec, datasets }, options)));
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
  if (detail.fid) add("FID", make("p", {}, detail.fid));
  add(`Settings (bold: other than the ${detail.preset} preset's)`, make("dl", {}, ...settings));
  add("The command that computes it again", make("pre", {}, detail.command));
  if (detail.command_note) made.push(make("p", { className: "soft" }, detail.command_note));
  add("Run keys, by seed", make("pre", {}, detail.keys.join(" ")));
  return made;
}

function open(row) {
  by("detail-title").textContent = `${row.who}, ε = ${row.epsilon}`;
  by("detail-body").replaceChildren(...parts(row));
  by("detail").showModal();
  by("detail").scrollTop = 0;
}

// Choices.
function chooseTestSet() {
  testSet = by("test-set").value;
  answer();
  drawHead();
  drawRows();
  return drawCharts();
}

function chooseTable() {
  table = view.tables[by("table").value];
  by("notes").textContent = table.notes.join(" ");
  by("unit").textContent = table.unit;
  by("test-set").replaceChildren(...table.test_sets.map((name) => make("option", { value: name }, name)));
  const found = table.levels;
  Object.assign(by("epsilon"), { max: found.length - 1, value: found.length - 1, disabled: found.length < 2 });
  return chooseTestSet();
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

async function start() {
  view = await unpacked(by("view").textContent);
  if (!view.tables.length) return;
  by("table").replaceChildren(...view.tables.map((one, number) => make("option", { value: number }, one.title)));
  by("table").addEventListener("change", chooseTable);
  by("test-set").addEventListener("change", chooseTestSet);
  by("epsilon").addEventListener("input", answer);
  by("filter").addEventListener("input", drawRows);
  dark.addEventListener("change", drawCharts);
  await chooseTable();
}

start();
