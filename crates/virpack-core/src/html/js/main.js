// Begins when the page is there. If the data block cannot be unpacked, the page stays as it came.
async function begin() {
  const block = document.getElementById("data");
  if (!block) return;
  let records;
  try {
    records = new Records(await unpack(block.textContent));
  } catch (reason) {
    // A browser without DecompressionStream, or a file that was cut short.
    document.querySelector("#records [data-without-script]").hidden = true;
    document.querySelector("[data-no-data]").hidden = false;
    document.documentElement.dataset.failed = String(reason);
    return;
  }
  for (const node of document.querySelectorAll("[data-needs-script]")) node.hidden = false;
  for (const node of document.querySelectorAll("[data-without-script]")) node.hidden = true;
  const draw = scatter(records);
  const select = table(records);
  line(records, () => { draw(); select(); });
  document.documentElement.dataset.ready = "";
}

/** Opens the track that the address names; browsers before 2025 do not. */
function reveal() {
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("details")?.setAttribute("open", "");
}

addEventListener("hashchange", reveal);
reveal();
begin();
