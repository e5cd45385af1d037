/** Text ↔ token ids for clients, as vLLM has it. The tokenizer is the base's: adapters have none of their own. Nothing is generated. */
import { parseConversation } from "../completion/parse-conversation.ts";
import { encodeConversation } from "../completion/chat-prompt.ts";
import { assertModelExists } from "../completion/model/resolve-model.ts";
import { engineLimits } from "../completion/prompts.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { AppError } from "../../errors.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../parse-request.ts";
import { parseBody, readJson, readText } from "../read-body.ts";
import { detokenizeRequest, type TokenizeRequest, tokenizeRequest } from "./request-schema.ts";

/** The ids of a prompt or a conversation. @throws {AppError} invalid_request, model_not_found. */
export async function tokenize(context: AppContext, c: RequestContext): Promise<Response> {
  const text = await readText(c, context.limits.maxJsonBytes);
  const body = parseBody(text, parseConversation);
  const fields = parseRequest(tokenizeRequest, body.plain);
  assertModelExists(context, c.get("caller"), fields.model ?? null);
  const { maxModelLen } = engineLimits(context);
  const ids = await idsOf(context, fields, body.exact);
  const strings = fields.return_token_strs === true ? Array.from(ids, (id) => context.text.tokenOf(id) ?? "") : null;
  return c.json({ count: ids.length, max_model_len: maxModelLen, tokens: [...ids], token_strs: strings });
}

async function idsOf(context: AppContext, fields: TokenizeRequest, exact: unknown): Promise<Int32Array> {
  const { prompt, messages } = fields;
  if ((prompt === undefined) === (messages === undefined))
    throw invalid('Send either "prompt", a text, or "messages", a conversation.', "prompt");
  if (prompt !== undefined) return await context.text.encode(prompt, fields.add_special_tokens ?? true);
  if (fields.add_special_tokens === true)
    throw new AppError("unsupported_parameter", '"add_special_tokens" is true, but the chat template writes its own.', {
      param: "add_special_tokens",
    });
  return await encodeConversation(context, { ...fields, messages: messages ?? [] }, exact);
}

/** The text of ids. @throws {AppError} invalid_request, model_not_found. */
export async function detokenize(context: AppContext, c: RequestContext): Promise<Response> {
  const fields = parseRequest(detokenizeRequest, await readJson(c, context.limits.maxJsonBytes));
  assertModelExists(context, c.get("caller"), fields.model ?? null);
  const { vocabSize } = engineLimits(context);
  const bad = fields.tokens.find((id) => id >= vocabSize);
  if (bad !== undefined)
    throw invalid(`"tokens" contains the id ${bad}, but ids of this model go from 0 to ${vocabSize - 1}.`, "tokens");
  return c.json({ prompt: await context.text.decode(fields.tokens) });
}
