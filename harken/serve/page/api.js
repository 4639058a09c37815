// What the page asks of the service: its models, and answers to sounds. A token is asked once, a busy service waited for.

const TOKEN = "harken-token";
const MOST_WAITS = 40;

/** What went wrong, in the service's words; `again` where another try can help, `wait` in seconds where the service names it. */
export class Refusal extends Error {
  constructor(message, { status = 0, wait = null } = {}) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

export class Cancelled extends Error {}

/** Seconds that a Retry-After header names (a number, or a date); at least 1, at most 60. */
export function waitOf(header, now = Date.now()) {
  const named = header === null || header.trim() === "" ? NaN : /^\s*\d+\s*$/.test(header) ? Number(header) : (Date.parse(header) - now) / 1000;
  return Number.isNaN(named) ? 5 : Math.min(60, Math.max(1, Math.ceil(named)));
}

/** The sentence that an error's answer holds: of problem details the detail, without the options of the command, else what the status means. */
export function sentenceOf(status, text) {
  try {
    const problem = JSON.parse(text);
    const sentence = problem.detail || problem.title;
    if (typeof sentence === "string" && sentence) return sentence.replace(/ \(--[a-z][^)]*\)/g, "");
  } catch {
    // No JSON: a proxy between page and service, perhaps.
  }
  const known = { 401: "A token is wanted.", 413: "The file is too large.", 415: "This kind of file is not read.", 422: "This is no sound that can be read." };
  return known[status] ?? `The service answered with the status ${status}.`;
}

// ------------------------------------------------------------------------------------------------ the token

let asked = null;

function authorise(request) {
  const token = sessionStorage.getItem(TOKEN);
  if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
}

export const hasToken = () => Boolean(sessionStorage.getItem(TOKEN));

/** Ask for the token in a dialog, once for all that wait for it. Comes to whether there is one now. */
function askToken(used) {
  const now = sessionStorage.getItem(TOKEN);
  if (now && now !== used) return Promise.resolve(true); // given meanwhile
  asked ??= new Promise((done) => {
    const [dialog, field] = [document.getElementById("token"), document.getElementById("token-value")];
    const said = document.getElementById("token-said");
    said.textContent = used
      ? "The service does not know this token. Please look at it again."
      : "This service answers only those who know its token. It is kept until this tab is closed.";
    field.value = "";
    const close = (given) => {
      document.getElementById("token-form").onsubmit = null;
      dialog.oncancel = document.getElementById("token-cancel").onclick = null;
      dialog.close();
      if (given) sessionStorage.setItem(TOKEN, given);
      asked = null;
      done(Boolean(given));
    };
    document.getElementById("token-form").onsubmit = (event) => {
      event.preventDefault();
      if (/^[\x21-\x7e]+$/.test(field.value.trim())) close(field.value.trim());
      else said.textContent = "A token is a word of letters, digits and signs, without spaces.";
    };
    document.getElementById("token-cancel").onclick = () => close("");
    dialog.oncancel = (event) => {
      event.preventDefault();
      close("");
    };
    dialog.showModal();
    field.focus();
  });
  return asked;
}

// ------------------------------------------------------------------------------------------------ requests

/** Send one request. `signal` cancels it, `sent` hears of the share that is uploaded. */
function once(method, path, { body = null, type = null, signal = null, sent = null } = {}) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    const used = sessionStorage.getItem(TOKEN);
    request.open(method, path);
    request.setRequestHeader("Accept", "application/json");
    if (type) request.setRequestHeader("Content-Type", type);
    authorise(request);
    const stop = () => request.abort();
    signal?.addEventListener("abort", stop);
    request.onloadend = () => signal?.removeEventListener("abort", stop);
    request.onabort = () => fail(new Cancelled("cancelled"));
    request.onerror = () => fail(new Refusal("The service does not answer. Is it still running, and is the network there?"));
    request.onload = () => {
      if (request.status === 200) {
        try {
          done(JSON.parse(request.responseText));
        } catch {
          fail(new Refusal("The service's answer could not be read."));
        }
        return;
      }
      const wait = request.status === 503 || request.status === 429 ? waitOf(request.getResponseHeader("Retry-After")) : null;
      const refusal = new Refusal(sentenceOf(request.status, request.responseText), { status: request.status, wait });
      refusal.token = used;
      fail(refusal);
    };
    if (sent) request.upload.onprogress = (event) => event.lengthComputable && sent(event.loaded / event.total);
    request.send(body);
  });
}

function pause(seconds, signal) {
  return new Promise((done, fail) => {
    const stop = () => {
      clearTimeout(timer);
      fail(new Cancelled("cancelled"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      done();
    }, 1000 * seconds);
    signal?.addEventListener("abort", stop);
  });
}

/** Send a request until it is answered: 401 asks for the token, 503 waits as long as the service says. */
export async function ask(method, path, options = {}) {
  const { signal = null, waits = () => {} } = options;
  for (let tries = 0; ; tries += 1) {
    if (signal?.aborted) throw new Cancelled("cancelled");
    try {
      return await once(method, path, options);
    } catch (error) {
      if (error.status === 401) {
        if (!(await askToken(error.token))) throw new Refusal("The service wants a token, and none was given.", { status: 401 });
      } else if (error.wait !== null && error.wait !== undefined && tries < MOST_WAITS) {
        waits(error.wait);
        await pause(error.wait, signal);
      } else throw error;
    }
  }
}

export const models = (options) => ask("GET", "v1/models", options);

/** Let the models hear a file: the service's answer, with its timeline, and with the picture where it is wanted. */
export function predict(file, { name, chosen, strange, picture, ...options }) {
  const query = new URLSearchParams({ timeline: "1", name });
  if (picture) query.set("picture", "1");
  if (strange !== null) query.set("unknown", strange ? "1" : "0");
  for (const model of chosen) query.append("model", model);
  const type = file.type.startsWith("audio/") ? file.type : "application/octet-stream";
  return ask("POST", `v1/predict?${query}`, { ...options, body: file, type });
}
