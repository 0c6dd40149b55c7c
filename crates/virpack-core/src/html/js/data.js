// What the page knows of all records: unpacked from the block that the program wrote.
const CALLS = { v: "viral", u: "uncertain", c: "cellular", "-": "unjudged" };
const EVIDENCE = { f: "frames", n: "nucleotides", b: "both", "-": "–" };

/** Unpacks the data block: base64 of gzip of JSON. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

/** The records with the line at any place. Scores are whole ten-thousandths, lines whole thousandths. */
class Records {
  constructor(data) {
    Object.assign(this, data.rows);
    this.ids = this.ids.split("\n");
    this.descriptions = this.descriptions.split("\n");
    this.count = this.score.length;
    this.record ??= Array.from(this.ids.keys());
    this.histogram = data.histogram;
    this.rates = data.rates;
    this.totals = data.totals;
    this.called = data.viral;
    this.start = { viral: Math.round(data.thresholds.viral * 1000), uncertain: Math.round(data.thresholds.uncertain * 1000) };
    this.line = this.start.viral;
    this.words = null;
  }

  /** The letter of a record's call with the line where it is: the run's own until the line is moved. */
  callOf(record) {
    if (this.line === this.start.viral) return this.call[record];
    const score = this.score[record];
    if (score < 0) return "-";
    if (score >= this.line * 10) return "v";
    return score >= this.start.uncertain * 10 ? "u" : "c";
  }

  /** Records and bases with a score at or above the line, of the whole run; at its own threshold, which may have more digits, its calls. */
  above(line) {
    if (line === this.start.viral) return this.called;
    let records = 0;
    let bases = 0;
    for (let bin = line; bin < this.histogram.records.length; bin += 1) {
      records += this.histogram.records[bin];
      bases += this.histogram.bases[bin];
    }
    return { records, bases };
  }

  /** The expected share of false calls at a line, if `prevalence` of the records are viruses; null without rates. */
  shareFalse(line, prevalence) {
    if (!this.rates) return null;
    const wrong = this.rates.false_positive[line] * (1 - prevalence);
    const right = this.rates.recall[line] * prevalence;
    return wrong + right > 0 ? wrong / (wrong + right) : null;
  }

  /** What a search looks in, made when it is first needed. */
  text(record) {
    this.words ??= this.ids.map((id, i) => `${id} ${this.descriptions[i]}`.toLowerCase());
    return this.words[record];
  }
}

const thousands = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");
const counted = (number, noun) => `${thousands(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A share between 0 and 1, with as many digits as mean something. */
function percent(share) {
  const value = share * 100;
  if (value === 0 || value === 100) return `${value} %`;
  if (value < 0.01) return "< 0.01 %";
  if (value > 99.9) return "> 99.9 %";
  const text = value < 1 ? value.toPrecision(1) : value < 10 || value > 99 ? value.toFixed(1) : value.toFixed(0);
  return `${text.replace(/\.0$/, "")} %`;
}

/** A number of bases in the unit that fits. */
function inBases(count) {
  for (const [size, unit] of [[1e9, "Gb"], [1e6, "Mb"], [1e3, "kb"]]) {
    if (count >= size) return `${(count / size).toFixed(count >= 100 * size ? 0 : 1)} ${unit}`;
  }
  return counted(count, "base");
}

function element(name, content, className) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (content !== undefined) node.textContent = content;
  return node;
}
