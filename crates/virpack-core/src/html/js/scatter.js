// A dot for each record on a canvas, in place of the circles that the page has without script.
function scatter(records) {
  const plot = document.getElementById("scatter");
  const frame = plot.querySelector("svg");
  const tip = plot.querySelector(".tip");
  const low = Number(plot.dataset.xMin);
  const high = Number(plot.dataset.xMax);
  const canvas = element("canvas");
  const pen = canvas.getContext("2d");
  const xs = new Float32Array(records.count);
  const ys = new Float32Array(records.count);
  frame.querySelector("[data-marks]").remove();
  frame.after(canvas);

  function draw() {
    const { width, height } = frame.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    pen.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const radius = records.count > 20000 ? 1.25 : records.count > 2000 ? 2 : 3.5;
    pen.globalAlpha = records.count > 20000 ? 0.3 : 0.75;
    for (const [letter, name] of [["c", "cellular"], ["u", "uncertain"], ["v", "viral"]]) {
      pen.fillStyle = style.getPropertyValue(`--${name}`);
      pen.beginPath();
      let inPath = 0;
      for (let i = 0; i < records.count; i += 1) {
        if (records.score[i] < 0 || records.callOf(i) !== letter) continue;
        const x = ((Math.log10(Math.max(1, records.length[i])) - low) / (high - low)) * width;
        const y = (1 - records.score[i] / 10000) * height;
        xs[i] = x;
        ys[i] = y;
        pen.moveTo(x + radius, y);
        pen.arc(x, y, radius, 0, 2 * Math.PI);
        // Dots of one path do not add up; those of several show where they are many.
        inPath += 1;
        if (inPath === 500) {
          pen.fill();
          pen.beginPath();
          inPath = 0;
        }
      }
      pen.fill();
    }
  }

  function nearest(x, y) {
    let best = -1;
    let distance = 100;
    for (let i = 0; i < records.count; i += 1) {
      if (records.score[i] < 0) continue;
      const d = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
      if (d < distance) [best, distance] = [i, d];
    }
    return best;
  }

  canvas.addEventListener("pointermove", (event) => {
    const record = nearest(event.offsetX, event.offsetY);
    tip.hidden = record < 0;
    if (record < 0) return;
    const description = records.descriptions[record];
    tip.textContent = `${records.ids[record]}${description ? ` ${description}` : ""}: ${counted(records.length[record], "base")}, score ${(records.score[record] / 10000).toFixed(3)}`;
    const left = canvas.offsetLeft + xs[record];
    tip.style.left = `${Math.max(0, Math.min(left + 10, plot.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${canvas.offsetTop + ys[record] + 12}px`;
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  new ResizeObserver(draw).observe(frame);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return draw;
}
