// Two charts on one time axis, with what happened as marks: payments per second, and latency over its map (heat.js).
"use strict";
(() => {
  const place = document.querySelector("[data-charts]");
  if (!place || !window.uPlot) return;
  const { heat } = window;
  const LINES = {
    rates: [["settled", "--settled", 1, "settled"], ["rejected", "--rejected", 1, "rejected"], ["timed out", "--timed-out", 2, "timed_out"]],
    latency: [["p50", "--p50", 1, "p50"], ["p99", "--p99", 1, "p99"], ["p99.9", "--p999", 2, "p999"]],
  };
  const HEIGHT = 176, KEPT = 3600, EVENTS = ["marks", "slowest"];
  let data = null, drawn = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const figure = (value) => value == null ? "–" : value >= 100 ? Math.round(value).toLocaleString("en").replaceAll(",", " ") : String(+value.toPrecision(3));

  // Named where the chart has room: at the top, and on the latencies, whose slowest are there, at the bottom.
  function drawMarks(u) {
    const { ctx, bbox } = u, isLatency = u.root.parentNode.id === "latency";
    const foot = isLatency ? bbox.top + bbox.height - 4 * devicePixelRatio : bbox.top + 11 * devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--mark");
    ctx.font = `${11 * devicePixelRatio}px system-ui`;
    ctx.setLineDash([3, 3]);
    ctx.textAlign = "left";
    let until = -1e9;
    for (const { at, kind } of data.marks) {
      if (at < u.scales.x.min || at > u.scales.x.max) continue;
      const x = Math.round(u.valToPos(at, "x", true));
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
      if (x > until) { ctx.fillText(kind, x + 3, foot); until = x + 60 * devicePixelRatio; }
    }
    ctx.restore();
  }

  function options(id, width) {
    const axis = { stroke: colour("--text-weak"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "11px system-ui" };
    const latency = id === "latency";
    return {
      width, height: HEIGHT, tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
      cursor: { sync: { key: "time" }, drag: { x: false, y: false } },
      legend: { live: true, isolate: false },
      scales: { x: { range: () => range() }, y: latency ? { distr: 3, range: (u, low, high) => heat.scale(data, range(), low, high) } : { range: (u, low, high) => [0, Math.max(1, high * 1.1)] } },
      axes: [{ ...axis, space: 70, size: 30, values: [[3600, "{HH}:{mm}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] },
        { ...axis, size: 60, ...(latency && decades(axis)), values: (u, all) => all.map((value) => value == null ? null : latency ? heat.length(value) : figure(value)) }],
      series: [{ value: "{HH}:{mm}:{ss}" }, ...LINES[id].map(([label, name, width]) => ({ label, stroke: colour(name), width: 1 + width / 2, points: { show: false }, dash: name === "--p999" || name === "--timed-out" ? [5, 3] : undefined, value: (u, value, line, at) => figure(at == null ? u.data[line].at(-1) : value) + (latency ? " ms" : " /s") }))],
      hooks: latency ? { draw: [(u) => heat.objective(u, colour), drawMarks, (u) => heat.draw(u, data)], setCursor: [heat.point] } : { draw: [drawMarks] },
    };
  }

  // Of a logarithmic scale, the lines at 1, 10, 100 alone.
  function decades(axis) {
    const filter = (u, all) => all.map((value) => Math.abs(Math.log10(value) % 1) < 1e-9 ? value : null);
    return { grid: { ...axis.grid, filter }, ticks: { ...axis.ticks, filter } };
  }

  function range() {
    const end = data.at.length ? data.at[data.at.length - 1] : Date.now() / 1e3;
    return [end - Number(document.getElementById("range").value), end];
  }

  const lines = (id) => [data.at, ...LINES[id].map(([, , , column]) => data[column])];

  function tell() {
    const now = data.at.length - 1;
    for (const id of ["rates", "latency"]) {
      const said = LINES[id].map(([label, , , column]) => `${label} ${now < 0 ? "–" : figure(data[column][now])}`).join(", ");
      document.getElementById(id).setAttribute("aria-label", (id === "rates" ? "payments per second now: " : "latency in ms now: ") + said);
    }
  }

  function draw() {
    drawn.forEach((chart) => chart.destroy());
    drawn = ["rates", "latency"].map((id) => {
      const box = document.getElementById(id);
      return new uPlot(options(id, Math.max(240, box.clientWidth)), lines(id), box);
    });
    tell();
  }

  window.charts = {
    async load() {
      const answer = await fetch(place.dataset.charts);
      if (!answer.ok) return;
      data = await answer.json();
      draw();
    },
    add(moment) {
      if (!data || moment.at[0] <= (data.at[data.at.length - 1] ?? 0)) return;
      for (const column of Object.keys(moment)) data[column].push(...moment[column]);
      // What happened in a second leaves with it.
      while (data.at.length > KEPT) {
        const [left] = data.at;
        for (const column of EVENTS) data[column] = data[column].filter(({ at }) => at > left);
        for (const column of Object.keys(moment)) if (!EVENTS.includes(column)) data[column].shift();
      }
      drawn.forEach((chart, place) => chart.setData(lines(Object.keys(LINES)[place])));
      tell();
    },
  };
  document.getElementById("range-box").hidden = false;
  document.getElementById("range").addEventListener("change", draw);
  let width = place.clientWidth;
  new ResizeObserver(() => { if (data && place.clientWidth !== width) { width = place.clientWidth; draw(); } }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => data && draw());
  window.charts.load();
})();
