// The table of the queue: a row for each file, sorted by a click on a column's head, filtered by name, answer and failure.

import { $, button, make, say } from "./dom.js";
import { over } from "./queue.js";
import { agreed, answer, clock, count, percent, silent } from "./words.js";

const MOST_COLUMNS = 3; // models up to which each has a column of its own
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

const STATES = { waiting: "waiting", sending: "being sent", listening: "being heard", cancelled: "stopped" };

/** What stands in the place of an answer while there is none. */
function stateOf(job) {
  if (job.state === "busy") return `the service is busy, again in ${job.wait} s`;
  if (job.state === "failed") return `failed: ${job.error[0].toLowerCase()}${job.error.slice(1)}`;
  if (job.state === "sending" && job.sent > 0 && job.sent < 1) return `being sent, ${percent(job.sent)}`;
  return STATES[job.state] ?? "";
}

/** What the service remarks of a file, below its name; it says the name itself at most once. */
function remarks(job) {
  const base = job.name.replace(/^.*[\\/]/, "");
  const plain = (remark) => (remark.startsWith(`${base} `) ? remark.slice(base.length + 1) : remark);
  return (job.result?.remarks ?? []).map((remark) => make("p", { class: "remark small" }, plain(remark)));
}

const by = (job, model) => job.result?.models.find((each) => each.model === model);

/** The answer that most models give, "they differ" where none leads. */
function common(result) {
  const times = new Map();
  for (const model of result.models) times.set(answer(model), (times.get(answer(model)) ?? 0) + 1);
  const [first, second] = [...times].sort((one, two) => two[1] - one[1]);
  return !second || first[1] > second[1] ? first[0] : "they differ";
}

function columnsFor(models) {
  const said = (model) => (silent(model) || model.unknown || model.label === null ? [answer(model)] : [model.label, make("span", { class: "soft figures" }, ` ${percent(model.probability)}`)]);
  const columns = [];
  if (models.length <= MOST_COLUMNS) {
    for (const name of models) {
      columns.push({
        head: models.length > 1 ? name : "Answer",
        kind: "answer",
        cell: (job) => (by(job, name) ? said(by(job, name)) : []),
        key: (job) => (by(job, name) ? [answer(by(job, name)), -(by(job, name).probability ?? 0)] : null),
      });
    }
  } else columns.push({ head: "Most say", cell: (job) => [common(job.result)], key: (job) => job.result && [common(job.result)] });
  if (models.length > 1) {
    columns.push({ head: "Agreement", cell: (job) => [agreed(job.result) ?? "–"], key: (job) => job.result && [["agree", "differ", "could not"].indexOf(agreed(job.result) ?? "could not")] });
  } else {
    const first = (job) => job.result.models[0];
    columns.push({ head: "How sure", cell: (job) => [first(job).words ?? ""], key: (job) => job.result && [-first(job).probability] });
  }
  columns.push({ head: "Length", cell: (job) => [make("span", { class: "figures" }, clock(Math.round(job.result.file.seconds)))], key: (job) => job.result && [job.result.file.seconds], kind: "number" });
  return columns;
}

/** Compare two keys; whoever has none comes last, whichever way the column is sorted. */
function compare(one, two, way) {
  if (!one || !two) return one ? -1 : two ? 1 : 0;
  for (let place = 0; place < one.length; place += 1) {
    const found = typeof one[place] === "string" ? way * collator.compare(one[place], two[place]) : (place ? 1 : way) * (one[place] - two[place]);
    if (found) return found;
  }
  return 0;
}

export class Table {
  constructor(queue, open) {
    this.queue = queue;
    this.open = open;
    this.rows = new Map(); // job → its row
    this.models = null;
    this.sorted = { column: 0, way: 1, given: true }; // at first in the order in which the files were given
    this.shown = [];
    this.current = null;
    this.planned = 0;
    this.stale = new Set(); // jobs whose rows are out of date
    for (const id of ["filter-text", "filter-label", "filter-failed"]) $(id).addEventListener("input", () => this.refresh());
  }

  /** A job, or several, have changed. */
  changed(job) {
    if (job) this.stale.add(job);
    // A long table is drawn anew less often: each time, the browser lays out all of it.
    this.planned ||= setTimeout(() => this.refresh(), Math.min(2000, Math.max(150, this.queue.jobs.length / 3)));
  }

  refresh() {
    clearTimeout(this.planned);
    this.planned = 0;
    const { jobs } = this.queue;
    $("queue").hidden = jobs.length < 2;
    if (jobs.length < 2) return this.#empty(jobs);
    const models = [...new Set(jobs.flatMap((job) => job.result?.models.map((each) => each.model) ?? job.chosen))];
    if (models.join("\n") !== this.models) this.#build(models);
    const there = new Set(jobs);
    for (const [job, row] of this.rows) {
      if (there.has(job)) continue;
      row.remove();
      this.rows.delete(job);
    }
    for (const job of this.stale) if (this.rows.has(job)) this.#fill(job);
    this.stale.clear();
    for (const job of jobs) if (!this.rows.has(job)) this.#row(job);
    this.#labels(jobs);
    this.#order(jobs);
    this.#summary(jobs);
    return null;
  }

  #empty(jobs) {
    this.models = null;
    this.rows.clear();
    this.shown = jobs.slice();
    $("table").replaceChildren();
  }

  #build(models) {
    this.models = models.join("\n");
    this.columns = [
      { head: "File", key: (job) => [job.name] },
      ...columnsFor(models),
    ];
    this.rows.clear();
    this.heads = this.columns.map((column, place) => {
      const head = make("th", { scope: "col", role: "columnheader", class: column.kind === "number" && "number" });
      head.append(button(column.head, () => this.#sort(place), { class: "sort" }));
      return head;
    });
    this.body = make("tbody", { role: "rowgroup" });
    this.none = make("p", { class: "soft", hidden: true }, "No file fits the filter.");
    const last = make("th", { scope: "col", role: "columnheader" }, make("span", { class: "unseen" }, "Actions"));
    const head = make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...this.heads, last));
    const table = make("table", { class: "queue", role: "table", "aria-label": "Files and their answers" }, head, this.body);
    $("table").replaceChildren(make("div", { class: "wide tall", role: "region", tabindex: "0", "aria-label": "Files, scrolls" }, table), this.none);
    this.#heads();
  }

  #sort(column) {
    const again = !this.sorted.given && this.sorted.column === column;
    this.sorted = { column, way: again ? -this.sorted.way : 1, given: false };
    this.#heads();
    this.refresh();
  }

  #heads() {
    const { column, way, given } = this.sorted;
    this.heads.forEach((head, place) => {
      if (!given && place === column) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  }

  #row(job) {
    const row = make("tr", { role: "row" });
    this.rows.set(job, row);
    this.#fill(job);
  }

  #fill(job) {
    const row = this.rows.get(job);
    const focused = row.contains(document.activeElement) ? document.activeElement.className : null;
    const openable = Boolean(job.result) || job.state === "failed";
    const name = openable ? button(job.name, () => this.open(job), { class: "link open" }) : make("span", {}, job.name);
    const cells = [make("th", { scope: "row", role: "rowheader", class: "name" }, name, ...remarks(job))];
    if (job.result) {
      for (const column of this.columns.slice(1)) {
        cells.push(make("td", { role: "cell", "data-head": column.head, class: column.kind }, ...column.cell(job)));
      }
    } else {
      const spans = String(this.columns.length - 1);
      cells.push(make("td", { role: "cell", colspan: spans, class: job.state === "failed" ? "failed" : "soft" }, stateOf(job)));
    }
    const action = make("td", { role: "cell", class: "action" });
    if (!over(job)) action.append(button("Stop", () => this.queue.cancel(job), { class: "quiet act", "aria-label": `Stop ${job.name}` }));
    else if (!job.result) action.append(button("Try again", () => this.queue.retry(job), { class: "quiet act", "aria-label": `Try ${job.name} again` }));
    row.classList.toggle("current", job === this.current);
    row.replaceChildren(...cells, action);
    if (focused) (row.querySelector(`.${focused.trim().split(/\s+/).join(".")}`) ?? row.querySelector("button"))?.focus();
  }

  /** Mark the row whose result is shown. */
  mark(job) {
    this.current = job;
    for (const [each, row] of this.rows) {
      row.classList.toggle("current", each === job);
      if (each === job) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  /** Put the focus on a job's row. */
  focus(job) {
    const name = this.rows.get(job)?.querySelector("button");
    name?.scrollIntoView({ block: "center" });
    name?.focus();
  }

  #fits(job) {
    const [text, label, failed] = [$("filter-text").value.trim().toLowerCase(), $("filter-label").value, $("filter-failed").checked];
    if (text && !job.name.toLowerCase().includes(text)) return false;
    if (failed && job.state !== "failed") return false;
    return !label || Boolean(job.result?.models.some((model) => answer(model) === label));
  }

  #order(jobs) {
    const { column, way, given } = this.sorted;
    const sorted = jobs.slice();
    if (!given) {
      const keys = new Map(jobs.map((job) => [job, this.columns[column].key(job)]));
      sorted.sort((one, two) => compare(keys.get(one), keys.get(two), way) || one.id - two.id);
    }
    const fitting = new Set(jobs.filter((job) => this.#fits(job)));
    this.shown = sorted.filter((job) => fitting.has(job));
    const wanted = sorted.map((job) => this.rows.get(job));
    const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
    wanted.forEach((row, place) => {
      if (this.body.rows[place] !== row) this.body.insertBefore(row, this.body.rows[place] ?? null);
    });
    if (focused && document.activeElement !== focused) focused.focus();
    sorted.forEach((job) => (this.rows.get(job).hidden = !fitting.has(job)));
    this.none.hidden = fitting.size > 0;
  }

  /** The answers that the filter offers: those that have come up. */
  #labels(jobs) {
    const labels = [...new Set(jobs.flatMap((job) => job.result?.models.map(answer) ?? []))].sort(collator.compare);
    const select = $("filter-label");
    if ([...select.options].slice(1).map((each) => each.value).join("\n") === labels.join("\n")) return;
    const chosen = select.value;
    select.replaceChildren(make("option", { value: "" }, "any"), ...labels.map((label) => make("option", { value: label }, label)));
    select.value = labels.includes(chosen) ? chosen : "";
  }

  #summary(jobs) {
    const counts = this.queue.counts;
    const parts = [`${count(counts.done, "file")} of ${counts.all.toLocaleString("en")} answered`];
    if (counts.failed) parts.push(`${counts.failed.toLocaleString("en")} failed`);
    if (counts.cancelled) parts.push(`${counts.cancelled.toLocaleString("en")} stopped`);
    const done = jobs.filter((job) => job.result);
    const several = done.filter((job) => agreed(job.result) !== null);
    let sentence = `${parts.join(", ")}.`;
    if (several.length) {
      const alike = several.filter((job) => agreed(job.result) === "agree").length;
      sentence += ` The models agree on ${alike.toLocaleString("en")} of ${count(several.length, "file")}.`;
      const apart = several.filter((job) => agreed(job.result) === "could not").length;
      if (apart) sentence += ` On ${apart.toLocaleString("en")} they could not: one names a class that another one does not know.`;
    } else if (done.length) {
      const times = new Map();
      for (const job of done) times.set(common(job.result), (times.get(common(job.result)) ?? 0) + 1);
      const most = [...times].sort((one, two) => two[1] - one[1]);
      sentence += ` ${most.slice(0, 5).map(([label, number]) => `${label} ${number.toLocaleString("en")}`).join(", ")}${most.length > 5 ? " …" : ""}.`;
    }
    if (this.shown.length < jobs.length) sentence += ` Shown: ${this.shown.length.toLocaleString("en")}.`;
    say($("queue-said"), sentence);
    $("retry-all").hidden = counts.failed + counts.cancelled === 0;
  }
}
