/**
 * Text ↔ token ids for clients, as vLLM has it. The tokenizer is the base's: adapters have none of their own. Nothing
 * is generated.
 */
import { parseConversation } from "../completion/parse-conversation.ts";
import { encodeConversation } from "../completion/chat-prompt.ts";
import { isPresent } from "../completion/is-present.ts";
import { assertModelExists } from "../completion/model/resolve-model.ts";
import { engineLimits } from "../completion/prompts.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { AppError } from "../../errors.ts";
import { checkFields } from "../../fields/check-fields.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../request/parse-request.ts";
import { parseBody, readJson, readBodyText } from "../request/read-body.ts";
import { detokenizeRequest, type TokenizeRequest, tokenizeRequest } from "./request-schema.ts";

/** The ids of a prompt or a conversation. @throws {AppError} invalid_request, model_not_found. */
export async function tokenize(context: AppContext, c: RequestContext): Promise<Response> {
  const text = await readBodyText(c, context.limits.maxJsonBytes);
  const body = parseBody(text, parseConversation);
  checkFields(body.plain, "tokenize", { isStrict: context.limits.refusesUnknownFields });
  const fields = parseRequest(tokenizeRequest, body.plain);
  await assertModelExists(context, c.get("caller"), fields.model ?? null);
  const { maxModelLen } = engineLimits(context);
  const ids = await idsOf(context, fields, body.exact);
  const strings = fields.return_token_strs === true ? Array.from(ids, (id) => context.text.tokenOf(id) ?? "") : null;
  return c.json({ count: ids.length, max_model_len: maxModelLen, tokens: [...ids], token_strs: strings });
}

async function idsOf(context: AppContext, fields: TokenizeRequest, exact: unknown): Promise<Int32Array> {
  const { prompt, messages } = fields;
  if ((prompt === undefined) === (messages === undefined))
    throw invalid('Send either "prompt", a text, or "messages", a conversation.', "prompt");
  if (prompt !== undefined) {
    assertNoConversation(fields);
    return await context.text.encode(prompt, fields.add_special_tokens ?? true);
  }
  if (fields.add_special_tokens === true)
    throw new AppError("unsupported_parameter", '"add_special_tokens" is true, but the chat template writes its own.', {
      param: "add_special_tokens",
    });
  return await encodeConversation(context, { ...fields, messages: messages ?? [] }, exact);
}

/** No template renders a prompt, so these fields would be ignored. @throws {AppError} invalid_request. */
function assertNoConversation(fields: TokenizeRequest): void {
  const { tools, chat_template, chat_template_kwargs, documents, continue_final_message } = fields;
  const given = Object.entries({ tools, chat_template, chat_template_kwargs, documents, continue_final_message }).find(
    ([, value]) => isPresent(value) && value !== false && Object.keys(value).length > 0,
  );
  if (given !== undefined)
    throw invalid(`"${given[0]}" is for "messages", but there is a "prompt", which no template renders.`, given[0]);
}

/** The text of ids. @throws {AppError} invalid_request, model_not_found. */
export async function detokenize(context: AppContext, c: RequestContext): Promise<Response> {
  const body = await readJson(c, context.limits.maxJsonBytes);
  checkFields(body, "detokenize", { isStrict: context.limits.refusesUnknownFields });
  const fields = parseRequest(detokenizeRequest, body);
  await assertModelExists(context, c.get("caller"), fields.model ?? null);
  const { vocabSize } = engineLimits(context);
  const bad = fields.tokens.find((id) => id >= vocabSize);
  if (bad !== undefined)
    throw invalid(`"tokens" contains the id ${bad}, but ids of this model go from 0 to ${vocabSize - 1}.`, "tokens");
  const skipSpecialTokens = fields.skip_special_tokens ?? false;
  return c.json({ prompt: await context.text.decode(fields.tokens, { skipSpecialTokens }) });
}
