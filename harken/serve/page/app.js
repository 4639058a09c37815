// The page: takes songs, sends them, shows what the models say.

import { models as askModels } from "./api.js";
import { $, announce, keep, make, say } from "./dom.js";
import { collect, listed, MOST } from "./files.js";
import { over, Queue } from "./queue.js";
import { Recorder } from "./record.js";
import { learnColours, Result, short } from "./result.js";
import { csv, json } from "./save.js";
import { Table } from "./table.js";
import { count, percent, told } from "./words.js";

let limits = {};
let strangers = false; // whether the page has told that it does not know the models
let usual = false; // whether the service answers "unknown" unless it is told otherwise
let alone = null; // the job whose result opens by itself: a file that was given alone
let finished = true;

const queue = new Queue({ changed, limit: () => limits.upload_bytes ?? null });
const table = new Table(queue, open);
const result = new Result({
  retry: (job) => {
    alone = job;
    result.close();
    queue.retry(job);
  },
  back: (job) => table.focus(job),
  step: (way) => {
    const place = table.shown.indexOf(result.job) + way;
    for (let at = place; at >= 0 && at < table.shown.length; at += way) if (openable(table.shown[at])) return open(table.shown[at]);
    return null;
  },
});
queue.chosen = () => {
  const boxes = [...document.querySelectorAll("#model-list input")];
  return boxes.length > 1 ? boxes.filter((box) => box.checked).map((box) => box.value) : [];
};
queue.strange = () => {
  const asked = $("strange")?.checked ?? usual;
  return asked === usual ? null : asked;
};

const openable = (job) => Boolean(job.result) || job.state === "failed";

function open(job, focus = true) {
  const others = table.shown.filter((each) => each === job || openable(each));
  const place = others.indexOf(job);
  result.show(job, { neighbours: [place > 0, place >= 0 && place < others.length - 1], picture: (each) => queue.picture(each), focus });
  table.mark(job);
  document.title = job.result ? `${short(job.result)} · Harken` : "Harken";
}

function changed(job) {
  progress();
  table.changed(job);
  if (job && job === alone && over(job)) {
    alone = null;
    if (job.state !== "cancelled" || queue.jobs.length === 1) open(job, job.state !== "cancelled");
  }
}

// ------------------------------------------------------------------------------------------------ progress

const touched = matchMedia("(pointer: coarse)").matches; // a finger drops no files
const invitation = (more) => `${touched ? "Choose" : "Drop"} ${more ? "more songs" : touched ? "a song, or record one" : "songs or a folder"}${touched ? "" : " here"}`;

function progress() {
  const counts = queue.counts;
  const busy = counts.over < counts.all;
  $("working").hidden = !busy;
  $("drop").classList.toggle("slim", counts.all > 0);
  $("drop").classList.toggle("busy", busy);
  say($("invite"), invitation(counts.all > 0));
  if (busy) {
    finished = false;
    running(counts);
  } else if (!finished) {
    finished = true;
    finale(counts);
  }
}

function running(counts) {
  const live = queue.jobs.filter((job) => job.state === "sending" || job.state === "listening" || job.state === "busy");
  const now = live.find((job) => job.state === "busy") ?? live[0];
  const doing = { sending: "Sending", listening: "Listening to", busy: "The service is busy; waiting to send" }[now?.state] ?? "Beginning with";
  const share = now?.state === "sending" && now.sent > 0 ? `, ${percent(now.sent)}` : now?.state === "busy" ? `, ${now.wait} s` : "";
  const one = now ? `${doing} ${now.name}${share}` : "Beginning";
  say($("working-said"), counts.all > 1 ? `${counts.over} of ${counts.all} · ${one}` : one);
  const sent = live.reduce((sum, job) => sum + 0.5 * job.sent, 0);
  if (counts.all > 1) $("progress").value = (counts.over + sent) / counts.all;
  else if (now?.state === "sending" && now.sent < 1) $("progress").value = now.sent;
  else $("progress").removeAttribute("value");
  if (counts.all === 1) return now && announce(`${doing} ${now.name}`);
  if (counts.over && counts.over % Math.max(5, Math.ceil(counts.all / 10)) === 0) announce(`${counts.over} of ${counts.all} files heard`);
  return null;
}

/** Tell a screen reader that all is done, and with what result. */
function finale(counts) {
  const last = queue.jobs.at(-1);
  if (counts.all === 1 && last) {
    if (last.result) announce(`${last.name}: ${last.result.models.map((model) => `${last.result.models.length > 1 ? `${model.model} says ` : ""}${told(model)}`).join("; ")}`);
    else announce(last.state === "failed" ? `${last.name} failed: ${last.error}` : "Stopped");
  } else if (counts.all) announce(`All done: ${count(counts.done, "file")} answered${counts.failed ? `, ${counts.failed} failed` : ""}`);
}

// ------------------------------------------------------------------------------------------------ songs come in

function notice(text) {
  say($("notice"), text);
  $("notice").hidden = !text;
}

/** Say what was given and is not listened to. */
function leftOut({ skipped = 0, over: beyond = 0, unread = 0 }) {
  const were = (number) => (number === 1 ? "was" : "were");
  return [
    skipped && `${count(skipped, "file")} in the folder ${skipped === 1 ? "is" : "are"} no sound by name, and ${were(skipped)} left out.`,
    beyond && `${count(MOST, "file")} are taken at once; ${count(beyond, "more", "more")} ${were(beyond)} left out.`,
    unread && `${count(unread, "file or folder", "files or folders")} could not be read.`,
  ].filter(Boolean).join(" ");
}

function add(given) {
  const { files } = given;
  const left = leftOut(given);
  notice(files.length ? left : left || "There was no file in it.");
  if (!files.length) return;
  if (!queue.chosen().length && document.querySelectorAll("#model-list input").length > 1) {
    notice("No model is chosen: mark at least one of those that listen.");
    return;
  }
  if ($("models").hidden) meet();
  if (files.length === 1) result.close();
  const jobs = queue.add(files);
  alone = jobs.length === 1 ? jobs[0] : null;
}

function bindGiving() {
  $("choose").addEventListener("click", () => $("files").click());
  $("choose-folder").addEventListener("click", () => $("folder").click());
  if (!("webkitdirectory" in $("folder"))) $("choose-folder").hidden = true;
  $("files").addEventListener("change", () => {
    add(listed($("files").files));
    $("files").value = "";
  });
  $("folder").addEventListener("change", () => {
    add(listed($("folder").files, { folder: true }));
    $("folder").value = "";
  });
  let depth = 0;
  const over_ = (on) => $("drop").classList.toggle("over", on);
  document.addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    over_(true);
  });
  document.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    over_(depth > 0);
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    depth = 0;
    over_(false);
    try {
      if (event.dataTransfer) add(await collect(event.dataTransfer));
    } catch (error) {
      notice(`What was dropped could not be read: ${error.message}`);
    }
  });
  new Recorder((file) => add({ files: [{ file, name: file.name }] }));
}

function bindQueue() {
  $("stop").addEventListener("click", () => queue.cancelAll());
  $("all-csv").addEventListener("click", () => keep("harken.csv", "text/csv", csv(queue.jobs)));
  $("all-json").addEventListener("click", () => keep("harken.json", "application/json", json(queue.jobs)));
  $("retry-all").addEventListener("click", () => queue.jobs.forEach((job) => queue.retry(job)));
  $("clear").addEventListener("click", () => {
    result.close();
    queue.clear();
    table.refresh();
    document.title = "Harken";
    announce("The list is empty");
    $("choose").focus();
  });
}

// ------------------------------------------------------------------------------------------------ models

function knows(model) {
  const shown = model.classes.slice(0, 12).join(", ");
  const more = model.classes.length > 12 ? ` and ${model.classes.length - 12} more` : "";
  const clip = model.clip_s ? ` It listens ${model.clip_s} s at a time.` : "";
  const strange = model.knows_unknown ? " It can tell what is unlike it." : "";
  return `Knows ${shown}${more}.${clip}${strange}`;
}

function showModels(models) {
  const several = models.length > 1;
  const items = models.map((model, number) => {
    const id = `model-${number}`;
    const box = several && make("input", { type: "checkbox", id, value: model.name, checked: true, "aria-describedby": `${id}-knows` });
    const name = several ? make("label", { for: id }, model.name) : make("strong", {}, model.name);
    return make("div", { class: "model" }, box, make("div", {}, name, make("p", { class: "soft small", id: `${id}-knows` }, knows(model))));
  });
  $("model-list").replaceChildren(...items);
  if (models.some((model) => model.knows_unknown)) {
    const box = make("input", { type: "checkbox", id: "strange", checked: usual, "aria-describedby": "strange-cost" });
    const name = make("label", { for: "strange" }, "Answer “unknown” where music is unlike what was learnt");
    const cost = make("p", { class: "soft small", id: "strange-cost" }, "As far as a model can tell; it costs some answers that would have been right.");
    $("models").append(make("div", { class: "option" }, box, make("div", {}, name, cost)));
  }
  $("models").hidden = false;
}

/** Ask who listens; at the beginning, and again with the first song where the service could not say it then. */
async function meet() {
  try {
    const found = await askModels();
    if (strangers) notice("");
    strangers = false;
    limits = found.limits ?? {};
    usual = found.unknown ?? false;
    learnColours(found.models.flatMap((model) => model.classes));
    showModels(found.models);
    if (!found.models.length) notice("This service has no model to listen with.");
  } catch (error) {
    strangers = true;
    notice(`The models are not known: ${error.message}`);
  }
}

say($("invite"), invitation(false));
bindGiving();
bindQueue();
meet();
