// What a report must show: JSON that the writer of a made-up page has put beside it, out of the records alone, or the table of a run.
import { readFileSync } from "node:fs";

export function expected(file) {
  const text = readFileSync(file, "utf8");
  const want = file.endsWith(".tsv") ? ofTable(text) : JSON.parse(text);
  const { scores, lengths } = want;
  return {
    ...want,
    above(line) {
      const chosen = scores.map((score, i) => (score !== null && score >= line ? lengths[i] : null)).filter((length) => length !== null);
      return { records: chosen.length, bases: chosen.reduce((sum, length) => sum + length, 0) };
    },
  };
}

/** What `sequences.tsv` says of its records. */
function ofTable(text) {
  const [header, ...lines] = text.trimEnd().split("\n").map((line) => line.split("\t"));
  const column = (name) => lines.map((cells) => cells[header.indexOf(name)]);
  const calls = { viral: 0, uncertain: 0, cellular: 0, unjudged: 0 };
  for (const call of column("call")) calls[call === "" ? "unjudged" : call] += 1;
  return {
    records: lines.length,
    ids: column("sequence_id"),
    descriptions: column("description"),
    scores: column("virus_score").map((score) => (score === "" ? null : Number(score))),
    lengths: column("length").map(Number),
    calls,
  };
}
