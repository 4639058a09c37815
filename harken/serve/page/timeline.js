// The timeline: the mel picture, a lane of clips for each model, and a cursor that is the player's. It is a slider.

import { button, make, say } from "./dom.js";
import { clipAnswer, clipTold, clock, silent, spoken } from "./words.js";

/** The sound itself: plays, moves, and says where it is. Where the browser cannot play it, the cursor moves all the same. */
export class Player {
  constructor(file, seconds, moved) {
    this.seconds = seconds;
    this.moved = moved;
    this.at = 0;
    this.until = null;
    this.silent = false;
    this.address = URL.createObjectURL(file);
    this.audio = make("audio", { preload: "auto" });
    this.audio.src = this.address;
    const tell = () => this.#tell();
    for (const event of ["play", "pause", "ended", "seeked", "timeupdate"]) this.audio.addEventListener(event, tell);
    this.audio.addEventListener("error", () => {
      this.silent = true;
      this.#tell();
    });
    this.audio.addEventListener("play", () => this.#follow());
  }

  get playing() {
    return !this.audio.paused;
  }

  seek(seconds) {
    this.at = Math.min(Math.max(0, seconds), this.seconds);
    this.until = null;
    if (!this.silent) this.audio.currentTime = this.at;
    this.#tell();
  }

  toggle() {
    this.until = null;
    if (this.playing) return this.audio.pause();
    if (this.at >= this.seconds - 0.05) this.seek(0);
    return this.#play();
  }

  /** Play a span and stop at its end. */
  span(start, end) {
    this.seek(start);
    this.until = end;
    this.#play();
  }

  close() {
    this.moved = () => {};
    this.audio.pause();
    this.audio.removeAttribute("src");
    URL.revokeObjectURL(this.address);
  }

  #play() {
    this.audio.play().catch((error) => {
      if (error.name === "AbortError") return; // paused before it had begun
      this.silent = true;
      this.#tell();
    });
  }

  #follow() {
    const step = () => {
      if (!this.playing) return;
      this.#tell();
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  #tell() {
    if (!this.silent && !this.audio.seeking && this.audio.readyState > 0) this.at = Math.min(this.audio.currentTime, this.seconds);
    if (this.until !== null && this.playing && this.at >= this.until) {
      this.audio.pause();
      this.at = this.until;
      this.until = null;
    }
    this.moved();
  }
}

/** The clip of a timeline that is heard at a moment: of those that cover it, the one whose middle is nearest. */
export function clipAt(timeline, seconds) {
  let found = null;
  let least = Infinity;
  for (const clip of timeline ?? []) {
    if (seconds < clip.start_s || seconds > clip.end_s) continue;
    const away = Math.abs((clip.start_s + clip.end_s) / 2 - seconds);
    if (away < least) [found, least] = [clip, away];
  }
  return found;
}

/** Where each clip is drawn: clips that overlap meet in the middle of what they share. */
function drawn(timeline) {
  return timeline.map((clip, place) => {
    const [before, after] = [timeline[place - 1], timeline[place + 1]];
    const start = before && before.end_s > clip.start_s ? (before.end_s + clip.start_s) / 2 : clip.start_s;
    const end = after && after.start_s < clip.end_s ? (clip.end_s + after.start_s) / 2 : clip.end_s;
    return { clip, start, end };
  });
}

function place(element, start, end, seconds) {
  element.style.left = `${(100 * start) / seconds}%`;
  element.style.width = `${(100 * Math.max(0, Math.min(end, seconds) - start)) / seconds}%`;
  return element;
}

/** A lane: a bar for each clip, as high as its answer is sure, and below the names of what follows each other alike. */
function lane(model, seconds, colourOf, named) {
  const bars = make("div", { class: "lane-bars" });
  const names = make("div", { class: "lane-names" });
  const clips = drawn(model.timeline ?? []);
  for (const { clip, start, end } of clips) {
    const bar = place(make("span", { class: `clip ${silent(model) ? "hush" : colourOf(clip.label)}` }), start, end, seconds);
    bar.style.height = `${silent(model) ? 6 : Math.max(6, 100 * clip.probability)}%`;
    bars.append(bar);
  }
  for (let first = 0; first < clips.length; ) {
    let last = first;
    while (last + 1 < clips.length && clipAnswer(model, clips[last + 1].clip) === clipAnswer(model, clips[first].clip)) last += 1;
    const name = make("span", { class: "run" }, make("b", {}, clipAnswer(model, clips[first].clip)));
    names.append(place(name, clips[first].start, clips[last].end, seconds));
    first = last + 1;
  }
  return make("div", { class: "lane" }, named && make("div", { class: "lane-model" }, model.model), bars, names);
}

/** Times for the axis: a handful of round ones. */
export function ticks(seconds) {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600].find((each) => seconds / each <= 6) ?? 7200;
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, number) => number * step).filter((each) => each <= 0.93 * seconds);
}

/** Which colour is which class, for all that come up; names under the lanes have no room where answers change quickly. */
function legend(models, colourOf) {
  const labels = [...new Set(models.filter((model) => !silent(model)).flatMap((model) => (model.timeline ?? []).map((clip) => clip.label)))];
  const item = (label) => make("li", {}, make("span", { class: `swatch ${colourOf(label)}`, "aria-hidden": "true" }), label);
  return labels.length > 1 && make("ul", { class: "legend", "aria-label": "Classes on the timeline" }, ...labels.map(item));
}

export class Timeline {
  constructor(result, file, colourOf) {
    this.models = result.models;
    this.seconds = Math.max(0.01, result.file.seconds);
    this.player = new Player(file, this.seconds, () => this.#moved());
    const several = this.models.length > 1;
    this.play = button("Play", () => this.player.toggle(), { class: "main play" });
    this.listen = button("Play this clip", () => this.#playClip(), { class: "quiet" });
    this.time = make("span", { class: "figures time" });
    this.now = make("p", { class: "now", id: "now" });
    this.mel = make("div", { class: "mel" });
    this.cursor = make("div", { class: "cursor" });
    const axis = make("div", { class: "axis" }, ...ticks(this.seconds).map((each) => place(make("span", {}, clock(each)), each, each, this.seconds)));
    const lanes = this.models.map((model) => lane(model, this.seconds, colourOf, several));
    this.slider = make(
      "div",
      { class: "timeline", role: "slider", tabindex: "0", "aria-label": "Position in the sound", "aria-orientation": "horizontal", "aria-valuemin": "0", "aria-valuemax": this.seconds.toFixed(1), "aria-describedby": "timeline-keys" },
      this.mel, axis, ...lanes, this.cursor,
    );
    this.silence = make("p", { class: "soft small", hidden: true }, "This browser cannot play this kind of file. The timeline can be read all the same.");
    this.element = make(
      "div",
      { class: "listen" },
      make("div", { class: "player" }, this.play, this.time, this.listen, this.now),
      this.silence,
      this.slider,
      legend(this.models, colourOf),
      make("p", { class: "soft small", id: "timeline-keys" }, "Click anywhere to move the player there. Keys: ← → a second, Page Up and Page Down a clip, Home, End, Space to play. The higher a bar, the surer the answer."),
      this.player.audio,
    );
    this.#bind();
    this.#moved();
  }

  /** Show the mel picture, or say that there is none. */
  picture(picture, text = "") {
    this.mel.replaceChildren();
    if (!picture) {
      this.mel.classList.add("empty");
      return this.mel.append(make("span", {}, text));
    }
    this.mel.classList.remove("empty");
    const image = make("img", { src: `data:image/png;base64,${picture.png}`, alt: "", draggable: "false" });
    const kilo = (hertz) => (hertz >= 1000 ? `${+(hertz / 1000).toFixed(1)} kHz` : `${Math.round(hertz)} Hz`);
    if (picture.high_hz) this.mel.append(make("span", { class: "pitch high" }, kilo(picture.high_hz)), make("span", { class: "pitch low" }, kilo(picture.low_hz ?? 0)));
    this.mel.prepend(image);
    return image;
  }

  close() {
    this.player.close();
  }

  #bind() {
    const to = (event) => {
      const box = this.slider.getBoundingClientRect();
      this.player.seek(((event.clientX - box.left) / box.width) * this.seconds);
    };
    this.slider.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      to(event);
      this.slider.setPointerCapture(event.pointerId);
    });
    this.slider.addEventListener("pointermove", (event) => this.slider.hasPointerCapture(event.pointerId) && to(event));
    this.slider.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const at = this.player.at;
      const keys = {
        ArrowRight: () => at + 1, ArrowUp: () => at + 1, ArrowLeft: () => at - 1, ArrowDown: () => at - 1,
        PageDown: () => this.#edge(at, 1), PageUp: () => this.#edge(at, -1), Home: () => 0, End: () => this.seconds,
      };
      if (event.key in keys) this.player.seek(keys[event.key]());
      else if (event.key === " " || event.key === "Enter") this.player.toggle();
      else return;
      event.preventDefault();
    });
  }

  /** Where the next clip begins, or the one before. */
  #edge(at, way) {
    const edges = (this.models[0]?.timeline ?? []).map((clip) => clip.start_s);
    const beyond = edges.filter((edge) => (way > 0 ? edge > at + 0.01 : edge < at - 0.01));
    if (!beyond.length) return way > 0 ? this.seconds : 0;
    return way > 0 ? Math.min(...beyond) : Math.max(...beyond);
  }

  #playClip() {
    const clip = clipAt(this.models[0]?.timeline, this.player.at);
    if (clip) this.player.span(clip.start_s, Math.min(clip.end_s, this.seconds));
  }

  #moved() {
    const { at, playing, silent } = this.player;
    this.cursor.style.left = `${(100 * at) / this.seconds}%`;
    const heard = this.models.map((model) => [model, clipAt(model.timeline, at)]);
    const words = heard.map(([model, clip]) => {
      const who = this.models.length > 1 ? `${model.model}: ` : "";
      return `${who}${clip ? clipTold(model, clip) : "not heard here"}`;
    });
    const [clip] = heard.map(([, each]) => each);
    const span = clip && this.models.length === 1 ? `${clock(clip.start_s)} to ${clock(clip.end_s)}: ` : "";
    say(this.now, `${span}${words.join(" · ")}`);
    say(this.time, `${clock(at)} / ${clock(Math.round(this.seconds))}`);
    say(this.play, playing ? "Pause" : "Play");
    this.play.disabled = silent;
    this.listen.disabled = silent || !clip;
    this.silence.hidden = !silent;
    this.slider.setAttribute("aria-valuenow", at.toFixed(1));
    const text = `${spoken(at)} of ${spoken(this.seconds)}. ${words.join("; ")}`;
    if (!playing || Math.floor(at) % 5 === 0) this.slider.setAttribute("aria-valuetext", text);
  }
}
