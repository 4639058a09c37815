// One file's result: what each model says, whether they agree, the timeline, and the figures to keep.

import { $, button, keep, make } from "./dom.js";
import { csv, json } from "./save.js";
import { Timeline } from "./timeline.js";
import { agreed, answer, clipAnswer, nearest, percent, silent, size, spoken } from "./words.js";

const FIRST = 6; // bars that are shown at once
const COLOURS = 8;

const colours = new Map();

/** Give each class its colour, once for all results: "k0" … "k7", and the same with stripes where there are more. */
export function learnColours(classes) {
  for (const each of classes) if (!colours.has(each)) colours.set(each, colours.size);
}

export function colourOf(label) {
  learnColours([label]);
  const number = colours.get(label);
  return `k${number % COLOURS}${number >= COLOURS ? " striped" : ""}`;
}

function bars(model) {
  const body = make("tbody");
  (model.classes ?? []).forEach((each, place) => {
    const bar = make("span", { class: `bar ${colourOf(each.label)}` });
    bar.style.width = `${(100 * each.probability).toFixed(2)}%`;
    const track = make("span", { class: "track", "aria-hidden": "true" }, bar);
    const row = make("tr", {}, make("th", { scope: "row", title: each.label }, each.label), make("td", { class: "figures" }, percent(each.probability)), make("td", { class: "bar-cell" }, track));
    row.hidden = place >= FIRST;
    body.append(row);
  });
  const table = make("table", { class: "bars" }, make("caption", { class: "unseen" }, `What ${model.model} says, class by class`), body);
  const rest = (model.classes ?? []).length - FIRST;
  if (rest <= 0) return [table];
  const more = button(`Show all ${model.classes.length} classes`, () => {
    const open = more.getAttribute("aria-expanded") !== "true";
    more.setAttribute("aria-expanded", String(open));
    more.textContent = open ? `Show the first ${FIRST}` : `Show all ${model.classes.length} classes`;
    [...body.rows].forEach((row, place) => (row.hidden = !open && place >= FIRST));
  }, { class: "quiet", "aria-expanded": "false" });
  return [table, more];
}

/** What each view of a stack says, where the model tells it. */
function views(model) {
  const found = Object.entries(model.views ?? {}).filter(([, each]) => each && typeof each === "object");
  if (!found.length) return null;
  const rows = found.map(([name, each]) => {
    const sure = typeof each.probability === "number" ? percent(each.probability) : "";
    const speaks = typeof each.contribution === "number" ? (each.contribution > 0 ? "for the answer" : "against it") : "";
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, each.label ?? "stepped aside"), make("td", { class: "figures" }, sure), make("td", { class: "soft" }, speaks));
  });
  const table = make("table", { class: "views" }, make("caption", { class: "unseen" }, "What each view says by itself"), make("tbody", {}, ...rows));
  return make("details", {}, make("summary", {}, "What each view says by itself"), make("div", { class: "wide", role: "region", tabindex: "0", "aria-label": `Views of ${model.model}` }, table));
}

/** The sentence on agreement, as the service says it, as a sentence. */
function sentenceOf(result) {
  const said = (result.agreement?.sentence ?? "").replace(/^the models /, "The models ");
  return !said || /[.!?]$/.test(said) ? said : `${said}.`;
}

function card(model, several) {
  if (model.label === null && !model.unknown) {
    return make("article", { class: "card" }, make("h3", {}, model.model), make("p", { class: "says" }, "no answer"), make("p", {}, model.error ?? ""));
  }
  const says = silent(model)
    ? [make("p", { class: "says" }, "silent"), make("p", {}, `Nothing sounds in what ${model.model} heard. The figures below are what it makes of silence; they say nothing of music.`)]
    : model.unknown
    ? [make("p", { class: "says" }, "unknown"), make("p", {}, `This sounds unlike what ${model.model} knows. The nearest of its classes: ${nearest(model)}.`)]
    : [make("p", { class: "says" }, model.label), make("p", {}, make("span", { class: "figures" }, percent(model.probability)), model.words ? `, ${model.words}` : "")];
  const heading = make("h3", { class: several ? "" : "alone" }, model.model);
  return make("article", { class: "card" }, heading, ...says, ...bars(model), views(model));
}

/** The clips as a table, for who does not see the timeline, or wants to read it. */
function clipTable(result) {
  const rows = result.models.flatMap((model) =>
    (model.timeline ?? []).map((clip) => [model.model, `${clip.start_s.toFixed(1)} to ${clip.end_s.toFixed(1)} s`, clipAnswer(model, clip), silent(model) ? "" : percent(clip.probability)]),
  );
  if (!rows.length) return null;
  const several = result.models.length > 1;
  const cut = (cells) => (several ? cells : cells.slice(1));
  const head = make("tr", {}, ...cut(["model", "clip", "answer", "probability"]).map((name) => make("th", { scope: "col" }, name)));
  const details = make("details", {}, make("summary", {}, "The clips as a table"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const body = rows.map((cells) => make("tr", {}, ...cut(cells).map((cell) => make("td", {}, cell))));
    const table = make("table", { class: "clips" }, make("caption", { class: "unseen" }, "The clips in order"), make("thead", {}, head), make("tbody", {}, ...body));
    details.append(make("div", { class: "wide", role: "region", tabindex: "0", "aria-label": "Clips" }, table));
  });
  return details;
}

const stem = (name) => name.replace(/^.*[\\/]/, "").replace(/\.[^.]*$/, "") || "result";

/** Shows one job at a time in the section #result. */
export class Result {
  constructor({ retry, step, back }) {
    this.section = $("result");
    this.retry = retry;
    this.step = step; // goes to the file before (-1) or after (1), where there is one
    this.back = back; // goes to the row of the job that is shown
    this.job = null;
    this.timeline = null;
  }

  close() {
    this.timeline?.close();
    this.timeline = null;
    this.job = null;
    this.section.hidden = true;
    this.section.replaceChildren();
  }

  /** Show a job that is done or has failed. `neighbours` [before, after] tell whether there are others to go to. */
  show(job, { neighbours = [false, false], picture = null, focus = true } = {}) {
    this.close();
    this.job = job;
    this.section.replaceChildren(...(job.result ? this.#answer(job) : this.#failure(job)), this.#steps(neighbours));
    this.section.hidden = false;
    if (job.result) this.#picture(job, picture);
    if (!focus) return;
    $("result-heading").focus({ preventScroll: true });
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.section.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  }

  #answer(job) {
    const { result } = job;
    const several = result.models.length > 1;
    this.timeline = new Timeline(result, job.file, colourOf);
    const sentence = several && sentenceOf(result);
    const name = stem(job.name);
    return [
      this.#heading(job, `${spoken(result.file.seconds)}, ${size(result.file.bytes)}`),
      ...(result.remarks ?? []).map((remark) => make("p", { class: "warn" }, remark)),
      sentence && make("p", { class: `agreement ${agreed(result) === "agree" ? "agree" : "differ"}` }, sentence),
      make("div", { class: "cards" }, ...result.models.map((model) => card(model, several))),
      make("h3", {}, "What was heard when"),
      this.timeline.element,
      clipTable(result),
      make("div", { class: "actions after" },
        button("Result as CSV", () => keep(`${name}.csv`, "text/csv", csv([job], { clips: true }))),
        button("Result as JSON", () => keep(`${name}.json`, "application/json", json([job])))),
    ].filter(Boolean);
  }

  #heading(job, soft) {
    return make("div", { class: "heading" }, make("h2", { id: "result-heading", tabindex: "-1" }, job.name), make("p", { class: "soft" }, soft));
  }

  #failure(job) {
    const what = job.state === "cancelled" ? "Stopped before it was heard." : job.error;
    const title = job.state === "cancelled" ? "Stopped" : job.ofFile ? "This file could not be heard" : "There is no answer";
    return [
      this.#heading(job, size(job.file.size)),
      make("div", { class: "warn failure" }, make("h3", {}, title), make("p", {}, what), make("div", { class: "actions" }, button("Try again", () => this.retry(job)))),
    ];
  }

  #steps([before, after]) {
    if (!before && !after) return "";
    const steps = make("nav", { class: "steps", "aria-label": "Other files" });
    steps.append(button("← The file before", () => this.step(-1), { disabled: !before }));
    steps.append(button("Back to the list", () => this.back(this.job), { class: "quiet" }));
    steps.append(button("The file after →", () => this.step(1), { disabled: !after }));
    return steps;
  }

  async #picture(job, fetchPicture) {
    const { timeline } = this;
    if (job.result.picture) return timeline.picture(job.result.picture);
    timeline.picture(null, fetchPicture ? "Drawing the picture…" : "");
    try {
      const there = fetchPicture && (await fetchPicture(job));
      if (this.timeline === timeline) timeline.picture(there ? job.result.picture : null, "no picture");
    } catch (error) {
      if (this.timeline === timeline) timeline.picture(null, `No picture: ${error.message}`);
    }
    return null;
  }
}

/** The short answer of a job, for the page's title and a screen reader. */
export const short = (result) => result.models.map((model) => (result.models.length > 1 ? `${model.model}: ${answer(model)}` : answer(model))).join(", ");
