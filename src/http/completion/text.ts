/** Completions of a prompt: OpenAI's older endpoint, which can also echo and score the prompt. */
import type { CompletionKind } from "./completion-kind.ts";
import { OpenAiAnswer } from "./openai-answer.ts";
import { readPrompts } from "./prompts.ts";
import { type CompletionRequest, completionRequest } from "./request-schema.ts";
import { TextChoice } from "./text-choice.ts";

const DEFAULT_MAX_TOKENS = 16;
const FRAME = { idPrefix: "cmpl-", object: "text_completion", chunkObject: "text_completion" };

export const textKind: CompletionKind<CompletionRequest> = {
  endpoint: "completions",
  schema: completionRequest,
  promptField: "prompt",
  parse: (text) => {
    const plain: unknown = JSON.parse(text);
    return { plain, exact: plain }; // no template sees it
  },
  readPrompts: (context, fields) => readPrompts(context, fields.prompt, fields.n ?? 1),
  shapeOf: (fields) => {
    const numLogprobs = fields.logprobs ?? null;
    return {
      maxTokens: fields.max_tokens ?? DEFAULT_MAX_TOKENS,
      numLogprobs,
      numPromptLogprobs: fields.echo === true ? numLogprobs : null,
    };
  },
  newAnswer: ({ text }, job) =>
    new OpenAiAnswer(FRAME, job, (prompt) => {
      const { fields } = job;
      return new TextChoice({
        text,
        prompt,
        echoes: fields.echo === true,
        hasLogprobs: typeof fields.logprobs === "number",
        hasTokenIds: fields.return_token_ids === true,
        skipsSpecial: fields.skip_special_tokens ?? true,
      });
    }),
};
