/** Faults of languages: their words removed, repeated, exchanged, nested, with words of the language put in. */
import type { Random } from "./random.ts";

const ODD = ["\0", "\uFEFF", "\uD800", "é", "\u{1F600}", "\\", '"', "'", "\n", "9".repeat(400), "a".repeat(300), ""];
const PARTS = /\w+|\s+|[^\w\s]/gu;

/** `text` with one to five faults. @param other where pieces come from. @param words of the language */
export function damagedText(text: string, other: string, words: readonly string[], random: Random): string {
  const parts: string[] = text.match(PARTS) ?? [];
  const others = other.match(PARTS) ?? [""];
  for (let i = random.few(5); i > 0; i--) damage(parts, others, words, random);
  return parts.join("");
}

function damage(parts: string[], others: readonly string[], words: readonly string[], random: Random): void {
  const at = random.below(parts.length + 1);
  switch (random.below(9)) {
    case 0:
      parts.splice(at, random.few(8));
      return;
    case 1:
      parts.splice(at, 0, random.one(words));
      return;
    case 2:
      parts.splice(at, 1, random.one(words));
      return;
    case 3:
      parts.splice(at, 0, ...parts.slice(at, at + random.few(12)));
      return;
    case 4: {
      const from = random.below(others.length);
      parts.splice(at, random.few(3), ...others.slice(from, from + random.few(16)));
      return;
    }
    case 5:
      parts.splice(at, random.below(2), random.one(ODD));
      return;
    case 6: {
      const to = random.below(parts.length + 1);
      parts.splice(to, 0, ...parts.splice(at, random.few(4)));
      return;
    }
    case 7:
      parts.length = at;
      return;
    default: {
      // Depth and length: the same piece many times.
      const piece = random.once(2) ? random.one(words) : parts.slice(at, at + random.few(4)).join("");
      parts.splice(at, 0, piece.repeat(random.few(random.once(20) ? 5000 : 20)));
    }
  }
}
