/**
 * Recognises files of other formats that users send instead of a `.mosara` file, by their first bytes. Says how to
 * convert each.
 */

interface ForeignFile {
  readonly is: (bytes: Uint8Array) => boolean;
  /** Follows "it is", such as "a GGUF file". */
  readonly what: string;
  /** What the user should do instead. */
  readonly wayIn: string;
  /** Whether such files often lie beside adapters. */
  readonly isOrdinary?: boolean;
}

const IMPORT =
  "Import a PEFT adapter as a directory with its adapter_config.json: mosara import <directory> --model <base> --out <name.mosara>, or put the directory into --adapters.";
const UNPACK = "Unpack it and give the .mosara file in it.";
const BYTES_ALONE = "Send only the file's bytes: curl -X PUT --data-binary @file.";
const PICKLE = `It can run code, so it is never read. Save the adapter with safe_serialization. ${IMPORT}`;

const FILES: readonly ForeignFile[] = [
  { is: (bytes) => bytes.length === 0, what: "empty", wayIn: "Check how it was written or sent." },
  {
    is: startsWith("GGUF"),
    what: "a GGUF file",
    wayIn: "Serve a GGUF model with --model. Import a LoRA from its PEFT directory with mosara import.",
  },
  { is: isSafetensors, what: "a safetensors file", wayIn: IMPORT },
  {
    is: (bytes) => startsWith("PK\x03\x04")(bytes) && has(bytes, "data.pkl"),
    what: "a pickle of PyTorch",
    wayIn: PICKLE,
  },
  { is: (bytes) => bytes[0] === 0x80 && (bytes[1] ?? 0) >= 2 && (bytes[1] ?? 0) <= 5, what: "a pickle", wayIn: PICKLE },
  { is: startsWith("PK\x03\x04"), what: "a zip archive", wayIn: UNPACK },
  { is: startsWith("\x1f\x8b"), what: "a gzip archive", wayIn: UNPACK },
  { is: startsWith("\x28\xb5\x2f\xfd"), what: "a zstd archive", wayIn: UNPACK },
  { is: startsWith("\xfd7zXZ"), what: "an xz archive", wayIn: UNPACK },
  { is: startsWith("BZh"), what: "a bzip2 archive", wayIn: UNPACK },
  { is: startsWith("7z\xbc\xaf"), what: "a 7z archive", wayIn: UNPACK },
  { is: (bytes) => textAt(bytes, 257, 5) === "ustar", what: "a tar archive", wayIn: UNPACK },
  {
    is: (bytes) => startsWith("--")(bytes) && has(bytes, "Content-Disposition: form-data"),
    what: "a form",
    wayIn: BYTES_ALONE,
  },
  {
    is: startsWith("version https://git-lfs"),
    what: "a pointer of Git LFS",
    wayIn: "Fetch the file itself: git lfs pull.",
  },
  {
    is: (bytes) => /^\s*<(!doctype|html)/i.test(textAt(bytes, 0, 64)),
    what: "a web page",
    wayIn: "Download the file itself.",
  },
  { is: startsWith("iKVtYWdpY6"), what: "a .mosara file in base64", wayIn: "Decode it first." },
  { is: (bytes) => /^\s*[{[]/.test(textAt(bytes, 0, 16)), what: "JSON", wayIn: IMPORT },
  { is: (bytes) => /^[\w.-]*=?%8\w%A5magic/i.test(textAt(bytes, 0, 128)), what: "a form", wayIn: BYTES_ALONE },
  {
    // The first two bytes of every .mosara file are not UTF-8. A program that treats the file as text replaces them.
    is: (bytes) =>
      /^(\xef\xbb\xbf|\xc2[\x80-\x8f]\xc2\xa5magic|(\xef\xbf\xbd){2}magic)/.test(textAt(bytes, 0, 16)) &&
      has(bytes, "mosara"),
    what: "a .mosara file that some program changed as if it were text",
    wayIn: "Copy or send its bytes: curl -X PUT --data-binary @file.",
  },
  { is: isText, what: "text", wayIn: "Name the .mosara file itself.", isOrdinary: true },
];

/**
 * A sentence that names the format and the way to convert it; null for unknown bytes. The first kilobytes of the file
 * are enough.
 * @param namesOrdinary false: the result is null also for files that often lie beside adapters
 */
export function foreignFileNotice(bytes: Uint8Array, { namesOrdinary = true } = {}): string | null {
  const found = FILES.find(({ is }) => is(bytes));
  return found && (namesOrdinary || found.isOrdinary !== true) ? `it is ${found.what}. ${found.wayIn}` : null;
}

/** Whether bytes begin as a `.mosara` file does: a MessagePack map with its magic first. */
export function isMosaraFile(bytes: Uint8Array): boolean {
  return /^[\x80-\x8f]\xa5magic\xa6mosara/.test(textAt(bytes, 0, 14));
}

/** Number of leading bytes that are enough to recognise a file. */
export const FOREIGN_HEAD_BYTES = 4096;

function textAt(bytes: Uint8Array, start: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1", start, start + length);
}

function startsWith(text: string): (bytes: Uint8Array) => boolean {
  return (bytes) => textAt(bytes, 0, text.length) === text;
}

function has(bytes: Uint8Array, text: string): boolean {
  return textAt(bytes, 0, FOREIGN_HEAD_BYTES).includes(text);
}

/** Whether the beginning has no control characters, except white space. */
function isText(bytes: Uint8Array): boolean {
  return bytes.subarray(0, FOREIGN_HEAD_BYTES).every((byte) => byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d));
}

/** A safetensors file starts with the length of its header, then JSON. */
function isSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 10 || bytes[8] !== 0x7b) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getBigUint64(0, true) < 2n ** 32n;
}
