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

  // The charts' library is unpacked when the first chart is drawn. The policy names its hash, as it does this script's.
  let library = null;
  function unpacked() {
    library ??= (async () => {
      const zipped = Uint8Array.from(atob(document.getElementById("vega").textContent), (letter) => letter.charCodeAt(0));
      const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
      const script = document.createElement("script");
      script.textContent = await new Response(stream).text();
      document.head.append(script);
    })();
    return library;
  }

  const { themes, charts, forms } = data ? JSON.parse(data.textContent) : {};

  // A chart without a spec of its own is drawn from the table beside it: the numbers that are read are those drawn.
  function specOf(element) {
    const form = element.dataset.form;
    if (!form) return charts[element.id];
    const apart = "apart" in element.dataset;
    const share = (cell) => parseFloat(cell.textContent) / 100;
    const table = document.getElementById(element.dataset.table);
    const edges = (table.dataset.edges || "").split(" ").map(Number);
    const shares = [...table.tBodies[0].rows]
      .filter((row) => "apart" in row.dataset === apart)
      .map((row, n) => ({
        n, bin: row.cells[0].textContent, reference: share(row.cells[1]), current: share(row.cells[2]),
        from: edges[n], to: edges[n + 1],
      }));
    const height = form === "bars" ? { height: 19 * shares.length } : {};
    return { ...forms[form], datasets: { shares }, ...height };
  }

  const views = new Map();
  let last = Promise.resolve();
  async function draw(element) {
    views.set(element, null);
    try {
      await unpacked();
      const view = await window.vegaEmbed(element, specOf(element), {
        actions: false, ast: true, config: themes[dark.matches ? "dark" : "light"], defaultStyle: false,
        renderer: "svg", tooltip,
      });
      views.set(element, view);
      element.dataset.drawn = "yes";
    } catch (error) {
      element.dataset.drawn = "no";
      console.error(element.id || element.dataset.table, error);
    }
  }
  // One after another, so that the page answers in between; what stands in a closed line waits until it is opened.
  function drawWithin(root) {
    for (const element of root.querySelectorAll(".chart")) {
      if (views.has(element) || element.closest("details:not([open])")) continue;
      views.set(element, null);
      last = last.then(() => draw(element));
    }
  }
  if (data) {
    drawWithin(document);
    document.addEventListener("toggle", (event) => { if (event.target.open) drawWithin(event.target); }, true);
    dark.addEventListener("change", () => {
      for (const view of views.values()) view?.finalize();
      views.clear();
      drawWithin(document);
    });
  }

  // A link to something inside a closed line opens it; so does printing, for every line that does not hold.
  function openAt() {
    const wanted = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const line = wanted && wanted.closest("details");
    if (line) line.open = true;
    if (location.hash === "#all") openAll(document, true);
  }
  function openAll(root, open) {
    for (const line of root.querySelectorAll("details.column")) line.open = open;
  }
  for (const button of document.querySelectorAll("button[data-opens]")) {
    button.addEventListener("click", () => {
      const list = document.getElementById(button.dataset.opens);
      const open = list.querySelector("details.column:not([open])") !== null;
      openAll(list, open);
      button.textContent = open ? "Close all" : "Open all";
    });
  }
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.column:not([data-status=ok]):not([open])")];
    for (const line of opened) line.open = true;
  });
  window.addEventListener("afterprint", () => { for (const line of opened) line.open = false; });
  window.addEventListener("hashchange", openAt);
  openAt();

  for (const form of document.querySelectorAll("form[data-filters]")) {
    const list = document.getElementById(form.dataset.filters);
    const items = [...list.querySelectorAll("[data-status]")].map((item) => ({
      item, text: (item.querySelector("summary") || item).textContent.toLowerCase(),
    }));
    const boxes = [...form.querySelectorAll("input[type=checkbox]")];
    const count = form.querySelector("output");
    const none = list.parentElement.querySelector(".none");
    const filter = () => {
      const wanted = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kind = form.elements.kind ? form.elements.kind.value : "";
      const unwanted = new Set(boxes.filter((box) => !box.checked).map((box) => box.value));
      let shown = 0;
      for (const { item, text } of items) {
        const fits = !unwanted.has(item.dataset.status) && (!kind || item.dataset.kind === kind)
          && wanted.every((word) => text.includes(word));
        item.hidden = !fits;
        shown += fits;
      }
      count.textContent = shown.toLocaleString("en") + " of " + items.length.toLocaleString("en");
      if (none) none.hidden = shown > 0;
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }
})();
