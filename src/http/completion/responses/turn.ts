/** One turn of a Responses conversation: the items of earlier turns from the store, and the items of the request. */
import { randomUUID } from "node:crypto";
import { AppError, quote } from "../../../errors.ts";
import type { Item, ResponsesRequest } from "./request-schema.ts";
import type { ResponseStore } from "./response-store.ts";

export interface Turn {
  readonly tenant: string;
  /** The whole conversation before the answer. Every item has an id. */
  readonly items: readonly Item[];
  /** Of these, the number that came with earlier requests. */
  readonly numEarlier: number;
}

/** @throws {AppError} response_not_found, unsupported_parameter. */
export function readTurn(body: ResponsesRequest, store: ResponseStore, tenant: string): Turn {
  const earlier = earlierItems(body.previous_response_id ?? null, store, tenant);
  const given: readonly Item[] =
    typeof body.input === "string" ? [{ type: "message", role: "user", content: body.input }] : body.input;
  const items = given.map((item, i) => withId(resolved(item, `input.${i}`, store, tenant)));
  return { tenant, items: [...earlier, ...items], numEarlier: earlier.length };
}

function earlierItems(id: string | null, store: ResponseStore, tenant: string): readonly Item[] {
  if (id === null) return [];
  const param = "previous_response_id";
  if (!store.keeps)
    throw new AppError(
      "unsupported_parameter",
      `"${param}" needs a stored response, but this server stores none. Send the whole conversation as "input", or start the server with --response-store-bytes.`,
      { param },
    );
  const before = store.get(tenant, id);
  if (before) return [...before.items, ...before.response.output];
  throw new AppError(
    "response_not_found",
    `There is no response ${quote(id)}. The server keeps only recent responses, until it stops. Send the whole conversation as "input".`,
    { param },
  );
}

/** The item that a reference names. */
function resolved(item: Item, at: string, store: ResponseStore, tenant: string): Item {
  if (item.type !== "item_reference") return item;
  const found = store.item(tenant, String(item.id));
  if (found) return found;
  throw new AppError(
    "response_not_found",
    `"${at}" refers to the item ${quote(String(item.id))}, which is not kept. Send the item itself.`,
    { param: at },
  );
}

const PREFIX_OF: Readonly<Record<string, string>> = {
  function_call: "fc_",
  function_call_output: "fco_",
  reasoning: "rs_",
};

function withId(item: Item): Item {
  const type = item.type ?? "message";
  return { ...item, type, id: typeof item.id === "string" ? item.id : newOpenAiId(PREFIX_OF[type] ?? "msg_") };
}

/** A fresh id in OpenAI's form. */
export function newOpenAiId(prefix: string): string {
  return `${prefix}${randomUUID().replaceAll("-", "")}`;
}
