// Keeps a page up to date by what the server sends, and listens to keys. A page is complete without it.
"use strict";
(() => {
  const live = document.querySelector("[data-live]");
  const $ = (id) => document.getElementById(id);
  const STALE_MS = 3000;
  let source = null, last = Date.now(), paused = false, ended = "";

  // Changes `old` into `made` in place, so that focus, selection and scrolling stay. Rows are known by their id.
  function morph(old, made) {
    const known = new Map();
    for (const child of old.children) if (child.id) known.set(child.id, child);
    let at = old.firstChild;
    for (const wanted of [...made.childNodes]) {
      const same = wanted.id ? known.get(wanted.id) : at && !at.id && at.nodeName === wanted.nodeName ? at : null;
      if (!same) { old.insertBefore(wanted, at); continue; }
      if (same !== at) old.insertBefore(same, at); else at = at.nextSibling;
      if (same.nodeType === Node.TEXT_NODE) { if (same.data !== wanted.data) same.data = wanted.data; continue; }
      for (const { name, value } of wanted.attributes || [])
        if (same.getAttribute(name) !== value) same.setAttribute(name, value);
      for (const { name } of [...(same.attributes || [])]) if (!wanted.hasAttribute(name)) same.removeAttribute(name);
      morph(same, wanted);
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  }

  function take(event) {
    const { parts, moment, lines } = JSON.parse(event.data);
    last = Date.now();
    for (const [id, markup] of Object.entries(parts)) {
      const part = document.querySelector(`[data-part="${CSS.escape(id)}"]`);
      if (!part || part.querySelector("[data-charts]")) continue;
      const made = new DOMParser().parseFromString(`<div>${markup}</div>`, "text/html").body.firstChild;
      morph(part, made);
    }
    if (lines) put(lines);
    if (moment && window.charts) window.charts.add(moment);
    freshness();
  }

  // Rows on top of those before; where somebody is, nothing is taken away under him.
  function put(lines) {
    const body = document.querySelector("[data-lines]");
    const made = new DOMParser().parseFromString(`<table><tbody>${lines}</tbody></table>`, "text/html");
    body.prepend(...made.querySelectorAll("tr"));
    while (body.rows.length > Number(body.dataset.lines) && !body.lastElementChild.contains(document.activeElement)) body.lastElementChild.remove();
  }

  function open() {
    if (source || paused || ended || document.hidden) return;
    const url = new URL(location.href);
    url.searchParams.set("format", "live");
    source = new EventSource(url.pathname + url.search);
    source.onmessage = take;
    source.addEventListener("end", (event) => { ended = event.data; close(); freshness(); });
    // A refusal is final to the browser; a lost connection is not, and it tries again by itself.
    source.onerror = () => { if (source && source.readyState === EventSource.CLOSED) { source = null; setTimeout(open, 2000); } freshness(); };
  }

  function close() { if (source) source.close(); source = null; }

  function freshness() {
    const age = Date.now() - last, sign = $("freshness");
    const stale = !paused && !document.hidden && age > STALE_MS;
    document.body.classList.toggle("stale", stale || paused || ended !== "");
    let text = "● live";
    if (ended) text = `■ ${ended}`;
    else if (paused) text = `▲ paused, ${Math.round(age / 1000)} s old`;
    else if (stale) text = `▲ ${Math.round(age / 1000)} s old`;
    if (sign.textContent !== text) sign.textContent = text;
  }

  function pause() {
    paused = !paused;
    $("pause").setAttribute("aria-pressed", String(paused));
    $("pause").textContent = paused ? "go on" : "pause";
    if (paused) close(); else open();
    freshness();
  }

  if (live) {
    $("pause").hidden = false;
    $("pause").addEventListener("click", pause);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { close(); return; }
      if (window.charts) window.charts.load();
      open();
    });
    setInterval(freshness, 1000);
    open();
  }

  let jump = 0;
  document.addEventListener("keydown", (event) => {
    const isField = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (isField && event.key === "Escape") event.target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || isField) return;
    const page = /^[a-z]$/.test(event.key) && document.querySelector(`nav [data-key="${event.key}"]`);
    if (Date.now() - jump < 1500 && page) { location.href = page.href; event.preventDefault(); return; }
    jump = event.key === "g" ? Date.now() : 0;
    if (event.key === "/" && $("search")) { $("search").focus(); event.preventDefault(); }
    if (event.key === "p" && live) pause();
    if (event.key === "?" && $("help") && !$("help").open) $("help").showModal();
  });
})();
