/** Completions of a prompt: OpenAI's older endpoint, which can also echo and score the prompt. */
import type { CompletionKind } from "./completion-kind.ts";
import { OpenAiAnswer } from "./answer/openai-answer.ts";
import { engineLimits, readPrompts } from "./prompts.ts";
import { type CompletionRequest, completionRequest } from "./request-schema.ts";
import { TextChoice } from "./answer/text-choice.ts";
import { truncationOf } from "./truncation.ts";

const DEFAULT_MAX_TOKENS = 16;
const FRAME = { idPrefix: "cmpl-", object: "text_completion", chunkObject: "text_completion" };

const maxTokensOf = (fields: CompletionRequest): number => fields.max_tokens ?? DEFAULT_MAX_TOKENS;

export const textKind: CompletionKind<CompletionRequest> = {
  endpoint: "completions",
  schema: completionRequest,
  promptField: "prompt",
  parse: (text) => {
    const plain: unknown = JSON.parse(text);
    return { plain, exact: plain }; // no template sees it
  },
  readPrompts: (context, fields) =>
    readPrompts(context, fields.prompt, {
      n: fields.n ?? 1,
      addsSpecial: fields.add_special_tokens ?? true,
      truncation: truncationOf(fields, maxTokensOf(fields), engineLimits(context).maxModelLen),
    }),
  shapeOf: (fields) => {
    const numLogprobs = fields.logprobs ?? null;
    const scores = [fields.echo === true ? numLogprobs : null, fields.prompt_logprobs ?? null];
    const wanted = scores.filter((count) => count !== null);
    return {
      maxTokens: maxTokensOf(fields),
      numLogprobs,
      numPromptLogprobs: wanted.length === 0 ? null : Math.max(...wanted),
    };
  },
  newAnswer: ({ text }, job) =>
    new OpenAiAnswer(FRAME, job, (prompt) => {
      const { fields } = job;
      return new TextChoice({
        text,
        prompt,
        echoes: fields.echo === true,
        numLogprobs: fields.logprobs ?? null,
        numPromptLogprobs: fields.prompt_logprobs ?? null,
        hasTokenIds: fields.return_token_ids === true,
        skipsSpecial: fields.skip_special_tokens ?? true,
      });
    }),
};
