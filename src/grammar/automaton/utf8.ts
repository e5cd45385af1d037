/**
 * Converts ranges of characters to sequences of byte ranges in UTF-8. Method: Thompson's, as in Russ Cox, "Regular
 * Expression Matching in the Wild".
 */
import type { CharacterRange } from "../expression.ts";

export type ByteRange = readonly [number, number];

/** Last code point of each length of encoding. */
const LAST_OF_LENGTH = [0x7f, 0x7ff, 0xffff, 0x10_ffff] as const;

/** Sequences of byte ranges that together spell every character of a range, and nothing else. */
export function byteSequences([first, last]: CharacterRange): ByteRange[][] {
  const lengthLimit = LAST_OF_LENGTH.find((limit) => first <= limit && limit < last);
  if (lengthLimit !== undefined)
    return [...byteSequences([first, lengthLimit]), ...byteSequences([lengthLimit + 1, last])];
  if (last <= 0x7f) return [[[first, last]]];
  for (let bits = 6; bits <= 18; bits += 6) {
    const mask = (1 << bits) - 1;
    if (first >> bits === last >> bits) continue; // equal in everything above these bits
    if ((first & mask) !== 0)
      return [...byteSequences([first, first | mask]), ...byteSequences([(first | mask) + 1, last])];
    if ((last & mask) !== mask)
      return [...byteSequences([first, (last & ~mask) - 1]), ...byteSequences([last & ~mask, last])];
  }
  const [from, to] = [encode(first), encode(last)];
  return [from.map((byte, i): ByteRange => [byte, to[i]!])]; // the same length
}

function encode(code: number): number[] {
  return [...new TextEncoder().encode(String.fromCodePoint(code))];
}
