"use strict";

const RUNS_A_PAGE = 50;
const MOST_COLOURED = 24; // runs with a curve (and a legend entry) of their own
const MOST_CELLS = 30; // columns and rows of a contour, when there are more values than that
const LONGEST_LABEL = 40;
const PALETTE = ["#3b78c3", "#e0701a", "#2c9f5b", "#cc4545", "#8f68c2", "#a0725c", "#d86fb5", "#7c8793", "#a9a11f", "#1aa5b8"];

const values = JSON.parse(document.getElementById("values").textContent);
const element = (id) => document.getElementById(id);
const rowsByName = new Map(values.rows.map((row) => [`${row.group}.${row.key}`, row]));
const state = { order: values.runs.map((_, i) => i), sorted: null, first: 0 };

// ---- values

function toNumber(value) {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || value.trim() === "") return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

/** An axis: numbers where every run's value is one, else positions of the distinct texts. */
function axisOf(name) {
  const row = rowsByName.get(name);
  const present = row.values.filter((value) => value !== null && !isOdd(value));
  const isNumeric = present.length > 0 && present.every((value) => toNumber(value) !== null);
  if (isNumeric) return { name, isNumeric, values: row.values.map(toNumber) };
  const texts = [...new Set(row.values.filter((value) => value !== null).map(String))].sort();
  const places = new Map(texts.map((text, i) => [text, i]));
  return { name, isNumeric, texts, values: row.values.map((value) => (value === null ? null : places.get(String(value)))) };
}

function isOdd(value) {
  return typeof value === "string" && /^[-+]?(nan|inf(inity)?)$/i.test(value);
}

/** Text for plotly, which reads some markup. */
function label(text) {
  const all = Array.from(String(text));
  const short = all.length > LONGEST_LABEL ? `${all.slice(0, LONGEST_LABEL).join("")}…` : all.join("");
  return short.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function shownValue(row, value) {
  if (value === null) return "–";
  if (row.group === "details" && typeof value === "number") {
    if (row.key === "duration") return duration(value);
    return new Date(value).toISOString().replace("T", " ").replace(/\.\d+Z/, "Z");
  }
  return String(value);
}

function duration(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  if (milliseconds < 60000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${hours ? `${hours}h ` : ""}${minutes}m ${seconds % 60}s`;
}

// ---- charts

function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["paper", "raised", "ink", "soft", "line"].map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
}

function layout(more) {
  const { paper, ink, line } = colours();
  return {
    paper_bgcolor: paper,
    plot_bgcolor: paper,
    font: { color: ink, size: 12 },
    margin: { l: 70, r: 20, t: 20, b: 55 },
    hovermode: "closest",
    ...more,
    xaxis: { gridcolor: line, zerolinecolor: line, automargin: true, ...(more.xaxis || {}) },
    yaxis: { gridcolor: line, zerolinecolor: line, automargin: true, ...(more.yaxis || {}) },
  };
}

const CONFIG = { displaylogo: false, responsive: true, showLink: false };

function draw(id, traces, more) {
  const place = element(id);
  if (!traces.length) {
    Plotly.purge(place);
    place.classList.add("empty");
    place.textContent = "Nothing to draw: these runs have no values for it.";
    return;
  }
  if (place.classList.contains("empty")) {
    place.classList.remove("empty");
    place.textContent = "";
  }
  Plotly.react(place, traces, layout(more), CONFIG);
}

function axisLayout(axis, isLog) {
  const told = { title: { text: label(axis.name) } };
  if (axis.isNumeric) return { ...told, type: isLog ? "log" : "linear" };
  return { ...told, type: "linear", tickvals: axis.texts.map((_, i) => i), ticktext: axis.texts.map(label) };
}

function drawParallel() {
  const names = [...document.querySelectorAll("#dimensions input:checked")].map((input) => input.value);
  const axes = names.map(axisOf);
  const color = axisOf(element("parallel-color").value);
  const runs = values.runs.map((_, i) => i).filter((i) => [...axes, color].every((axis) => axis.values[i] !== null));
  if (!axes.length || !runs.length) return draw("parallel", [], {});
  const { ink, soft } = colours();
  const dimensions = axes.map((axis) => ({
    label: label(axis.name),
    values: runs.map((i) => axis.values[i]),
    ...(axis.isNumeric ? {} : { tickvals: axis.texts.map((_, i) => i), ticktext: axis.texts.map(label) }),
  }));
  const line = { color: runs.map((i) => color.values[i]), colorscale: "Viridis", showscale: true, colorbar: { title: { text: label(color.name), side: "right" } } };
  const font = { color: ink };
  draw("parallel", [{ type: "parcoords", dimensions, line, labelfont: font, tickfont: font, rangefont: { color: soft }, labelangle: axes.length > 5 ? -15 : 0, labelside: "top" }], { margin: { l: 80, r: 60, t: axes.length > 5 ? 90 : 60, b: 30 } });
}

function drawAxes() {
  const [x, y, color] = ["x", "y", "color"].map((id) => axisOf(element(id).value));
  const [logX, logY] = [element("x-log").checked && x.isNumeric, element("y-log").checked && y.isNumeric];
  const visible = (i) => x.values[i] !== null && y.values[i] !== null && (!logX || x.values[i] > 0) && (!logY || y.values[i] > 0);
  const runs = values.runs.map((_, i) => i).filter(visible);
  const axes = { xaxis: axisLayout(x, logX), yaxis: axisLayout(y, logY) };
  const at = (axis, i) => label(shownValue(rowsByName.get(axis.name), rowsByName.get(axis.name).values[i]));
  const bar = { title: { text: label(color.name), side: "right" }, ...(color.isNumeric ? {} : { tickvals: color.texts.map((_, i) => i), ticktext: color.texts.map(label) }) };
  const scatter = {
    type: "scatter",
    mode: "markers",
    x: runs.map((i) => x.values[i]),
    y: runs.map((i) => y.values[i]),
    text: runs.map((i) => `${label(values.runs[i].name)}<br>${[x, y, color].map((axis) => `${label(axis.name)}: ${at(axis, i)}`).join("<br>")}`),
    hoverinfo: "text",
    marker: { size: 9, color: runs.map((i) => color.values[i]), colorscale: "Viridis", showscale: true, colorbar: bar, line: { width: 1, color: colours().soft } },
  };
  draw("scatter", runs.length ? [scatter] : [], axes);
  drawContour(x, y, color, runs, axes, bar, scatter);
  const left = values.runs.length - runs.length;
  element("axes-hint").textContent = left ? `${left} of ${values.runs.length} runs have no value to draw on these axes.` : "";
}

function drawContour(x, y, color, runs, axes, bar, scatter) {
  const known = runs.filter((i) => color.values[i] !== null);
  const grid = known.length ? gridOf(x, y, color, known, axes) : null;
  if (!grid || grid.x.length < 2 || grid.y.length < 2) return draw("contour", [], {});
  const points = { ...scatter, marker: { size: 5, color: colours().ink, opacity: 0.5 } };
  draw("contour", [{ type: "contour", ...grid, connectgaps: true, colorscale: "Viridis", contours: { coloring: "heatmap" }, colorbar: bar, hoverinfo: "skip" }, points], { ...axes, showlegend: false });
}

/** Heights on a grid: of the values themselves when they are few, else of cells with the mean of the runs in each. */
function gridOf(x, y, color, runs, axes) {
  const [columns, lines] = [placesOf(x, runs, axes.xaxis.type), placesOf(y, runs, axes.yaxis.type)];
  const cells = lines.values.map(() => columns.values.map(() => []));
  for (const i of runs) cells[lines.place(y.values[i])][columns.place(x.values[i])].push(color.values[i]);
  const mean = (all) => (all.length ? all.reduce((a, b) => a + b, 0) / all.length : null);
  return { x: columns.values, y: lines.values, z: cells.map((line) => line.map(mean)) };
}

function placesOf(axis, runs, type) {
  const distinct = [...new Set(runs.map((i) => axis.values[i]))].sort((a, b) => a - b);
  if (distinct.length <= MOST_CELLS) return { values: distinct, place: (value) => distinct.indexOf(value) };
  const [to, from] = type === "log" ? [Math.log10, (v) => 10 ** v] : [(v) => v, (v) => v];
  const [low, high] = [to(distinct[0]), to(distinct.at(-1))];
  const width = (high - low) / MOST_CELLS;
  return {
    values: Array.from({ length: MOST_CELLS }, (_, i) => from(low + (i + 0.5) * width)),
    place: (value) => Math.min(MOST_CELLS - 1, Math.floor((to(value) - low) / width)),
  };
}

function drawCurves() {
  const metric = element("metric").value;
  const over = document.querySelector("input[name=over]:checked").value;
  const curves = (values.curves[metric] || []).map((curve) => pointsOf(curve, over));
  const traces = curves.length <= MOST_COLOURED ? curves.map(traceOf) : bundled(curves);
  const title = over === "steps" ? "step" : "seconds since the first point";
  const yaxis = { title: { text: label(metric) }, type: element("curve-log").checked ? "log" : "linear" };
  draw("curves", traces, { xaxis: { title: { text: title } }, yaxis, showlegend: curves.length <= MOST_COLOURED });
  const thinned = curves.some((curve) => curve.points > curve.x.length);
  const drawn = `Each curve is drawn with at most ${values.most_points} points, evenly picked from all of its points, and its last one.`;
  const repeated = curves.length > MOST_COLOURED ? " Colours repeat; point at a curve to see its run." : "";
  const single = values.single_points[metric] || 0;
  const left = single ? ` ${single} of ${values.runs.length} runs have a single point, which stands in the table.` : "";
  const all = (thinned ? drawn : "All points are drawn.") + repeated + left;
  element("curves-hint").textContent = curves.length ? all : "No metric has more than one point: their values stand in the table.";
}

function pointsOf(curve, over) {
  const places = curve.steps.map((_, i) => i).sort((a, b) => curve[over][a] - curve[over][b]);
  const x = places.map((i) => (over === "times" ? curve.times[i] / 1000 : curve.steps[i]));
  const y = places.map((i) => (isOdd(curve.values[i]) ? null : curve.values[i]));
  return { name: label(values.runs[curve.run].name), run: curve.run, points: curve.points, x, y };
}

function traceOf(curve, i) {
  return { type: "scatter", mode: "lines", name: curve.name, x: curve.x, y: curve.y, line: { color: PALETTE[i % PALETTE.length], width: 1.6 } };
}

/** Many curves as few traces, parted by gaps: a trace a run is slow to draw. */
function bundled(curves) {
  const traces = PALETTE.map((color) => ({ type: "scatter", mode: "lines", x: [], y: [], text: [], hoverinfo: "text+x+y", line: { color, width: 1 }, opacity: 0.6 }));
  curves.forEach((curve, i) => {
    const trace = traces[i % traces.length];
    trace.x.push(...curve.x, null);
    trace.y.push(...curve.y, null);
    trace.text.push(...curve.x.map(() => curve.name), "");
  });
  return traces;
}

// ---- the table

function cell(tag, text, name) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function drawTable() {
  const shown = state.order.slice(state.first, state.first + RUNS_A_PAGE);
  const table = element("table");
  const rows = values.rows.filter((row) => row.differs || !element("diff-only").checked);
  table.replaceChildren(headOf(shown));
  for (const group of ["details", "params", "metrics", "tags"]) {
    const ofGroup = rows.filter((row) => row.group === group);
    if (ofGroup.length) table.append(bodyOf(group, ofGroup, shown));
  }
  const isPaged = state.order.length > RUNS_A_PAGE;
  element("pager").hidden = !isPaged;
  element("shown").textContent = `${state.first + 1}–${state.first + shown.length} of ${state.order.length}`;
  element("before").disabled = state.first === 0;
  element("after").disabled = state.first + RUNS_A_PAGE >= state.order.length;
  element("unsorted").disabled = state.sorted === null;
}

function headOf(shown) {
  const head = document.createElement("thead");
  const line = document.createElement("tr");
  line.append(cell("td", ""));
  for (const i of shown) {
    const made = cell("th", values.runs[i].name);
    made.scope = "col";
    made.title = `${values.runs[i].name} (${values.runs[i].id})`;
    line.append(made);
  }
  line.firstChild.replaceWith(cell("th", "Run"));
  head.append(line);
  return head;
}

function bodyOf(group, rows, shown) {
  const body = document.createElement("tbody");
  body.id = `rows-${group}`;
  const title = document.createElement("tr");
  title.className = "group";
  const name = cell("th", group);
  name.scope = "rowgroup";
  const filler = document.createElement("td");
  filler.colSpan = shown.length;
  title.append(name, filler);
  body.append(title, ...rows.map((row) => lineOf(row, shown)));
  return body;
}

function lineOf(row, shown) {
  const line = document.createElement("tr");
  if (!row.differs) line.className = "same";
  const head = document.createElement("th");
  head.scope = "row";
  const isSorted = state.sorted !== null && state.sorted.row === row;
  const arrow = isSorted ? (state.sorted.descending ? " ▾" : " ▴") : "";
  const direction = row.direction && row.best.length ? (row.direction === "lower" ? " ↓" : " ↑") : "";
  const button = cell("button", row.key + direction + arrow);
  button.type = "button";
  button.title = row.key;
  button.addEventListener("click", () => sortBy(row));
  if (isSorted) head.setAttribute("aria-sort", state.sorted.descending ? "descending" : "ascending");
  head.append(button);
  line.append(head, ...shown.map((i) => valueCell(row, i)));
  return line;
}

function valueCell(row, i) {
  const value = row.values[i];
  const text = shownValue(row, value);
  const isBest = row.best.includes(i);
  const made = cell("td", isBest ? `★ ${text}` : text);
  made.title = text;
  const mayBeNumber = typeof value === "number" || row.group === "params" || row.group === "metrics";
  made.classList.toggle("number", mayBeNumber && (toNumber(value) !== null || isOdd(value)));
  made.classList.toggle("missing", value === null);
  made.classList.toggle("best", isBest);
  return made;
}

/** Sorts the runs by a row: numbers before texts, what is missing last. */
function sortBy(row) {
  const again = state.sorted !== null && state.sorted.row === row;
  const descending = again ? !state.sorted.descending : row.direction === "higher";
  state.sorted = { row, descending };
  const rank = (value) => (value === null ? 3 : isOdd(value) ? 2 : toNumber(value) === null ? 1 : 0);
  const compare = (a, b) => {
    const [one, other] = [row.values[a], row.values[b]];
    if (rank(one) !== rank(other)) return rank(one) - rank(other);
    const found = rank(one) === 0 ? toNumber(one) - toNumber(other) : String(one).localeCompare(String(other));
    return descending ? -found : found;
  };
  state.order = values.runs.map((_, i) => i).sort(compare);
  state.first = 0;
  drawTable();
  [...document.querySelectorAll("#table th[aria-sort] button")].forEach((button) => button.focus());
}

// ---- what can be chosen

function fill(id, names, chosen) {
  const select = element(id);
  for (const name of names) {
    const option = cell("option", name);
    option.value = name;
    option.selected = name === chosen;
    select.append(option);
  }
}

function chooseAxes() {
  const first = values.first_look;
  const drawable = values.rows.filter((row) => row.group === "params" || row.group === "metrics");
  const more = values.rows.filter((row) => ["start_time", "duration"].includes(row.key) && row.group === "details");
  const name = (row) => `${row.group}.${row.key}`;
  const names = [...new Set([...[...drawable, ...more].map(name), first.x, first.y, first.color])];
  fill("x", names, first.x);
  fill("y", names, first.y);
  fill("color", names, first.color);
  fill("parallel-color", names, first.parallel_color);
  fill("metric", Object.keys(values.curves), first.metric);
  chooseDimensions(drawable.map(name), new Set(first.dimensions));
}

function chooseDimensions(names, wanted) {
  const place = document.querySelector("#dimensions .choices");
  for (const name of names) {
    const input = document.createElement("input");
    input.type = "checkbox";
    input.value = name;
    input.checked = wanted.has(name);
    const choice = document.createElement("label");
    choice.title = name;
    choice.append(input, ` ${name}`);
    place.append(choice);
  }
  place.addEventListener("change", drawParallel);
}

function listen(ids, event, act) {
  for (const id of ids) element(id).addEventListener(event, act);
}

function turnPage(by) {
  state.first = Math.max(0, Math.min(state.order.length - 1, state.first + by));
  drawTable();
}

/** A chart is drawn when it comes near the window (parallel coordinates take seconds without a graphics card), and again when the colours of the system change. */
function drawWhenNear(charts) {
  const drawn = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      watcher.unobserve(target);
      drawn.add(target.id);
      charts[target.id]();
    }
  }, { rootMargin: "100px" });
  for (const id of Object.keys(charts)) watcher.observe(element(id));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((id) => charts[id]()));
}

function begin() {
  const differing = values.rows.filter((row) => row.differs).length;
  element("summary").textContent = `${values.runs.length} runs, ${differing} of ${values.rows.length} rows differ.`;
  for (const problem of values.problems) element("problems").append(cell("li", `Not read: ${problem}`));
  element("problems").hidden = !values.problems.length;
  element("diff-only").checked = values.diff_only;
  chooseAxes();
  listen(["parallel-color"], "change", drawParallel);
  listen(["x", "y", "color", "x-log", "y-log"], "change", drawAxes);
  listen(["metric", "curve-log"], "change", drawCurves);
  document.querySelectorAll("input[name=over]").forEach((input) => input.addEventListener("change", drawCurves));
  listen(["diff-only"], "change", drawTable);
  listen(["before"], "click", () => turnPage(-RUNS_A_PAGE));
  listen(["after"], "click", () => turnPage(RUNS_A_PAGE));
  listen(["unsorted"], "click", () => {
    Object.assign(state, { order: values.runs.map((_, i) => i), sorted: null, first: 0 });
    drawTable();
  });
  drawTable();
  drawWhenNear({ scatter: drawAxes, curves: drawCurves, parallel: drawParallel });
  document.body.dataset.ready = "true";
}

begin();
