// What a report must show, as the writer of its page has put it into a file beside it, out of the records alone.
import { readFileSync } from "node:fs";

export function expected(file) {
  const want = JSON.parse(readFileSync(file, "utf8"));
  const { scores, lengths } = want;
  return {
    ...want,
    above(line) {
      const chosen = scores.map((score, i) => (score !== null && score >= line ? lengths[i] : null)).filter((length) => length !== null);
      return { records: chosen.length, bases: chosen.reduce((sum, length) => sum + length, 0) };
    },
  };
}
