// The files that were chosen or dropped, folders with all that lies in them.

const SOUND = /\.(mp3|mp2|flac|og[ga]|opus|m4[ab]|mp4|aac|wav|wave|aiff?|aifc|wma|webm|mka|caf|au|w64|amr|ac3|ape|wv)$/i;
export const MOST = 20000; // files at once

const isSound = (file) => !file.name.startsWith(".") && (file.type.startsWith("audio/") || SOUND.test(file.name));

/**
 * Of a folder only what is a sound by its name, in the order of the names; of files that somebody has chosen one by one, all.
 * And how many others there were: skipped by their names, over the most that are taken at once, and unread.
 */
function sifted(found, folder, { unread = 0 } = {}) {
  const files = folder ? found.filter(({ file }) => isSound(file)) : [...found];
  if (folder) files.sort((one, two) => one.name.localeCompare(two.name, undefined, { numeric: true }));
  const skipped = found.length - files.length;
  return { files: files.slice(0, MOST), skipped, over: Math.max(0, files.length - MOST), unread };
}

/** The files of an input, {files: [{file, name}], skipped, over, unread}. The names of a folder's files begin with the folder. */
export function listed(list, { folder = false } = {}) {
  const found = [...list].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  return sifted(found, folder);
}

const fileOf = (entry) => new Promise((done, fail) => entry.file(done, fail));
const some = (reader) => new Promise((done, fail) => reader.readEntries(done, fail));

/** Add the files of an entry to those found. What cannot be read is counted, and the others go on. */
async function walk(entry, path, found, left) {
  try {
    if (entry.isFile) found.push({ file: await fileOf(entry), name: path + entry.name });
    else if (entry.isDirectory) {
      const reader = entry.createReader();
      for (let entries = await some(reader); entries.length; entries = await some(reader)) {
        for (const each of entries) await walk(each, `${path}${entry.name}/`, found, left);
      }
    }
  } catch (error) {
    if (!(error instanceof DOMException)) throw error; // no file's fault
    left.unread += 1;
  }
}

/** The files of what was dropped, those of folders among it. */
export async function collect(transfer) {
  const plain = [...transfer.files];
  const entries = [...(transfer.items ?? [])].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return listed(plain);
  const [alone, within, left] = [[], [], { unread: 0 }];
  for (const entry of entries) if (entry) await walk(entry, "", entry.isDirectory ? within : alone, left);
  const { files, skipped, over, unread } = sifted(within, true, left);
  const all = [...alone, ...files];
  return { files: all.slice(0, MOST), skipped, over: over + Math.max(0, all.length - MOST), unread };
}
