// What a report must show, out of the tables alone.
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The cells of a table, with quotes as in CSV. */
function cells(line) {
  return line.split("\t").map((cell) => (cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell));
}

export function expected(directory) {
  const [head, ...lines] = readFileSync(join(directory, "sequences.tsv"), "utf8").trimEnd().split("\n");
  const names = cells(head);
  const at = (name) => names.indexOf(name);
  const rows = lines.map(cells);
  const ids = rows.map((row) => row[at("sequence_id")]);
  const scores = rows.map((row) => (row[at("virus_score")] === "NA" ? null : Number(row[at("virus_score")])));
  const lengths = rows.map((row) => Number(row[at("length")]));
  const calls = { viral: 0, uncertain: 0, cellular: 0, unjudged: 0 };
  for (const row of rows) calls[row[at("call")] === "NA" ? "unjudged" : row[at("call")]] += 1;
  return {
    records: rows.length,
    ids,
    descriptions: rows.map((row) => row[at("description")].slice(0, 80)),
    scores,
    lengths,
    calls,
    above(line) {
      const chosen = scores.map((score, i) => (score !== null && score >= line ? lengths[i] : null)).filter((length) => length !== null);
      return { records: chosen.length, bases: chosen.reduce((sum, length) => sum + length, 0) };
    },
  };
}
