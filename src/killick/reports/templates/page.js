// Draws the page's charts in the colours that the reader prefers, and filters its tables. No library but Vega.
(() => {
  "use strict";
  const data = document.getElementById("charts");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);

  // Vega's own tooltip writes style attributes, which the policy forbids; this one sets properties.
  function tooltip(handler, event, item, value) {
    if (value === null || value === undefined || value === "") { tip.hidden = true; return; }
    tip.replaceChildren();
    for (const [name, said] of Object.entries(typeof value === "object" ? value : { " ": value })) {
      if (said === null || said === "" || said === "null") continue;
      const line = document.createElement("div");
      if (name.trim()) {
        const label = document.createElement("span");
        label.textContent = name + " ";
        line.append(label);
      }
      line.append(String(said));
      tip.append(line);
    }
    tip.hidden = false;
    const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
    const below = event.clientY + 16;
    const fits = below + tip.offsetHeight < window.innerHeight;
    tip.style.left = Math.max(left, 8) + "px";
    tip.style.top = (fits ? below : event.clientY - tip.offsetHeight - 12) + "px";
  }

  let drawn = [];
  let turn = 0;
  async function draw() {
    const mine = ++turn;
    for (const view of drawn.splice(0)) view.finalize();
    const { themes, charts } = JSON.parse(data.textContent);
    const config = themes[dark.matches ? "dark" : "light"];
    for (const [id, spec] of Object.entries(charts)) {
      if (mine !== turn) return;
      const element = document.getElementById(id);
      try {
        const view = await window.vegaEmbed(element, spec, {
          actions: false, ast: true, config, defaultStyle: false, renderer: "svg", tooltip,
        });
        drawn.push(view);
        element.dataset.drawn = "yes";
      } catch (error) {
        element.dataset.drawn = "no";
        console.error(id, error);
      }
    }
    document.documentElement.dataset.charts = String(drawn.length);
  }
  if (data) {
    draw();
    dark.addEventListener("change", draw);
  }

  for (const form of document.querySelectorAll("form[data-filters]")) {
    const table = document.getElementById(form.dataset.filters);
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, text: row.textContent.toLowerCase(), status: row.dataset.status }));
    const count = form.querySelector("output");
    const filter = () => {
      const wanted = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const statuses = new Set([...form.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.value));
      let shown = 0;
      for (const { row, text, status } of rows) {
        const fits = statuses.has(status) && wanted.every((word) => text.includes(word));
        row.hidden = !fits;
        shown += fits;
      }
      count.textContent = shown.toLocaleString("en") + " of " + rows.length.toLocaleString("en");
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }
})();
