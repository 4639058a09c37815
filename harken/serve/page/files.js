// The files that were chosen or dropped, folders with all that lies in them.

const SOUND = /\.(mp3|mp2|flac|og[ga]|opus|m4[ab]|mp4|aac|wav|wave|aiff?|aifc|wma|webm|mka|caf|au|w64|amr|ac3|ape|wv)$/i;
const MOST = 20000;

const isSound = (file) => !file.name.startsWith(".") && (file.type.startsWith("audio/") || SOUND.test(file.name));

/** Of a folder only what is a sound by its name, in the order of the names; of files that somebody has chosen one by one, all. */
function sifted(found, folder) {
  const files = folder ? found.filter(({ file }) => isSound(file)) : found;
  if (folder) files.sort((one, two) => one.name.localeCompare(two.name, undefined, { numeric: true }));
  return { files: files.slice(0, MOST), skipped: found.length - files.length };
}

/** The files of an input, {files: [{file, name}], skipped}. The names of a folder's files begin with the folder. */
export function listed(list, { folder = false } = {}) {
  const found = [...list].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  return sifted(found, folder);
}

const fileOf = (entry) => new Promise((done, fail) => entry.file(done, fail));
const some = (reader) => new Promise((done, fail) => reader.readEntries(done, fail));

async function walk(entry, path, found) {
  if (found.length >= MOST) return;
  if (entry.isFile) found.push({ file: await fileOf(entry), name: path + entry.name });
  else if (entry.isDirectory) {
    const reader = entry.createReader();
    for (let entries = await some(reader); entries.length; entries = await some(reader)) {
      for (const each of entries) await walk(each, `${path}${entry.name}/`, found);
    }
  }
}

/** The files of what was dropped, those of folders among it. */
export async function collect(transfer) {
  const plain = [...transfer.files];
  const entries = [...(transfer.items ?? [])].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return listed(plain);
  const [alone, within] = [[], []];
  for (const entry of entries) if (entry) await walk(entry, "", entry.isDirectory ? within : alone);
  const { files, skipped } = sifted(within, true);
  return { files: [...alone, ...files], skipped };
}
