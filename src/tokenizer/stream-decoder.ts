/**
 * Converts token strings to text, one delta for each token, never half a character. The rule is in the text fixtures'
 * README. The joined deltas are the answer, so an unstreamed answer is made from them too. Knows no ids and no special
 * tokens.
 */
import { Utf8Run } from "./utf8-run.ts";

/** The rule by which a tokenizer converts tokens to text, read from the decoder of tokenizer.json. */
export type DecoderRule =
  | { readonly kind: "byte-level" }
  | {
      readonly kind: "pieces";
      /** The character that represents a space inside tokens, or undefined. */
      readonly space: string | undefined;
      readonly hasByteTokens: boolean;
      /** Number of spaces dropped from the start of the whole output. */
      readonly stripSpaces: number;
      /** Metaspace: the first token loses every `space`, and characters made of byte tokens are replaced too. */
      readonly isMetaspace: boolean;
      readonly dropsFirstSpaces: boolean;
    }
  | { readonly kind: "words"; readonly prefix: string | undefined; readonly hasCleanup: boolean }
  | { readonly kind: "suffixes"; /** Marks the end of a word. */ readonly suffix: string };

/** Decodes tokens one by one. */
export interface TokenDecoder {
  /** The text that this token completes. */
  push(token: string): string;
  /** The remaining text at the end: U+FFFD for unfinished bytes, otherwise none. */
  flush(): string;
}

/** A new decoder for a rule. */
export function createTokenDecoder(rule: DecoderRule): TokenDecoder {
  if (rule.kind === "byte-level") return createByteLevelDecoder();
  if (rule.kind === "suffixes") return createSuffixDecoder(rule.suffix);
  return rule.kind === "words" ? createWordDecoder(rule.prefix, rule.hasCleanup) : createPieceDecoder(rule);
}

/** GPT-2's table: printable bytes represent themselves; the characters from U+0100 on represent the others. */
const BYTE_OF: ReadonlyMap<string, number> = makeByteTable();

function makeByteTable(): Map<string, number> {
  const table = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    table.set(String.fromCodePoint(isPrintable ? byte : next++), byte);
  }
  return table;
}

/** The character that represents each byte in byte-level tokens. */
export function byteLevelCharacters(): readonly string[] {
  const characters: string[] = [];
  for (const [character, byte] of BYTE_OF) characters[byte] = character;
  return characters;
}

/** The bytes of a byte-level token. A token with a character outside the table is its own UTF-8. */
export function byteLevelBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of token) {
    const byte = BYTE_OF.get(char);
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

function createByteLevelDecoder(): TokenDecoder {
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    push: (token) => utf8.decode(byteLevelBytes(token), { stream: true }),
    flush: () => utf8.decode(),
  };
}

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

function createPieceDecoder(rule: Extract<DecoderRule, { kind: "pieces" }>): TokenDecoder {
  const run = new Utf8Run();
  let isFirst = true;
  let isInRun = false;
  let stripLeft = rule.stripSpaces;

  const strip = (text: string): string => {
    let from = 0;
    while (stripLeft > 0 && from < text.length) {
      if (text[from] !== " ") stripLeft = 0;
      else {
        stripLeft--;
        from++;
      }
    }
    return text.slice(from);
  };
  const spaced = (text: string): string => {
    if (rule.space === undefined) return text;
    return text.replaceAll(rule.space, rule.isMetaspace && rule.dropsFirstSpaces && isFirst ? "" : " ");
  };
  /**
   * Text made from bytes. Only Metaspace, which runs last, still replaces its space mark in it. A whole run of bytes
   * counts as one token.
   */
  const emitBytes = (text: string): string => strip(rule.isMetaspace ? spaced(text) : text);
  return {
    push(token) {
      const byte = rule.hasByteTokens ? BYTE_TOKEN.exec(token)?.[1] : undefined;
      if (byte !== undefined) {
        isInRun = true;
        return emitBytes(run.push(Number.parseInt(byte, 16)));
      }
      const head = emitBytes(run.flush());
      if (isInRun) isFirst = false;
      isInRun = false;
      const tail = strip(spaced(token));
      isFirst = false;
      return head + tail;
    },
    flush: () => emitBytes(run.flush()),
  };
}

/** The clean-up of the WordPiece decoder inside one token, in the original order. */
const CLEANUP: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function createWordDecoder(prefix: string | undefined, hasCleanup: boolean): TokenDecoder {
  let isFirst = true;
  return {
    push(token) {
      const continues = prefix !== undefined && prefix !== "" && token.startsWith(prefix);
      let text = isFirst ? token : continues ? token.slice(prefix.length) : ` ${token}`;
      isFirst = false;
      if (hasCleanup) for (const [from, to] of CLEANUP) text = text.replaceAll(from, to);
      return text;
    },
    flush: () => "",
  };
}

/**
 * The suffix is a space between words, and nothing at the end of the text. The text from the last suffix on therefore
 * waits for a further token.
 */
function createSuffixDecoder(suffix: string): TokenDecoder {
  let held = "";
  const emit = (space: string): string => {
    const text = held.replaceAll(suffix, space);
    held = "";
    return text;
  };
  return {
    push(token) {
      const before = emit(" ");
      const at = suffix === "" ? -1 : token.indexOf(suffix);
      held = at < 0 ? "" : token.slice(at);
      return before + (at < 0 ? token : token.slice(0, at));
    },
    flush: () => emit(""),
  };
}
