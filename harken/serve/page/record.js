// Recording from the microphone, where the browser allows it: started and stopped by one button, with level and time.

import { $, announce, say } from "./dom.js";
import { clock } from "./words.js";

const LONGEST = 600; // seconds
const KINDS = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus", "audio/webm"];

/** Why this browser cannot record here; empty where it can. */
export function hindrance() {
  if (!window.isSecureContext) return "Recording: browsers give the microphone only to pages from this computer, or by https.";
  if (!navigator.mediaDevices?.getUserMedia || typeof MediaRecorder === "undefined") return "This browser cannot record.";
  return "";
}

const REFUSED = {
  NotAllowedError: "The microphone was not allowed. The browser asks again after a click beside the address.",
  NotFoundError: "There is no microphone here.",
  NotReadableError: "The microphone is used by another program.",
};

export class Recorder {
  constructor(done) {
    this.done = done; // takes the recorded file
    this.live = null;
    this.context = null;
    const why = hindrance();
    $("record").disabled = Boolean(why);
    say($("record-said"), why);
    $("record").addEventListener("click", () => (this.live ? this.stop(true) : this.start()));
    $("record-cancel").addEventListener("click", () => this.stop(false));
  }

  async start() {
    $("record").disabled = true;
    try {
      // Music, and not speech: the browser's cleaning would take away what the models listen to.
      const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      const stream = await navigator.mediaDevices.getUserMedia({ audio });
      try {
        this.#begin(stream);
      } catch (error) {
        this.#release(stream);
        throw error;
      }
      say($("record-said"), "");
    } catch (error) {
      say($("record-said"), REFUSED[error.name] ?? `Recording failed: ${error.message}`);
    } finally {
      $("record").disabled = false;
    }
  }

  #begin(stream) {
    const type = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind)) ?? "";
    const recorder = new MediaRecorder(stream, type ? { mimeType: type, audioBitsPerSecond: 160000 } : {});
    const pieces = [];
    const context = new AudioContext();
    this.context = context;
    const meter = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(meter);
    this.live = { recorder, stream, pieces, began: performance.now(), keep: true };
    recorder.ondataavailable = (event) => event.data.size && pieces.push(event.data);
    recorder.onstop = () => this.#ended(recorder.mimeType || type);
    recorder.start(1000);
    stream.getAudioTracks()[0].onended = () => this.stop(true);
    $("recorder").hidden = false;
    $("drop").classList.add("recording");
    say($("record"), "Stop and listen");
    announce("Recording");
    this.#follow(meter);
  }

  #follow(meter) {
    const samples = new Float32Array(meter.fftSize);
    const { live } = this;
    const step = () => {
      if (this.live !== live) return;
      meter.getFloatTimeDomainData(samples);
      const strength = Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / samples.length);
      const decibels = 20 * Math.log10(Math.max(strength, 1e-6));
      const level = Math.min(1, Math.max(0, 1 + decibels / 60));
      $("record-level").value = level;
      const seconds = (performance.now() - live.began) / 1000;
      say($("record-time"), clock(seconds));
      if (seconds > LONGEST) this.stop(true);
      else requestAnimationFrame(step);
    };
    step();
  }

  stop(keep) {
    if (!this.live) return;
    this.live.keep = keep;
    if (this.live.recorder.state !== "inactive") this.live.recorder.stop();
  }

  /** Let the microphone go, and show that nothing is recorded. */
  #release(stream) {
    for (const track of stream.getTracks()) track.stop();
    this.context?.close();
    this.live = this.context = null;
    $("recorder").hidden = true;
    $("drop").classList.remove("recording");
    say($("record"), "Record");
  }

  #ended(type) {
    if (!this.live) return;
    const { stream, pieces, keep, began } = this.live;
    this.#release(stream);
    const seconds = (performance.now() - began) / 1000;
    if (!keep) return announce("The recording was thrown away");
    if (!pieces.length || seconds < 0.3) return say($("record-said"), "The recording was too short. Record a second or more.");
    const plain = type.split(";")[0] || "audio/webm";
    const now = new Date().toTimeString().slice(0, 8).replaceAll(":", ".");
    const suffix = plain.includes("mp4") ? "m4a" : plain.includes("ogg") ? "ogg" : "webm";
    return this.done(new File(pieces, `recording ${now}.${suffix}`, { type: plain }));
  }
}
