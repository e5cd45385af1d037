/**
 * SentencePiece's compiled character map: a double-array trie over UTF-8 bytes, and its replacement texts.
 * Whole graphemes are looked up first, then their characters. Source:
 * Darts-clone's units; `spm_precompiled`, which the original uses.
 */

/** Longer graphemes are looked up character by character. */
const MAX_GRAPHEME_BYTES = 6;

/** The function of a base64 map. @throws {Error} for an incomplete map. */
export function makePrecompiledMap(base64: string): (text: string) => string {
  const bytes = Buffer.from(base64, "base64");
  if (bytes.length === 0) return (text) => text;
  if (bytes.length < 4 || bytes.length < 4 + bytes.readUInt32LE(0))
    throw new Error("The compiled map of the Precompiled normalizer is cut off");
  const trieBytes = bytes.readUInt32LE(0);
  const units = Uint32Array.from({ length: trieBytes >> 2 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  const texts = bytes.subarray(4 + trieBytes);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const find = (chunk: string): string | undefined => {
    const at = shortestPrefix(units, encoder.encode(chunk));
    if (at === undefined) return undefined;
    const end = texts.indexOf(0, at);
    return decoder.decode(texts.subarray(at, end < 0 ? texts.length : end));
  };
  const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
  return (text) => {
    let out = "";
    for (const { segment } of segmenter.segment(text)) {
      const whole = Buffer.byteLength(segment) < MAX_GRAPHEME_BYTES ? find(segment) : undefined;
      out += whole ?? Array.from(segment, (character) => find(character) ?? character).join("");
    }
    return out;
  };
}

/** The value of the shortest key that the bytes begin with. */
function shortestPrefix(units: Uint32Array, key: Uint8Array): number | undefined {
  const unitAt = (at: number): number => units[at] ?? 0;
  const offset = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
  let at = offset(unitAt(0));
  for (const byte of key) {
    if (byte === 0) return undefined;
    at ^= byte;
    const unit = unitAt(at);
    if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
    at ^= offset(unit);
    if ((unit >>> 8) & 1) return unitAt(at) & 0x7fffffff;
  }
  return undefined;
}
