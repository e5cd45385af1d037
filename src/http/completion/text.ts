/** Completions of a prompt: OpenAI's older endpoint, which can also echo and score the prompt. */
import type { CompletionKind } from "./completion-kind.ts";
import { OpenAiAnswer } from "./answer/openai-answer.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../request/parse-request.ts";
import { engineLimits, readPrompts } from "./prompts.ts";
import { type CompletionRequest, completionRequest } from "./request-schema.ts";
import { TextChoice } from "./answer/text-choice.ts";
import { truncationOf } from "./truncation.ts";

const DEFAULT_MAX_TOKENS = 16;
const FRAME = { idPrefix: "cmpl-", object: "text_completion", chunkObject: "text_completion" };

const maxTokensOf = (fields: CompletionRequest): number => fields.max_tokens ?? DEFAULT_MAX_TOKENS;

export const textKind: CompletionKind<CompletionRequest> = {
  endpoint: "completions",
  promptField: "prompt",
  parse: (text) => {
    const plain: unknown = JSON.parse(text);
    return { plain, exact: plain }; // no template sees it
  },
  readFields: ({ plain, exact }) => ({ fields: parseRequest(completionRequest, plain), exact }),
  numSequences,
  readPrompts: (context, fields) =>
    readPrompts(context, fields.prompt, {
      n: numSequences(fields),
      addsSpecial: fields.add_special_tokens ?? true,
      truncation: truncationOf(fields, maxTokensOf(fields), engineLimits(context).maxModelLen),
    }),
  shapeOf: (fields) => {
    const asked = fields.logprobs ?? null;
    const numLogprobs = choosesBest(fields) ? (asked ?? 0) : asked; // the answers are compared by them
    const scores = [fields.echo === true ? asked : null, fields.prompt_logprobs ?? null];
    const wanted = scores.filter((count) => count !== null);
    return {
      maxTokens: maxTokensOf(fields),
      numLogprobs,
      numPromptLogprobs: wanted.length === 0 ? null : Math.max(...wanted),
    };
  },
  newAnswer: ({ text }, job) => {
    const { fields } = job;
    return new OpenAiAnswer(FRAME, job, numSequences(fields), (prompt) => {
      return new TextChoice({
        text,
        prompt,
        echoes: fields.echo === true,
        numLogprobs: fields.logprobs ?? null,
        numPromptLogprobs: fields.prompt_logprobs ?? null,
        hasTokenIds: fields.return_token_ids === true,
        skipsSpecial: fields.skip_special_tokens ?? true,
      });
    });
  },
};

/** The sequences of each prompt, of which the `n` best are answered. @throws {AppError} invalid_request. */
function numSequences(fields: CompletionRequest): number {
  const n = fields.n ?? 1;
  const bestOf = fields.best_of ?? n;
  if (bestOf < n)
    throw invalid(`"best_of" is ${bestOf}, but "n" asks for ${n} answers. Send "best_of" of at least "n".`, "best_of");
  if (bestOf > n && fields.stream === true)
    throw invalid('"best_of" above "n" is not available with "stream": true.', "best_of");
  return bestOf;
}

function choosesBest(fields: CompletionRequest): boolean {
  return (fields.best_of ?? 1) > (fields.n ?? 1);
}
