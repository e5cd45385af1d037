/**
 * Converts examples to token ids and a loss mask.
 * Prompt and completion: encode(prompt, with special tokens) ++
 * encode(completion, without) ++ end token, loss on completion and end token.
 * Conversations: as the template renders them, loss on the learnt turns.
 * Knows no batches, no lengths and no policy. The caller decides on over-long examples.
 */
import { AppError } from "../errors.ts";
import { encodeChat } from "../tokenizer/chat/chat.ts";
import { type ChatTemplate, chatTemplateOf } from "../tokenizer/chat/chat-template.ts";
import { loadGenerationDefaults } from "../tokenizer/files/generation-config.ts";
import { readTextFiles } from "../tokenizer/files/text-files.ts";
import { makeTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { encodeChatSpans, renderOptions } from "./chat-spans.ts";
import { type Example, type ExamplePlace, lastLearntTurn, withLastTurn } from "./examples.ts";
import { lineError } from "./lines.ts";

/** One sequence of tokens to learn or to score. */
export interface EncodedExample extends ExamplePlace {
  readonly ids: Int32Array;
  /**
   * By position: 1 where the loss counts how well this token is predicted from those before it. Position 0 is always 0.
   */
  readonly lossMask: Uint8Array;
  /** Ones in `lossMask`. */
  readonly numLossTokens: number;
}

/** Encodes examples for one model. */
export interface ExampleEncoder {
  readonly tokenizer: Tokenizer;
  readonly hasChatTemplate: boolean;
  /** The token after every completion. */
  readonly endTokenId: number;
  /** Any of these ends a generation. */
  readonly endTokenIds: readonly number[];
  /**
   * One sequence; without a completion one sequence for each reference. @throws {AppError} data_invalid, naming file
   * and line.
   */
  encode(example: Example): readonly EncodedExample[];
  /** Ids of the text that the model has to continue. @throws {AppError} data_invalid, naming file and line. */
  encodePrompt(example: Example): Int32Array;
}

/** The encoder of a base directory or checkpoint. @throws {AppError} checkpoint_invalid, checkpoint_unsupported. */
export async function loadExampleEncoder(dir: string): Promise<ExampleEncoder> {
  const [files, { eosTokenIds }] = await Promise.all([readTextFiles(dir), loadGenerationDefaults(dir)]);
  return makeExampleEncoder(makeTokenizer(files.tokenizer, dir), chatTemplateOf(files), eosTokenIds, dir);
}

/**
 * @param eosTokenIds end tokens from the model's configuration; may be empty.
 * @param dir only named in messages. @throws {AppError} checkpoint_invalid where there is no end token.
 */
export function makeExampleEncoder(
  tokenizer: Tokenizer,
  template: ChatTemplate | undefined,
  eosTokenIds: readonly number[],
  dir: string,
): ExampleEncoder {
  const endTokenId = chooseEnd(tokenizer, eosTokenIds, dir);
  const own = tokenizer.eosToken === undefined ? undefined : tokenizer.tokenToId(tokenizer.eosToken);
  const endTokenIds = [...new Set([...eosTokenIds, endTokenId, own ?? endTokenId])];
  const endIds: ReadonlySet<number> = new Set(endTokenIds);

  const encodeText = (prompt: string, completion: string, { file, line }: ExamplePlace): EncodedExample => {
    const before = tokenizer.encode(prompt);
    const ids = [...before, ...tokenizer.encode(completion, { addSpecialTokens: false }), endTokenId];
    return encoded(ids, new Uint8Array(ids.length).fill(1, before.length), { file, line });
  };
  return {
    tokenizer,
    hasChatTemplate: template !== undefined,
    endTokenId,
    endTokenIds,
    encode: (example) =>
      atPlace(example, () => {
        if (example.form === "messages") {
          const { hasCompletion, references } = example;
          const versions = hasCompletion ? [example] : references?.map((text) => withLastTurn(example, text));
          return (versions ?? refuseAnswerAlone(example)).map((version) => {
            assertTemplate(template, version);
            const { ids, isLearnt } = encodeChatSpans(tokenizer, template, version, endIds);
            return encoded(ids, isLearnt, version);
          });
        }
        const { prompt, completion, references } = example;
        const completions = completion === null ? references : [completion];
        return (completions ?? refuseAnswerAlone(example)).map((text) => encodeText(prompt, text, example));
      }),
    encodePrompt: (example) =>
      atPlace(example, () => {
        if (example.form === "prompt") return Int32Array.from(tokenizer.encode(example.prompt));
        assertTemplate(template, example);
        return Int32Array.from(encodeChat(tokenizer, template, lastLearntTurn(example).before, renderOptions(example)));
      }),
  };
}

function refuseAnswerAlone({ file, line }: ExamplePlace): never {
  throw lineError(file, line, '"completion" is missing; an answer alone has no text to learn or to score.');
}

function assertTemplate(template: ChatTemplate | undefined, { file, line }: ExamplePlace): void {
  if (template === undefined)
    throw lineError(
      file,
      line,
      "This model has no chat template, which a conversation needs. Write prompt and completion as text, or add chat_template.jinja.",
    );
}

/** The tokenizer's end token. Where it is not one of the configuration's end tokens, the configuration's applies. */
function chooseEnd(tokenizer: Tokenizer, eosTokenIds: readonly number[], dir: string): number {
  const own = tokenizer.eosToken === undefined ? undefined : tokenizer.tokenToId(tokenizer.eosToken);
  const end = own !== undefined && (eosTokenIds.length === 0 || eosTokenIds.includes(own)) ? own : eosTokenIds[0];
  if (end === undefined)
    throw new AppError(
      "checkpoint_invalid",
      `${dir} names no end token, but every completion must end with one. Give eos_token in tokenizer_config.json or eos_token_id in generation_config.json.`,
    );
  if (tokenizer.idToToken(end) === undefined)
    throw new AppError(
      "checkpoint_invalid",
      `${dir}: eos_token_id ${end} is not a token of the tokenizer. Correct generation_config.json or config.json.`,
    );
  return end;
}

function encoded(ids: readonly number[], lossMask: Uint8Array, { file, line }: ExamplePlace): EncodedExample {
  if (lossMask.length > 0) lossMask[0] = 0; // no token before it could predict it
  const numLossTokens = lossMask.reduce((sum, bit) => sum + bit, 0);
  return { ids: Int32Array.from(ids), lossMask, numLossTokens, file, line };
}

/** Reports an error of the text or of the template as an error of that line. */
function atPlace<T>({ file, line }: ExamplePlace, encode: () => T): T {
  try {
    return encode();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "invalid_request") throw error;
    throw lineError(file, line, error.message, error);
  }
}
