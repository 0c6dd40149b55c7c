// The slider of the least score of a viral record, and the one of the share of viruses.
function line(records, moved) {
  const slider = document.getElementById("threshold");
  const text = document.getElementById("threshold-text");
  const command = document.getElementById("threshold-command");
  const prevalence = document.getElementById("prevalence");
  const stops = document.querySelectorAll('stop[data-stop="viral"]');
  const lower = document.querySelectorAll('stop[data-stop="uncertain"]');
  const upright = document.querySelector("[data-line]");
  const level = document.querySelector("[data-line-y]");

  function expect() {
    if (!prevalence) return;
    const share = 10 ** (Number(prevalence.value) / 100);
    const wrong = records.shareFalse(records.line, share);
    const output = document.getElementById("prevalence-text");
    output.textContent = wrong === null
      ? `No record of either kind is expected at ${(records.line / 1000).toFixed(3)}.`
      : `If ${percent(share)} of the records are viruses, expect ${percent(wrong)} of the calls at ${(records.line / 1000).toFixed(3)} to be false.`;
  }

  function draw() {
    const at = records.line / 1000;
    const bottom = Math.min(records.start.uncertain / 1000, at);
    for (const stop of stops) stop.setAttribute("offset", at);
    for (const stop of lower) stop.setAttribute("offset", bottom);
    for (const end of ["x1", "x2"]) upright.setAttribute(end, `${at * 100}%`);
    for (const end of ["y1", "y2"]) level.setAttribute(end, `${(1 - at) * 100}%`);
    const above = records.above(records.line);
    const { records: all, bases } = records.totals;
    text.textContent = `At ${at.toFixed(3)}: ${counted(above.records, "viral record")} (${percent(all ? above.records / all : 0)}) with ${counted(above.bases, "base")} (${percent(bases ? above.bases / bases : 0)}).`;
    text.dataset.records = above.records;
    text.dataset.bases = above.bases;
    command.textContent = `virpack report ${quoted(command.dataset.directory)} --min-score ${at}`;
    command.parentElement.hidden = records.line === records.start.viral;
    expect();
  }

  /** A word of a shell command. */
  function quoted(word) {
    return /^[\w./+@%,:-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
  }

  let waiting = null;
  slider.addEventListener("input", () => {
    records.line = Number(slider.value);
    draw();
    clearTimeout(waiting);
    waiting = setTimeout(moved, 120);
  });
  document.getElementById("threshold-reset").addEventListener("click", () => {
    slider.value = records.start.viral;
    slider.dispatchEvent(new Event("input"));
  });
  prevalence?.addEventListener("input", expect);
  draw();
}
