// Figures and answers in words.

export const percent = (share) => (share > 0.995 && share < 1 ? ">~99~%" : share < 0.005 && share > 0 ? "<~1~%" : `${Math.round(100 * share)}~%`).replaceAll("~", "\u00a0"); // they never break in a line

export const count = (number, word, many = `${word}s`) => `${number.toLocaleString("en")} ${number === 1 ? word : many}`;

/** Seconds as a player shows them: 1:05, or 1:02:05. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Seconds as somebody says them: "12 seconds", "1 minute 5 seconds". */
export function spoken(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return count(whole, "second");
  const rest = whole % 60;
  return count(Math.floor(whole / 60), "minute") + (rest ? ` ${count(rest, "second")}` : "");
}

export function size(bytes) {
  if (bytes < 1000) return count(bytes, "byte");
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** What a model answers, as a name: "unknown" where it does not know, "silent" where there was nothing to hear. */
export const answer = (found) => (silent(found) ? "silent" : found.unknown ? "unknown" : found.label ?? "no answer");

/** Whether nothing sounds in what a model heard: its label and its probability say nothing of music then. */
export const silent = (found) => found.words === "silent";

/** Its answer as a sentence's end: "waltz, 81 %, fairly sure". */
export function told(found) {
  if (!found.unknown && found.label === null) return `no answer: ${found.error}`;
  if (silent(found)) return "silent, so it says nothing of music";
  const words = found.words ? `, ${found.words}` : "";
  return found.unknown ? `unknown (nearest: ${nearest(found)})` : `${found.label}, ${percent(found.probability)}${words}`;
}

/** The class that comes nearest where the answer is "unknown". */
export function nearest(found) {
  const first = found.classes?.[0];
  return first ? `${first.label}, ${percent(first.probability)}` : "none";
}

/** What a model hears in a clip, as a name. */
export const clipAnswer = (found, clip) => (silent(found) ? "silent" : clip.label);

/** What a model hears in a clip: "waltz, 81 %". */
export const clipTold = (found, clip) => (silent(found) ? "silent" : `${clip.label}, ${percent(clip.probability)}`);

/** Whether several models agree: "agree", "differ", "could not" where one names a class that another one does not know; null where fewer than two have an answer. */
export function agreed(result) {
  if (!result.agreement) return null;
  return { true: "agree", false: "differ" }[result.agreement.agree] ?? "could not";
}
