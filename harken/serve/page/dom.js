// Small helpers to build the page. Every text becomes a text node: a file name can never turn into HTML.

export const $ = (id) => document.getElementById(id);

/** Make an element: make("p", {class: "soft", onclick: f}, "text", child…). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const button = (text, onclick, attributes = {}) => make("button", { type: "button", onclick, ...attributes }, text);

/** Put a text only where it differs: a screen reader is not told the same twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

let last = 0;
let waiting = 0;

/** Tell a screen reader, not oftener than every 1.5 s: of what comes quickly, the last is told. */
export function announce(text) {
  clearTimeout(waiting);
  const tell = () => {
    last = performance.now();
    say($("status"), text);
  };
  const rest = last + 1500 - performance.now();
  if (rest <= 0 || !last) tell();
  else waiting = setTimeout(tell, rest);
}

/** Hand a text to the browser as a file to keep. */
export function keep(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}
