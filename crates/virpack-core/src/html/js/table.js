// The table of all records: search, filters, order, pages, and the ids to the clipboard.
const PAGE_ROWS = 50;

function table(records) {
  const view = document.getElementById("table");
  const body = view.tBodies[0];
  const heads = [...view.tHead.rows[0].cells];
  const search = document.getElementById("search");
  const call = document.getElementById("call");
  const least = document.getElementById("least");
  const found = document.getElementById("found");
  const previous = document.getElementById("previous");
  const next = document.getElementById("next");
  const signs = new Map();
  const sparks = new Map();
  const shown = { rows: [], page: 0, key: "score", down: true };

  // The pictures of the page as it came are used again.
  for (const row of body.rows) {
    const spark = row.querySelector(".spark");
    if (spark) sparks.set(Number(row.dataset.record), spark);
  }
  for (const chip of document.querySelectorAll(".tile .chip")) signs.set(chip.classList[1], chip);

  const order = {
    id: (a, b) => (records.ids[a] < records.ids[b] ? -1 : records.ids[a] > records.ids[b] ? 1 : 0),
    length: (a, b) => records.length[a] - records.length[b],
    score: (a, b) => records.score[a] - records.score[b],
    viral: (a, b) => records.viral[a] - records.viral[b],
    evidence: (a, b) => "-nbf".indexOf(records.evidence[a]) - "-nbf".indexOf(records.evidence[b]),
    fdr: (a, b) => records.fdr[a] - records.fdr[b],
    call: (a, b) => "-cuv".indexOf(records.callOf(a)) - "-cuv".indexOf(records.callOf(b)),
  };

  function select() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const length = Number(least.value) || 0;
    shown.rows = [];
    for (let i = 0; i < records.count; i += 1) {
      if (records.length[i] < length) continue;
      if (call.value && records.callOf(i) !== call.value) continue;
      if (words.length && !words.every((word) => records.text(i).includes(word))) continue;
      shown.rows.push(i);
    }
    const by = order[shown.key];
    const sign = shown.down ? -1 : 1;
    shown.rows.sort((a, b) => sign * by(a, b) || records.length[b] - records.length[a] || a - b);
    shown.page = 0;
    found.textContent = shown.rows.length === records.totals.records
      ? counted(records.totals.records, "record")
      : `${thousands(shown.rows.length)} of ${counted(records.totals.records, "record")}`;
    if (records.count < records.totals.records) found.textContent += ` (the table holds the ${thousands(records.count)} best)`;
    draw();
  }

  function cells(record) {
    const row = element("tr");
    const name = element("td", undefined, "id");
    const anchor = document.getElementById(`track-${records.record[record]}`);
    const id = element(anchor ? "a" : "span", records.ids[record]);
    if (anchor) id.href = `#track-${records.record[record]}`;
    name.append(id);
    if (records.descriptions[record]) name.append(element("small", records.descriptions[record]));
    if (records.sources) name.append(element("small", records.sources[records.source[record]]));
    const score = records.score[record];
    const letter = records.callOf(record);
    const spark = element("td");
    if (sparks.has(records.record[record])) spark.append(sparks.get(records.record[record]));
    const verdict = element("td");
    verdict.append(signs.get(CALLS[letter]).cloneNode(true));
    row.append(
      name,
      verdict,
      element("td", score < 0 ? "–" : (score / 10000).toFixed(3), "right"),
      element("td", thousands(records.length[record]), "right"),
      spark,
      element("td", `${thousands(records.viral[record])} / ${thousands(records.classified[record])}`, "right"),
      element("td", EVIDENCE[records.evidence[record]]),
    );
    if (records.fdr) row.append(element("td", records.fdr[record] < 0 ? "–" : percent(records.fdr[record] / 10000), "right"));
    return row;
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(shown.rows.length / PAGE_ROWS));
    const first = shown.page * PAGE_ROWS;
    body.replaceChildren(...shown.rows.slice(first, first + PAGE_ROWS).map(cells));
    if (!shown.rows.length) {
      const none = element("td", "No record fits.");
      none.colSpan = heads.length;
      const row = element("tr");
      row.append(none);
      body.append(row);
    }
    document.getElementById("page").textContent = `page ${thousands(shown.page + 1)} of ${thousands(pages)}`;
    previous.disabled = shown.page === 0;
    next.disabled = shown.page + 1 >= pages;
  }

  function turn(by) {
    shown.page += by;
    draw();
  }

  async function copy(event) {
    const button = event.currentTarget;
    const text = shown.rows.map((record) => records.ids[record]).join("\n");
    const done = (await toClipboard(text)) ? `Copied ${counted(shown.rows.length, "id")}` : "The browser refuses";
    button.textContent = done;
    setTimeout(() => { button.textContent = "Copy ids"; }, 2000);
  }

  for (const head of heads) {
    const { key } = head.dataset;
    if (!key) continue;
    const button = element("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      shown.down = shown.key === key ? !shown.down : key !== "id" && key !== "fdr";
      shown.key = key;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", shown.down ? "descending" : "ascending");
      select();
    });
  }
  let waiting = null;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(select, records.count > 20000 ? 150 : 0);
  });
  call.addEventListener("input", select);
  least.addEventListener("input", select);
  search.form.addEventListener("submit", (event) => event.preventDefault());
  previous.addEventListener("click", () => turn(-1));
  next.addEventListener("click", () => turn(1));
  document.getElementById("copy").addEventListener("click", copy);
  select();
  return select;
}

/** Whether the text is on the clipboard now. Pages from disk may not have the newer way. */
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", text, "hidden");
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
