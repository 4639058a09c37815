// Results as files: CSV for a spreadsheet, JSON for a program.

import { answer, silent } from "./words.js";

/** A cell of CSV. A text that a spreadsheet would take for a formula is defused with an apostrophe before it. */
export function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  let text = String(value);
  if (/^\s*[=+\-@＝＋－＠\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

const line = (cells) => cells.map(cell).join(",");

/** The classes of all models that have answered, in the order in which they come up. */
function classesOf(jobs) {
  const names = new Set();
  for (const job of jobs) for (const model of job.result?.models ?? []) for (const each of model.classes ?? []) names.add(each.label);
  return [...names].sort();
}

/**
 * A line for each file and model, and with `clips` one for each clip; a failed file has a line with its reason.
 * Columns: file, level, model, start_s, end_s, label, probability, words, error, remarks, and p_CLASS for each class.
 */
export function csv(jobs, { clips = false } = {}) {
  const classes = classesOf(jobs);
  const lines = [line(["file", "level", "model", "start_s", "end_s", "label", "probability", "words", "error", "remarks", ...classes.map((each) => `p_${each}`)])];
  const shares = (found) => classes.map((each) => found.get(each));
  for (const job of jobs) {
    if (!job.result) {
      lines.push(line([job.name, "track", "", null, null, "", null, "", job.error || job.state, "", ...classes.map(() => null)]));
      continue;
    }
    const remarks = (job.result.remarks ?? []).join("; ");
    for (const model of job.result.models) {
      const label = silent(model) ? model.label : answer(model); // of silence the figures are kept as they came
      const whole = new Map((model.classes ?? []).map((each) => [each.label, each.probability]));
      lines.push(line([job.name, "track", model.model, 0, job.result.file.seconds, label, model.probability, model.words, model.error ?? "", remarks, ...shares(whole)]));
      for (const clip of clips ? model.timeline ?? [] : []) {
        const part = new Map(Object.entries(clip.classes ?? {}));
        lines.push(line([job.name, "clip", model.model, clip.start_s, clip.end_s, clip.label, clip.probability, "", "", "", ...shares(part)]));
      }
    }
  }
  return `\ufeff${lines.join("\r\n")}\r\n`;
}

/** What the service answered, file by file, without the pictures. */
export function json(jobs) {
  const files = jobs.map((job) => {
    if (!job.result) return { file: { name: job.name, bytes: job.file.size }, error: job.error || job.state };
    const { file, models, agreement, remarks } = job.result;
    return { file: { ...file, name: job.name }, models, agreement: agreement ?? null, remarks: remarks ?? [], error: null };
  });
  return `${JSON.stringify({ files }, null, 1)}\n`;
}
