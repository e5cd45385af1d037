/** Reads receipts from text: the long form alone or within an answer, or the short form of the header. */
import { AppError, describeIssue } from "../errors.ts";
import { type Evidence, type Receipt, receiptSchema, type Statement, statementSchema, UNSIGNED } from "./receipt.ts";

/** A receipt of either form. The short form has no evidence, and does not name its key. */
export interface AnyReceipt {
  readonly statement: Statement;
  readonly signature: string;
  readonly publicKey: string | null;
  readonly evidence: Evidence | null;
}

/** The receipt of a file, or one receipt a line. @param place for messages @throws {AppError} data_invalid */
export function readReceipts(text: string, place: string): readonly AnyReceipt[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const isOne = lines.length < 2 || !/^[{\w].*[}\w]$/.test(lines[0]?.trim() ?? "");
  return isOne ? [readOne(text, place)] : lines.map((line, i) => readOne(line, `${place} line ${i + 1}`));
}

function readOne(text: string, place: string): AnyReceipt {
  const trimmed = text.trim();
  if (trimmed.split(".")[1] === UNSIGNED)
    throw new AppError(
      "data_invalid",
      `${place} is a receipt that the server has not signed yet. POST it to /v1/receipts/sign of that server, which signs it, or send "mosara_receipt": true with the request.`,
    );
  const compact = /^([\w-]+)\.([\w-]+)$/.exec(trimmed);
  if (compact) return ofCompact(compact[1] ?? "", compact[2] ?? "", place);
  const value = inAnswer(parse(trimmed, place));
  const { statement, signature, evidence } = checked<Receipt>(receiptSchema, value, place);
  return { statement, signature: signature.value, publicKey: signature.public_key, evidence };
}

function ofCompact(statement: string, signature: string, place: string): AnyReceipt {
  const value = parse(Buffer.from(statement, "base64url").toString("utf8"), place);
  return { statement: checked<Statement>(statementSchema, value, place), signature, publicKey: null, evidence: null };
}

/** The receipt itself, or the one that an answer or an event of a stream contains. */
function inAnswer(value: unknown): unknown {
  const answer = value as { mosara_receipt?: unknown; response?: { mosara_receipt?: unknown } } | null;
  return answer?.mosara_receipt ?? answer?.response?.mosara_receipt ?? value;
}

function parse(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError("data_invalid", `${place} is not a receipt: ${(cause as Error).message}. ${WANTED}`, { cause });
  }
}

function checked<T>(schema: typeof receiptSchema | typeof statementSchema, value: unknown, place: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data as T;
  const { path, what } = describeIssue(result.error.issues[0]);
  throw new AppError(
    "data_invalid",
    `${place} is not a receipt${path === "" ? "" : ` at ${path}`}: ${what}. ${WANTED}`,
  );
}

const WANTED = 'Name a file with the answer of a request that has "mosara_receipt": true, or with that field alone.';
