// The map of latencies behind their lines: a cell is a stretch of time and a band of latency, the stronger the more payments
// ended in it. ◆ is one of the slowest, and leads to its page. The same as a table, for who does not see it.
"use strict";
window.heat = (() => {
  const box = document.getElementById("latency"), slow = document.getElementById("slow");
  if (!box) return null;
  const SVG = "http://www.w3.org/2000/svg";
  const SHADES = 6, CELL_WIDTH = 7, MARKS_APART = 32, LISTED = 10, OBJECTIVE_MS = 10_000;
  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300];
  // Marks stand in the slowest band, and in those that together hold the slowest hundredth.
  const TAIL = 0.01;
  // Of the bands, in milliseconds; the last is open.
  const edges = box.dataset.edges.split(",").map(Number);
  const bottom = (band) => band ? edges[band - 1] : edges[0] / 2.5;
  const top = (band) => edges[band] ?? edges.at(-1) * 2.5;
  const cell = document.getElementById("cell"), hint = cell.textContent;
  let shown = null, tell = null;

  const length = (ms) => ms >= 1000 ? `${+(ms / 1000).toPrecision(3)} s` : `${+ms.toPrecision(3)} ms`;
  const number = (count) => count.toLocaleString("en").replaceAll(",", " ");
  const time = (at) => new Date(at * 1000).toISOString().slice(11, 19);
  const percent = (part, all) => `${(100 * part / all).toPrecision(3)} %`;
  const name = (band) => band === edges.length ? `over ${length(edges.at(-1))}` : `${band ? length(bottom(band)) : "0"} to ${length(top(band))}`;

  // Counts by band, by column of time, and by both; of what ended after `from`.
  function counted(data, from, step) {
    const seen = { step, cells: new Map(), columns: new Map(), bands: edges.concat(0).fill(0), all: 0, most: 0 };
    for (let place = data.at.length - 1; place >= 0 && data.at[place] > from; place--) {
      const start = Math.floor((data.at[place] - 0.5) / step) * step;
      data.bands[place].forEach((count, band) => {
        if (!count) return;
        const key = `${start} ${band}`, own = seen.cells.get(key) ?? { start, band, count: 0 };
        own.count += count;
        seen.cells.set(key, own);
        seen.most = Math.max(seen.most, own.count);
        seen.columns.set(start, (seen.columns.get(start) ?? 0) + count);
        seen.bands[band] += count;
        seen.all += count;
      });
    }
    return seen;
  }

  // At the bottom a whole decade; at the top what is in use, with room for marks; two decades at least.
  function scale(data, [from], low, high) {
    const { bands } = counted(data, from, 300);
    const first = bands.findIndex(Boolean), last = bands.findLastIndex(Boolean);
    if (first < 0 && low == null) return [0.1, 100];
    const least = Math.min(low ?? Infinity, first < 0 ? Infinity : bottom(first));
    const most = Math.max(high ?? 0, last < 0 ? 0 : top(last));
    const decade = 10 ** Math.floor(Math.log10(Math.max(least, 0.001)) + 1e-9);
    return [decade, Math.max(most * 1.8, decade * 100)];
  }

  // The slowest of each band and stretch of time among the slow ones.
  function found(data, from, seen, apart) {
    let above = 0, slowest = seen.bands.length;
    for (let band = slowest - 1; band >= 0; band--) {
      above += seen.bands[band];
      if (above > TAIL * seen.all && slowest < seen.bands.length) break;
      if (seen.bands[band]) slowest = band;
    }
    const kept = new Map();
    for (const own of data.slowest) {
      if (own.at <= from || own.band < slowest) continue;
      const key = `${own.band} ${Math.floor(own.at / apart)}`, other = kept.get(key);
      if (!other || other.ms < own.ms) kept.set(key, own);
    }
    return [...kept.values()].sort((one, other) => one.at - other.at);
  }

  function layer(parent, hidden) {
    const made = parent.querySelector(".layer") ?? parent.appendChild(document.createElementNS(SVG, "svg"));
    made.setAttribute("class", "layer");
    if (hidden) made.setAttribute("aria-hidden", "true");
    return made;
  }

  // Changes what a layer holds into what is wanted, by key: what is the same stays, and with it the focus.
  function keep(layer, wanted, make) {
    const had = layer.held ?? new Map();
    layer.held = new Map();
    for (const [key, attributes] of wanted) {
      const own = had.get(key) ?? layer.appendChild(make(key));
      had.delete(key);
      layer.held.set(key, own);
      for (const name in attributes) if (own.getAttribute(name) !== attributes[name]) own.setAttribute(name, attributes[name]);
    }
    had.forEach((own) => own.remove());
  }

  const made = (name, attributes = {}) => {
    const element = document.createElementNS(SVG, name);
    for (const name in attributes) element.setAttribute(name, attributes[name]);
    return element;
  };

  const words = (own) => `${length(own.ms)}, ${own.outcome}, ${time(own.at)} UTC: payment ${own.uetr}`;

  function mark(own) {
    const link = made("a", { href: `/payments/${own.uetr}`, "aria-label": words(own) });
    const title = made("title");
    title.textContent = words(own);
    link.append(title, made("circle", { r: "11" }), made("path", { d: "M0-5.5 4.5 0 0 5.5-4.5 0Z" }));
    return link;
  }

  function draw(u, data) {
    const [from, until] = [u.scales.x.min, u.scales.x.max], width = u.over.clientWidth;
    const step = STEPS.find((step) => step * width >= CELL_WIDTH * (until - from)) ?? STEPS.at(-1);
    const seen = shown = counted(data, from, step);
    const x = (at) => u.valToPos(at, "x"), y = (ms) => u.valToPos(ms, "y");
    const cells = [...seen.cells].map(([key, { start, band, count }]) => {
      const [left, above] = [x(start), y(top(band))];
      const shade = Math.max(1, Math.ceil(SHADES * Math.log1p(count) / Math.log1p(seen.most)));
      const [wide, high] = [x(start + step) - left, y(bottom(band)) - above];
      return [key, { class: `shade-${shade}`, x: left.toFixed(1), y: above.toFixed(1), width: Math.max(1, wide - 0.8).toFixed(1), height: Math.max(1, high - 0.8).toFixed(1) }];
    });
    keep(layer(u.under, true), cells, () => made("rect"));
    const apart = Math.max(1, Math.ceil(MARKS_APART * (until - from) / width));
    const marks = new Map(found(data, from, seen, apart).map((own) => [own.uetr, own]));
    const places = [...marks].map(([uetr, own]) => [uetr, { transform: `translate(${x(own.at).toFixed(1)} ${y(own.ms).toFixed(1)})` }]);
    keep(layer(u.over), places, (uetr) => mark(marks.get(uetr)));
    tell = () => tabulate(data, from);
    tell();
  }

  // What the scheme promises.
  function objective({ ctx, bbox, scales, valToPos }, colour) {
    if (OBJECTIVE_MS < scales.y.min || OBJECTIVE_MS > scales.y.max) return;
    const y = Math.round(valToPos(OBJECTIVE_MS, "y", true));
    ctx.save();
    ctx.strokeStyle = colour("--critical");
    ctx.setLineDash([]);
    ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
    ctx.restore();
  }

  // What is in the cell under the pointer.
  function point(u) {
    const { left, top: above } = u.cursor;
    let said = hint;
    if (shown && left >= 0 && above >= 0) {
      const start = Math.floor(u.posToVal(left, "x") / shown.step) * shown.step, ms = u.posToVal(above, "y");
      const band = edges.findIndex((edge) => ms <= edge), own = shown.cells.get(`${start} ${band < 0 ? edges.length : band}`);
      if (own) said = `${time(start)}, ${name(own.band)}: ${number(own.count)} of ${number(shown.columns.get(start))} in ${shown.step} s`;
    }
    if (cell.textContent !== said) cell.textContent = said;
  }

  // Columns whose heading says `#` are of numbers.
  function table(caption, heading, rows) {
    const table = document.createElement("table");
    table.createCaption().textContent = caption;
    const head = table.createTHead().insertRow(), body = table.createTBody();
    const kind = (column) => heading[column].startsWith("#") ? "number" : "";
    heading.forEach((text, column) => head.append(Object.assign(document.createElement("th"), { scope: "col", className: kind(column), textContent: text.replace("#", "") })));
    for (const cells of rows) {
      const row = body.insertRow();
      cells.forEach((cell, column) => Object.assign(row.insertCell(), { className: kind(column) }).append(cell));
    }
    return table;
  }

  // The same in words, while somebody reads it; not under the hands of who is about to follow a link.
  function tabulate(data, from) {
    const place = slow.querySelector("div");
    if (!slow.open || place.contains(document.activeElement)) return;
    const bands = shown.bands.map((count, band) => [name(band), number(count), percent(count, shown.all)]);
    const slowest = data.slowest.filter(({ at }) => at > from).sort((one, other) => other.ms - one.ms).slice(0, LISTED);
    const link = (uetr) => Object.assign(document.createElement("a"), { href: `/payments/${uetr}`, textContent: uetr });
    place.replaceChildren(
      table("Payments that ended, by latency", ["latency", "#payments", "#share"], bands.filter((_, band) => shown.bands[band]).reverse()),
      table("The slowest", ["at, UTC", "#latency", "outcome", "payment"], slowest.map((own) => [time(own.at), length(own.ms), own.outcome, link(own.uetr)])),
    );
  }

  slow.addEventListener("toggle", () => tell?.());
  return { scale, length, objective, draw, point };
})();
