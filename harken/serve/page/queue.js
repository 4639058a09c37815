// The files that wait, are heard, are answered or have failed: at most two are sent at a time.

import { Cancelled, predict } from "./api.js";
import { size } from "./words.js";

export const AT_ONCE = 2;
const OF_THE_FILE = [413, 415, 422]; // the statuses by which a service refuses the file itself
const MOST_PICTURES = 40; // a queue longer than this asks for the mel picture when a result is opened

/** The states of a job: waiting, sending, listening, busy, done, failed, cancelled. */
export const over = (job) => job.state === "done" || job.state === "failed" || job.state === "cancelled";

/** A reason without the file's name before it: the page names the file itself. */
export function reason(message, name) {
  const base = name.replace(/^.*[\\/]/, "");
  const named = [name, base].find((each) => message.startsWith(`${each}: `));
  const said = named ? message.slice(named.length + 2) : message;
  return said && `${said[0].toUpperCase()}${said.slice(1)}${/[.!?)]$/.test(said) ? "" : "."}`;
}

export class Queue {
  constructor({ changed, limit = () => null }) {
    this.jobs = [];
    this.changed = changed; // is told the job that has changed, or null for several
    this.limit = limit; // the most bytes that the service takes, where it says so
    this.chosen = () => []; // the models that are asked; none: all
    this.strange = () => null; // whether they may answer "unknown"; null: as the service is set
    this.running = 0;
    this.serial = 0;
  }

  /** Add files ({file, name} each) and begin. Returns their jobs. */
  add(files) {
    const chosen = this.chosen();
    const strange = this.strange();
    const many = this.jobs.length + files.length > MOST_PICTURES;
    const jobs = files.map(({ file, name }) => ({
      id: (this.serial += 1), file, name, chosen, strange, picture: !many, state: "waiting", sent: 0, wait: 0, result: null, error: "", stop: null, began: 0,
    }));
    this.jobs.push(...jobs);
    this.changed(null);
    this.#next();
    return jobs;
  }

  retry(job) {
    if (job.state !== "failed" && job.state !== "cancelled") return;
    Object.assign(job, { state: "waiting", error: "", sent: 0, chosen: this.chosen(), strange: this.strange() });
    this.changed(job);
    this.#next();
  }

  cancel(job) {
    if (over(job)) return;
    const stop = job.stop;
    job.state = "cancelled";
    stop?.abort();
    this.changed(job);
  }

  cancelAll() {
    for (const job of this.jobs) this.cancel(job);
  }

  clear() {
    this.cancelAll();
    this.jobs = [];
    this.changed(null);
  }

  get counts() {
    const counts = { all: this.jobs.length, over: 0, done: 0, failed: 0, cancelled: 0 };
    for (const job of this.jobs) {
      if (over(job)) counts.over += 1;
      if (job.state in counts) counts[job.state] += 1;
    }
    return counts;
  }

  #next() {
    while (this.running < AT_ONCE) {
      const job = this.jobs.find((each) => each.state === "waiting");
      if (!job) return;
      this.running += 1;
      this.#run(job).finally(() => {
        this.running -= 1;
        this.#next();
      });
    }
  }

  async #run(job) {
    const stop = (job.stop = new AbortController());
    const set = (state, more = {}) => {
      if (job.stop !== stop || job.state === "cancelled") return;
      Object.assign(job, { state }, more);
      this.changed(job);
    };
    set("sending", { began: performance.now(), sent: 0 });
    await null; // whoever has added the job hears of a refusal afterwards
    const [bytes, limit] = [job.file.size, this.limit()];
    if (!bytes) return set("failed", { error: "The file is empty.", ofFile: true });
    if (limit && bytes > limit) {
      return set("failed", { error: `The file has ${size(bytes)}; this service takes at most ${size(limit)}.`, ofFile: true });
    }
    try {
      const result = await this.#ask(job, stop.signal, set, job.picture);
      set("done", { result });
    } catch (error) {
      if (!(error instanceof Cancelled)) set("failed", { error: reason(error.message, job.name), ofFile: OF_THE_FILE.includes(error.status) });
    }
  }

  #ask(job, signal, set, picture) {
    return predict(job.file, {
      name: job.name, chosen: job.chosen, strange: job.strange, picture, signal,
      sent: (share) => set(share < 1 ? "sending" : "listening", { sent: share }),
      waits: (wait) => set("busy", { wait }),
    });
  }

  /** Fetch the mel picture of a job that was answered without. Comes to whether there is one now. */
  async picture(job) {
    if (!job.result.picture && !job.picture) {
      job.picture = true;
      const { picture } = await this.#ask(job, null, () => {}, true);
      job.result.picture = picture;
    }
    return Boolean(job.result.picture);
  }
}
