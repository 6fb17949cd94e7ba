"use strict";
(() => {
  const root = document.documentElement;
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const embedded = document.getElementById("data");
  const data = embedded ? JSON.parse(embedded.textContent) : { themes: {}, dark: {}, specs: {} };
  const charts = [...document.querySelectorAll(".chart")];
  const states = new Map(charts.map((chart) => [chart, { log: null, view: null, width: 0, turn: 0 }]));

  let chosen = null; // "light" or "dark" once the reader has decided
  const theme = () => chosen || (prefersDark.matches ? "dark" : "light");

  function applyTheme() {
    root.dataset.theme = theme();
    button.setAttribute("aria-pressed", String(theme() === "dark"));
  }

  // Every scale of the switchable axis, in all layers and panels.
  function scalesOf(node, channel, found = []) {
    if (Array.isArray(node)) node.forEach((item) => scalesOf(item, channel, found));
    else if (node && typeof node === "object") {
      const encoding = node.encoding && node.encoding[channel];
      if (encoding && encoding.scale && ["linear", "log"].includes(encoding.scale.type)) found.push(encoding);
      Object.values(node).forEach((item) => scalesOf(item, channel, found));
    }
    return found;
  }

  // Long names beside rows leave half of a narrow page to what is drawn.
  function shorten(node, most) {
    if (Array.isArray(node)) node.forEach((item) => shorten(item, most));
    else if (node && typeof node === "object") {
      if (node.labelLimit > most) node.labelLimit = most;
      Object.values(node).forEach((item) => shorten(item, most));
    }
  }

  function fit(spec, page, width) {
    for (const part of [spec.encoding, spec.layer]) shorten(part, Math.floor(width / 2));
    if (page.legend) {
      const columns = Math.max(1, Math.floor(width / (page.legend + 56)));
      spec.config.legend = { ...spec.config.legend, columns };
    }
    if (!page.columns) {
      spec.width = width;
      return;
    }
    const columns = page.columns > 1 && width >= 600 ? page.columns : 1;
    const labels = page.each ? page.labels * columns : page.labels; // beside each panel or once
    spec.columns = columns;
    spec.spec.width = Math.max(120, Math.floor((width - labels - 20 * (columns - 1) - 14) / columns));
  }

  function prepared(chart, state, width) {
    let text = JSON.stringify(data.specs[chart.id]);
    if (theme() === "dark") {
      for (const [light, dark] of Object.entries(data.dark)) text = text.replaceAll(`"${light}"`, `"${dark}"`);
    }
    const spec = JSON.parse(text);
    const page = spec.usermeta.bakeoff;
    fit(spec, page, width);
    if (page.switch) {
      const scales = scalesOf(spec, page.switch);
      if (state.log === null) state.log = scales.length > 0 && scales[0].scale.type === "log";
      for (const encoding of scales) {
        encoding.scale = state.log ? { type: "log", nice: false } : { type: "linear", zero: true };
        if (state.log && page.floor) Object.assign(encoding.scale, { domainMin: page.floor, clamp: true });
      }
      const toggle = chart.parentElement.querySelector(".scale");
      toggle.hidden = scales.length === 0;
      toggle.setAttribute("aria-pressed", String(state.log));
    }
    return spec;
  }

  async function draw(chart) {
    const state = states.get(chart);
    const turn = ++state.turn;
    const width = Math.floor(chart.clientWidth);
    state.width = width;
    try {
      const result = await vegaEmbed(chart, prepared(chart, state, width), {
        renderer: "svg",
        config: data.themes[theme()],
        tooltip: { theme: theme() },
        formatLocale: data.locale,
        actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
        downloadFileName: chart.id,
      });
      if (turn !== state.turn) return result.finalize();
      if (state.view) state.view.finalize();
      state.view = result;
      chart.dataset.state = "drawn";
      chart.style.minHeight = "";
    } catch (error) {
      chart.dataset.state = "failed";
      chart.replaceChildren(Object.assign(document.createElement("p"), { className: "failed", textContent: "This figure could not be drawn." }));
      console.error(error);
    }
  }

  // One data set at a time; on paper all of them.
  const choices = [...document.querySelectorAll("[data-choose]")];
  function choose(name) {
    for (const node of document.querySelectorAll("[data-section]")) node.hidden = node.dataset.section !== name;
    for (const button of choices) button.setAttribute("aria-pressed", String(button.dataset.choose === name));
  }
  for (const button of choices) button.addEventListener("click", () => choose(button.dataset.choose));
  if (choices.length) choose(choices[0].dataset.choose);

  // A table's or a figure's numbers as a file.
  const quoted = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  function rowsOfTable(table) {
    const rows = [[...table.tHead.rows[0].cells].map((cell) => cell.textContent)];
    for (const body of table.tBodies) {
      let group = null; // a cell that spans rows is said in each
      for (const row of body.rows) {
        const cells = [...row.cells].map((cell) => cell.textContent);
        if (row.cells[0].scope === "rowgroup") group = cells[0];
        rows.push(group !== null && row.cells[0].scope !== "rowgroup" ? [group, ...cells] : cells);
      }
    }
    return rows;
  }
  function rowsOfFigure(id) {
    const { rows } = data.specs[id].datasets;
    const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    return [names, ...rows.map((row) => names.map((name) => row[name]))];
  }
  for (const button of document.querySelectorAll(".csv")) {
    button.addEventListener("click", () => {
      const { table, figure } = button.dataset;
      const rows = table ? rowsOfTable(document.getElementById(table)) : rowsOfFigure(figure);
      const text = rows.map((row) => row.map(quoted).join(",")).join("\n");
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" }));
      link.download = `${table || figure}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }

  const redraw = () => charts.filter((chart) => chart.dataset.state).forEach(draw);

  // A figure is drawn when it comes near the window.
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "400px" });

  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const chart of charts) {
        if (chart.dataset.state && Math.floor(chart.clientWidth) !== states.get(chart).width) draw(chart);
      }
    }, 150);
  });

  button.addEventListener("click", () => {
    chosen = theme() === "dark" ? "light" : "dark";
    applyTheme();
    redraw();
  });
  prefersDark.addEventListener("change", () => {
    if (chosen) return;
    applyTheme();
    redraw();
  });
  for (const chart of charts) {
    chart.parentElement.querySelector(".scale").addEventListener("click", () => {
      states.get(chart).log = !states.get(chart).log;
      draw(chart);
    });
    watcher.observe(chart);
  }
  // A link to what is folded away, or of another data set, shows it.
  function unfold() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const part = target && target.closest("[data-section]");
    if (part && part.hidden) {
      choose(part.dataset.section);
      target.scrollIntoView();
    }
    const folds = [];
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS" && !node.open) folds.push(node);
    folds.forEach((fold) => { fold.open = true; });
    if (folds.length) target.scrollIntoView();
  }
  window.addEventListener("hashchange", unfold);
  unfold();
  // On paper nothing can be opened: everything is.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((fold) => { fold.open = true; });
    root.classList.add("printed");
    charts.filter((chart) => !chart.dataset.state).forEach(draw);
  });
  window.addEventListener("afterprint", () => {
    closed.forEach((fold) => { fold.open = false; });
    root.classList.remove("printed");
  });
  applyTheme();
})();
