/**
 * Notices at a server's start: there is no adapter, or some belong to another base; calls of tools cannot be read; the
 * memory and the cost of the draft model.
 */
import type { Logger } from "pino";
import { DraftPolicy } from "../../engine/scheduling/draft-policy.ts";
import type { EngineLimits } from "../../engine/protocol.ts";
import type { AppContext } from "../../http/context.ts";
import { isCompatible } from "../../http/adapters/find-adapter.ts";
import type { AnswerFormats } from "../../http/completion/answer-format/answer-formats.ts";

/** Number of names in a notice; further ones are counted. */
const NAMED = 20;
const MAX_RECORDS = 1000;

/** @param adaptersDir the directory of --adapters; null: none */
export function noteAdapters(context: AppContext, adaptersDir: string | null): void {
  const { base, log, store } = context;
  const records = store.first(MAX_RECORDS);
  const others = records.filter((record) => !isCompatible(context, record));
  if (others.length > 0)
    log.warn(
      {
        adapters: others.slice(0, NAMED).map(({ name }) => name),
        count: others.length,
        bases: [...new Set(others.map(({ baseId }) => baseId.slice(0, 8)))].slice(0, NAMED),
        base: base.signature.baseId.slice(0, 8),
      },
      "adapters do not fit this base. They stay listed, and requests for them get adapter_incompatible. Train or convert them for this base, or name their base as --model.",
    );
  if (others.length < records.length) return;
  log.warn(
    adaptersDir === null
      ? "no adapter is served, so every answer is the base's: name a directory of adapters with --adapters, or upload one with PUT /v1/adapters/{name}"
      : `no adapter is served, so every answer is the base's: none in the directory of --adapters (${adaptersDir}) fits`,
  );
}

/** @param parser --tool-call-parser: only "auto" looks for a format */
export function noteCalls(log: Logger, { takesTools, calls }: AnswerFormats, parser: string): void {
  if (takesTools && calls === null && parser === "auto")
    log.warn(
      "the chat template shows tools to the model, but not a known format of calls. Calls stay in the text of answers. Name the format with --tool-call-parser.",
    );
}

/** @param draft null: there is no draft model */
export function noteDraft(log: Logger, draft: EngineLimits["draft"]): void {
  if (draft === null) return;
  const guessCost = Number(draft.guessCost.toFixed(3));
  const { weights, kv } = draft.bytes;
  log.info({ weightBytes: weights, kvCacheBytes: kv, guessCost }, "a draft model guesses tokens of answers");
  if (new DraftPolicy().numWorthGuessing(draft.guessCost, 1) > 0) return;
  log.warn(
    { guessCost },
    "the draft model is never used: a guess takes too large a part of a step of the base. Name a smaller model as --draft-model, or leave it out.",
  );
}
