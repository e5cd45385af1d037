/**
 * Compares the text files that trainers save beside an adapter with those of its base. Answers use the base's tokenizer
 * and template alone, so a difference is reported. The end token is the exception: an adapter can have its own.
 */
import { createHash } from "node:crypto";
import { AppError, quote } from "../../errors.ts";
import { readTemplates, type TextFiles } from "./text-files.ts";
import { readJsonText, type TextSource } from "./text-source.ts";
import { mergeTokenizerConfig, tokenText } from "./tokenizer-config.ts";
import { tokenTable } from "./tokenizer-files.ts";

export interface AdapterTexts {
  /** End tokens of the adapter's tokenizer that do not end the base's answers. */
  readonly endTokenIds: readonly number[];
  /** Sentences about what is not read. */
  readonly notices: readonly string[];
}

export interface BaseTexts {
  readonly files: TextFiles;
  readonly endTokenIds: readonly number[];
  readonly vocabSize: number;
}

const NAMED = 4;

const NOTHING: AdapterTexts = { endTokenIds: [], notices: [] };

/**
 * Compares the text files of adapters with those of one base, which is only read for an adapter that has such files.
 * Adapters of one trainer mostly have equal files, so results are kept by the hash of the files.
 */
export class AdapterTextsReader {
  readonly #readBase: () => Promise<BaseTexts>;
  #base: Promise<BaseTexts> | undefined;
  readonly #known = new Map<string, AdapterTexts>();

  /** @param readBase may reject with an AppError, for a base without text */
  constructor(readBase: () => Promise<BaseTexts>) {
    this.#readBase = readBase;
  }

  /**
   * Files that cannot be read are a notice, because the adapter can be used without them. @param where their place in
   * messages
   */
  async read(texts: TextSource, where: string): Promise<AdapterTexts> {
    if (texts.size === 0) return NOTHING;
    try {
      const read = new Map<string, string | Uint8Array>();
      for (const [name, content] of texts) read.set(name, await content());
      const hash = createHash("sha256");
      for (const [name, content] of read) hash.update(`${name}\0${content.length}\0`).update(content);
      const key = hash.digest("hex");
      const base = await (this.#base ??= this.#readBase());
      const inMemory: TextSource = new Map(Array.from(read, ([name, content]) => [name, async () => content]));
      const found = this.#known.get(key) ?? (await compare(inMemory, where, base));
      this.#known.set(key, found);
      return found;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return { ...NOTHING, notices: [`the tokenizer beside the adapter is not read: ${error.message}`] };
    }
  }
}

async function compare(texts: TextSource, where: string, base: BaseTexts): Promise<AdapterTexts> {
  const json = await readJsonText(texts, where, "tokenizer.json");
  const addedTokens = await readJsonText(texts, where, "added_tokens.json");
  const files = {
    config: await readJsonText(texts, where, "tokenizer_config.json"),
    specialTokensMap: await readJsonText(texts, where, "special_tokens_map.json"),
    addedTokens,
  };
  const merged = mergeTokenizerConfig(files, where);
  const idOf = new Map(Array.from(tokenTable(base.files.tokenizer), ([id, text]) => [text, id]));
  const end = tokenText(merged.eos_token);
  const listed = [json?.added_tokens, merged.added_tokens_decoder].flatMap((list) =>
    typeof list === "object" && list !== null ? Object.values(list).map(tokenText) : [],
  );
  const added = [...listed, ...Object.keys(addedTokens ?? {}), end];
  const unknown = [...new Set(added)].flatMap((text) => (text === undefined || idOf.has(text) ? [] : [text]));
  const endId = end === undefined ? undefined : idOf.get(end);
  const isOwnEnd = endId !== undefined && endId < base.vocabSize && !base.endTokenIds.includes(endId);
  const notices = [
    ...templateNotices(await readTemplates(texts, where, merged.chat_template), base.files.templates),
    ...(unknown.length === 0 ? [] : [unknownNotice(unknown)]),
    ...(isOwnEnd
      ? [`the adapter's tokenizer ends answers with ${endId} ${quote(end)}, which becomes an end token of the adapter`]
      : []),
  ];
  return { endTokenIds: isOwnEnd ? [endId] : [], notices };
}

function templateNotices(own: ReadonlyMap<string, string>, ofBase: ReadonlyMap<string, string>): string[] {
  const other = [...own].flatMap(([name, text]) => (text.trim() === ofBase.get(name)?.trim() ? [] : [name]));
  if (other.length === 0) return [];
  return [
    `the chat template beside the adapter (${other.map((name) => JSON.stringify(name)).join(", ")}) is not the base's and is not used: chats are rendered with the base's. "mosara serve --chat-template" sets one for all adapters`,
  ];
}

function unknownNotice(tokens: readonly string[]): string {
  const shown = tokens.slice(0, NAMED).map((text) => JSON.stringify(text));
  const more = tokens.length > NAMED ? ` and ${tokens.length - NAMED} more` : "";
  return `the tokenizer beside the adapter has tokens that the base's does not have (${shown.join(", ")}${more}). The base reads them as ordinary text`;
}
