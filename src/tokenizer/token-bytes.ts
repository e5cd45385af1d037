/**
 * The bytes that each token adds to an answer, as the stream decoder writes them. Grammars need them, because they bind
 * an answer byte by byte. Special tokens add no text.
 */
import { AppError } from "../errors.ts";
import { readTextFiles } from "./files/text-files.ts";
import { tokenTable } from "./files/tokenizer-files.ts";
import { byteLevelBytes, type DecoderRule } from "./stream-decoder.ts";

export interface TokenBytes {
  /** By id; null: the id has no text, because it is a special token or not a token. */
  readonly tokens: readonly (Uint8Array | null)[];
  /** Contents of the special tokens, by id. */
  readonly specials: ReadonlyMap<number, string>;
  /** Spaces that the decoder leaves out when an answer begins with them. */
  readonly numSkippedSpaces: number;
}

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/**
 * Reads the tokenizer of a base directory.
 * @throws {AppError} checkpoint_unsupported where the text of a token depends on its neighbours, as in WordPiece
 */
export async function readTokenBytes(dir: string): Promise<TokenBytes> {
  const { tokenizer } = await readTextFiles(dir);
  const { rule, json } = tokenizer;
  if (rule.kind === "words" || rule.kind === "suffixes")
    throw new AppError(
      "checkpoint_unsupported",
      "Answers of this model cannot be bound by a grammar, because the spaces of a token depend on the token before it.",
    );
  const special = json.added_tokens.filter((token) => token.special === true);
  const specials = new Map(special.map(({ id, content }) => [id, content]));
  const tokens: (Uint8Array | null)[] = [];
  for (const [id, token] of tokenTable(tokenizer)) tokens[id] = specials.has(id) ? null : bytesOf(token, rule);
  return {
    tokens: Array.from(tokens, (bytes) => bytes ?? null),
    specials,
    numSkippedSpaces:
      rule.kind === "byte-level" ? 0 : rule.isMetaspace ? Number(rule.dropsFirstSpaces) : rule.stripSpaces,
  };
}

function bytesOf(token: string, rule: Exclude<DecoderRule, { kind: "words" | "suffixes" }>): Uint8Array {
  if (rule.kind === "byte-level") return byteLevelBytes(token);
  const byte = rule.hasByteTokens ? BYTE_TOKEN.exec(token)?.[1] : undefined;
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  return new TextEncoder().encode(rule.space === undefined ? token : token.replaceAll(rule.space, " "));
}
