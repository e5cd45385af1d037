/**
 * Runs the golden answers of an adapter, uploaded just now or stored, and compares them with its card. They run as the
 * engine's lowest priority: only while no row is in use. Nothing is stored here.
 */
import type { Adapter } from "../../adapter/adapter.ts";
import { type DecodedFile, generationOf } from "../../adapter/adapter-file.ts";
import { type GoldenAnswer, goldenAnswers } from "../../adapter/golden.ts";
import { GREEDY, type SequenceRequest } from "../../engine/engine.ts";
import { AppError, quote } from "../../errors.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { type Verification, VERIFY_MODES, type VerifyMode } from "./verification.ts";

/** Longest wait for a moment in which the engine has nothing else to do. */
const MAX_WAIT_MS = 5000;

/** Accepted difference of the mean log-probability, in nats. The training graph has the original weights. */
const TOLERANCES: Readonly<Record<string, number>> = { float32: 0.01, float16: 0.02, int8: 0.1, int4: 0.4 };

/** `?verify=`, or the server's default. @throws {AppError} invalid_request. */
export function verifyModeOf({ limits }: AppContext, c: RequestContext): VerifyMode {
  const asked = c.req.query("verify") ?? limits.verifiesUploads;
  const mode = VERIFY_MODES.find((one) => one === asked);
  if (mode !== undefined) return mode;
  throw invalid(`"verify" must be one of ${VERIFY_MODES.join(", ")}, found ${quote(asked)}.`, "verify");
}

/**
 * Checks an upload. null: no check was requested.
 * @throws {AppError} verification_failed, overloaded, … where `mode` is strict.
 */
export async function verifyUpload(
  context: AppContext,
  tenant: string,
  { adapter, bytes }: DecodedFile,
  mode: VerifyMode,
): Promise<Verification | null> {
  if (mode === "off") return null;
  return await verified(context, tenant, adapter.card, { generation: generationOf(bytes), inlineBytes: bytes }, mode);
}

/** Checks a stored adapter that fits the base. The caller holds its content. */
export async function verifyStored(
  context: AppContext,
  tenant: string,
  { generation, card }: AdapterRecord,
): Promise<Verification> {
  return await verified(context, tenant, card, { generation }, "report");
}

async function verified(
  context: AppContext,
  tenant: string,
  card: Adapter["card"],
  adapter: NonNullable<SequenceRequest["adapter"]>,
  mode: VerifyMode,
): Promise<Verification> {
  const golden = goldenAnswers(card);
  if (golden === null) return judged(mode, 0, null, ["The golden answers on the card do not have a known form."]);
  if (golden.length === 0) return NOTHING_TO_RUN;
  try {
    const found = await scoresOf(context, tenant, golden, adapter);
    const base = await scoresOf(context, tenant, golden, null);
    const expected = golden.map(({ ids, from, logprob }) => logprob * (ids.length - from));
    const numTokens = golden.reduce((sum, { ids, from }) => sum + ids.length - from, 0);
    const mean = (sums: readonly number[]): number => sums.reduce((a, b) => a + b, 0) / numTokens;
    const means = { expected: mean(expected), found: mean(found.map(sumOf)), base: mean(base.map(sumOf)) };
    return judged(mode, golden.length, means, problemsOf(context, means, found, base));
  } catch (error) {
    if (!(error instanceof AppError) || error.code === "verification_failed") throw error;
    return notRun(mode, golden.length, error);
  }
}

interface Means {
  readonly expected: number;
  readonly found: number;
  readonly base: number;
}

const NOTHING_TO_RUN: Verification = {
  status: "not_run",
  golden: 0,
  expected: null,
  found: null,
  base: null,
  problems: ["The card has no golden answers."],
};

function problemsOf(
  { base: { weights } }: AppContext,
  { expected, found: mean, base: ofBase }: Means,
  found: readonly (readonly number[])[],
  base: readonly (readonly number[])[],
): string[] {
  const all = found.flat();
  if (!all.every(Number.isFinite)) return ["Its log-probabilities are not finite numbers."];
  const isBase = all.every((value, i) => Object.is(value, base.flat()[i]));
  const tolerance = TOLERANCES[weights] ?? 0.1;
  // A float16 answer of a strong adapter is further off than that of a weak one.
  const isOther = Math.abs(mean - expected) > tolerance + 0.1 * Math.abs(expected - ofBase);
  return [
    ...(isBase ? ["It changes nothing: each golden answer has exactly the base's log-probability."] : []),
    ...(isOther
      ? [
          `It does not answer as its card says: the mean log-probability is ${mean.toFixed(4)}, and the card says ${expected.toFixed(4)}.`,
        ]
      : []),
  ];
}

function judged(mode: VerifyMode, golden: number, means: Means | null, problems: readonly string[]): Verification {
  if (mode === "strict" && problems.length > 0)
    throw new AppError("verification_failed", `The adapter was not stored. ${problems.join(" ")}`);
  const { expected, found, base } = means ?? { expected: null, found: null, base: null };
  return { status: problems.length > 0 ? "failed" : "passed", golden, expected, found, base, problems: [...problems] };
}

/** @throws the error where `mode` is strict. */
function notRun(mode: VerifyMode, golden: number, error: AppError): Verification {
  const isBusy = error.code === "deadline_exceeded";
  const message = isBusy
    ? `The engine had no idle moment within ${MAX_WAIT_MS / 1000} seconds to run the golden answers.`
    : error.message;
  if (mode === "report") return { ...NOTHING_TO_RUN, golden, problems: [message] };
  if (!isBusy) throw error;
  const advice = "Try again, or send verify=report.";
  throw new AppError("overloaded", `The adapter was not stored. ${message} ${advice}`, { retryAfterSeconds: 1 });
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** The log-probabilities of the scored tokens, by golden answer. @throws {AppError} */
export async function scoresOf(
  { engine }: Pick<AppContext, "engine">,
  tenant: string,
  golden: readonly GoldenAnswer[],
  adapter: SequenceRequest["adapter"],
): Promise<readonly (readonly number[])[]> {
  return await Promise.all(
    golden.map(async ({ ids, from }) => {
      const scored: number[] = [];
      for await (const event of engine.submit({ ...requestOf(tenant, ids), adapter }))
        if (event.type === "prompt-scored") scored.push(...event.logprobs.map(({ logprob }) => logprob));
      return scored.slice(from - 1); // the first token has no score
    }),
  );
}

function requestOf(tenant: string, ids: readonly number[]): Omit<SequenceRequest, "adapter"> {
  return {
    tenant,
    promptIds: Int32Array.from(ids),
    sampling: GREEDY,
    isBackground: true,
    maxTokens: 0,
    minTokens: 0,
    stopIds: [],
    numLogprobs: null,
    numPromptLogprobs: 0,
    deadlineMs: Date.now() + MAX_WAIT_MS,
  };
}
