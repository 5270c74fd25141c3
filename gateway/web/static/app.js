// Live values by server-sent events. Without this script every page still reads in full.
"use strict";

(() => {
  const root = document.documentElement;
  const STALE_MS = 20000;
  let lastEvent = Date.now();
  let lastTime = "";
  let refreshing = false;

  /** Shows the values of one point wherever the page has it. */
  function showPoint(row) {
    const name = CSS.escape(`${row.device}/${row.point}`);
    for (const holder of document.querySelectorAll(`[data-point="${name}"]`)) {
      for (const slot of holder.querySelectorAll("[data-live]")) {
        const text = row[slot.dataset.live];
        if (slot.textContent === text) continue;
        slot.textContent = text;
        if (slot.dataset.live === "words") slot.className = `mark ${row.tone}`;
        if (slot.dataset.live === "text") flash(slot);
      }
      if (row.quality < 48) {
        holder.classList.remove("stale");
        holder.querySelector("em")?.remove();
      }
    }
    const answered = document.querySelector(`[data-answer="${CSS.escape(row.device)}"]`);
    if (answered && row.quality < 32) answered.textContent = row.at;
    document.dispatchEvent(new CustomEvent("heyzack:point", { detail: row }));
  }

  function flash(slot) {
    slot.classList.remove("moved");
    void slot.offsetWidth;
    slot.classList.add("moved");
  }

  function showLive(at) {
    lastEvent = Date.now();
    lastTime = at;
    const text = document.getElementById("live-text");
    document.getElementById("live").className = "live on";
    text.textContent = `${text.dataset.live} · ${at}`;
    document.getElementById("updated")?.setAttribute("hidden", "");
    root.classList.remove("disconnected");
  }

  function showLost() {
    const text = document.getElementById("live-text");
    document.getElementById("live").className = "live off";
    if (lastTime) text.textContent = text.dataset.lost.replace("{time}", lastTime);
    root.classList.add("disconnected");
  }

  /** Something beyond a value changed: fetch this page again and exchange its contents. */
  async function refresh(version) {
    if (refreshing) return;
    refreshing = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-HeyZack": "1" } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = document.getElementById("main");
      const opened = [...main.querySelectorAll("details")].map((one) => one.open);
      const focused = document.activeElement?.getAttribute?.("href");
      const chart = main.querySelector("#chart");
      main.replaceChildren(...fresh.getElementById("main").childNodes);
      if (chart) main.querySelector("#chart")?.replaceWith(chart);
      main.querySelectorAll("details").forEach((one, i) => { one.open = Boolean(opened[i]); });
      if (focused) main.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
      document.querySelector("nav ul").replaceChildren(...fresh.querySelector("nav ul").childNodes);
      root.dataset.version = fresh.documentElement.dataset.version || version;
    } catch {
      // The stream says whether the gateway is there; the next status event tries again.
    } finally {
      refreshing = false;
    }
  }

  function connect() {
    const source = new EventSource(root.dataset.stream);
    source.addEventListener("points", (event) => {
      for (const row of JSON.parse(event.data).points) showPoint(row);
    });
    source.addEventListener("status", (event) => {
      const status = JSON.parse(event.data);
      showLive(status.at);
      if (status.version !== root.dataset.version) refresh(status.version);
    });
    source.addEventListener("error", () => {
      showLost();
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
    });
    addEventListener("pagehide", () => source.close(), { once: true });
  }

  addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
  setInterval(() => { if (Date.now() - lastEvent > STALE_MS) showLost(); }, 5000);
  connect();
})();
