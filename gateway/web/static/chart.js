// Replaces the drawn chart by one that can be read point by point (uPlot). The table below says the same.
"use strict";

(() => {
  const box = document.getElementById("chart");
  if (!box || typeof uPlot === "undefined") return;
  const lang = document.documentElement.lang;
  const zone = box.dataset.zone;
  const unit = box.dataset.unit;
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = new Intl.NumberFormat(lang, { maximumSignificantDigits: 4 });
  const withUnit = (value) => (value == null ? "–" : unit ? `${number.format(value)}\u00a0${unit}` : number.format(value));

  function options(data, width) {
    const line = style("--accent");
    const grid = { stroke: style("--hairline"), width: 1 };
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: style("--muted"), font, grid, ticks: { show: false } };
    return {
      width,
      height: 280,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
      legend: { show: false },
      hooks: { setCursor: [readOut] },
      cursor: { points: { size: 7 }, drag: { x: true, y: false } },
      scales: { x: { min: Number(box.dataset.from), max: Number(box.dataset.to), range: range(data) }, y: { range: heights(data) } },
      axes: [
        { ...axis, grid: { show: false }, values: data.long ? dayTexts : hourTexts, space: 60 },
        { ...axis, size: 64, values: (_, ticks) => ticks.map((value) => number.format(value)) },
      ],
      series: [
        {},
        {
          stroke: line,
          width: 1.6,
          points: { show: false },
          paths: data.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
        },
        { stroke: "transparent", points: { show: false } },
        { stroke: "transparent", points: { show: false } },
      ],
      bands: [{ series: [3, 2], fill: style("--band") }],
    };
  }

  const range = (data) => (_, low, high) => (data.zoomed ? [low, high] : [Number(box.dataset.from), Number(box.dataset.to)]);
  const heights = (data) => (_, low, high) => uPlot.rangeNum(data.amount ? Math.min(0, low) : low, high, 0.08, data.amount);
  const clock = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone });
  const day = new Intl.DateTimeFormat(lang, { day: "numeric", month: "short", timeZone: zone });
  const hourTexts = (_, ticks) => ticks.map((at) => clock.format(new Date(at * 1000)));
  const dayTexts = (_, ticks) => ticks.map((at) => day.format(new Date(at * 1000)));
  const momentText = (at) => `${day.format(new Date(at * 1000))} ${clock.format(new Date(at * 1000))}`;

  /** What is under the pointer, in words above the chart. */
  function readOut(plot) {
    const at = plot.cursor.idx;
    const value = at == null ? null : plot.data[1][at];
    box.querySelector("figcaption").textContent =
      value == null ? "" : `${momentText(plot.data[0][at])} · ${withUnit(value)}`;
  }

  async function show() {
    const answer = await fetch(box.dataset.chart);
    if (!answer.ok) return;
    const data = await answer.json();
    if (!data.time.length) return;
    data.long = Number(box.dataset.to) - Number(box.dataset.from) > 2 * 86400;
    const drawn = box.querySelector("svg");
    const columns = [data.time, data.value, data.lower, data.upper];
    const make = () => {
      const plot = new uPlot(options(data, box.clientWidth - 24), columns, box);
      plot.root.setAttribute("aria-hidden", "true");
      return plot;
    };
    let plot = make();
    drawn.classList.add("hidden");
    new ResizeObserver(() => plot.setSize({ width: box.clientWidth - 24, height: 280 })).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { plot.destroy(); plot = make(); });
    document.addEventListener("heyzack:point", (event) => {
      const row = event.detail;
      const name = document.querySelector("[data-point]")?.dataset.point;
      if (data.amount || `${row.device}/${row.point}` !== name || row.value == null) return;
      columns[0].push(row.time / 1e9);
      for (const column of columns.slice(1)) column.push(row.value);
      const moved = row.time / 1e9 - Number(box.dataset.to);
      if (moved > 0) {
        box.dataset.to = String(Number(box.dataset.to) + moved);
        box.dataset.from = String(Number(box.dataset.from) + moved);
      }
      plot.setData(columns);
    });
  }

  show().catch(() => {});
})();
