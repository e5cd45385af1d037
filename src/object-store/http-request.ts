/** One HTTP request to a store, whose answer is read to its end. Faults of the network are faults that may pass. */
import { AppError } from "../errors.ts";
import { PassingFault } from "./request-policy.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

/**
 * @param send sends the request. It must end when its signal is aborted.
 * @throws {PassingFault}
 * @throws {AppError} adapter_too_large
 */
export async function readAnswer(send: () => Promise<Response>, maxBytes: number): Promise<Answer> {
  try {
    const response = await send();
    const { status, headers } = response;
    const bytes = await readBody(response, maxBytes);
    if (status === 408 || status === 429 || status >= 500) throw new PassingFault(`it answers with status ${status}`);
    return { status, headers, bytes };
  } catch (error) {
    if (error instanceof AppError || error instanceof PassingFault) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : (error as Error);
    const isLate = cause.name === "TimeoutError" || (error as Error).name === "TimeoutError";
    throw new PassingFault(isLate ? "it does not answer in time" : cause.message || cause.name, { cause: error });
  }
}

async function readBody({ body, headers }: Response, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body ?? []) {
    length += (part as Uint8Array).byteLength;
    if (length > maxBytes)
      throw new AppError("adapter_too_large", `An object of the store is larger than ${maxBytes} bytes.`);
    parts.push(part as Uint8Array);
  }
  const announced = headers.get("content-length");
  if (announced !== null && !headers.has("content-encoding") && body !== null && Number(announced) !== length)
    throw new PassingFault(`the connection ended after ${length} of ${announced} bytes`);
  return Buffer.concat(parts, length);
}
