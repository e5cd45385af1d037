/** Sends an answer as one JSON object, or as a stream. A failure before a stream's first chunk is an ordinary error. */
import type { AppContext, RequestContext } from "../../context.ts";
import { errorResponse, logFailure, toErrorBody } from "../../error-response.ts";
import type { CompletionAnswer } from "../completion-kind.ts";
import { ClientGone, type Generation } from "../generation.ts";
import type { AnswerReceipt } from "../receipt/answer-receipt.ts";
import { openEventStream } from "./sse.ts";

/** An answer and its receipt. Both receive every event. */
export interface Outcome {
  readonly answer: CompletionAnswer;
  readonly receipt: AnswerReceipt;
}

/** Runs the generation and sends the answer when it is complete. @throws the generation's errors. */
export async function sendWhole(
  c: RequestContext,
  generation: Generation,
  { answer, receipt }: Outcome,
): Promise<Response> {
  await generation.run((index, event) => {
    receipt.add(index, event);
    answer.add(index, event);
  });
  const { headers, fields } = receipt.ofWhole();
  return c.json({ ...answer.whole(), ...fields }, 200, headers);
}

/**
 * Streams the answer's chunks for every event, then its trailer, and `[DONE]` where events have no names. Resolves with
 * the first chunk.
 * @throws the generation's errors before the first chunk.
 */
export async function sendStream(
  context: AppContext,
  c: RequestContext,
  generation: Generation,
  { answer, receipt }: Outcome,
): Promise<Response> {
  const stream = openEventStream(() => generation.cancel(), { hasNames: answer.hasNamedEvents });
  const closeRecord = c.get("record").hold();
  let hasStarted = false;
  const run = generation.run(async (index, event) => {
    receipt.add(index, event);
    for (const chunk of answer.add(index, event)) {
      hasStarted = true;
      await stream.send(chunk);
    }
  });
  const ended = run
    .then(
      async () => {
        for (const chunk of answer.trailer(receipt.ofStream())) await stream.send(chunk);
        if (!answer.hasNamedEvents) await stream.send("[DONE]");
        stream.close();
      },
      async (error: unknown) => {
        if (!hasStarted) throw error;
        await sendFailure(error);
        stream.close();
      },
    )
    .finally(closeRecord);
  const sendFailure = async (error: unknown) => {
    if (error instanceof ClientGone) return;
    const body = toErrorBody(error);
    c.get("record").errorCode = body.error.code;
    if (body.error.code === "internal_error") logFailure(context, c, error);
    for (const chunk of answer.failure(body)) await stream.send(chunk);
  };
  await Promise.race([stream.started, ended]);
  ended.catch((error: unknown) => logFailure(context, c, error)); // from here on no other code would report it
  // A new response, because the context adds its headers only to those that it makes.
  const headers = Object.fromEntries(stream.response.headers);
  return c.newResponse(stream.response.body, { status: 200, headers });
}

/** The response when no client is there to read it. Its status only appears in logs. */
export function goneResponse(context: AppContext, c: RequestContext, error: unknown): Response {
  return error instanceof ClientGone ? c.body(null, 400) : errorResponse(context, c, error);
}
