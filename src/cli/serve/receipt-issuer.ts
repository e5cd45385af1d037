/** The signer of a server's receipts: its key, and the facts that all of them state. */
import { join } from "node:path";
import type { Manifest } from "../../base/manifest.ts";
import type { ConfigOf } from "../../config/commands.ts";
import { ReceiptIssuer } from "../../receipt/receipt-issuer.ts";
import { openReceiptKey } from "../../receipt/receipt-key.ts";
import { type AnswerEnvironment, draftFacts } from "../shared/answer-environment.ts";

/** In the data directory. */
export const RECEIPT_KEY_FILE = "receipt-key.pem";

/** The facts of a server that its receipts state, and the directory of its key. */
interface Served {
  readonly environment: AnswerEnvironment;
  /** null: there is no draft model. */
  readonly draft: { readonly manifest: Manifest } | null;
  readonly storeDir: string;
}

/** @throws {AppError} usage */
export async function openReceiptIssuer(
  config: Pick<ConfigOf<"serve">, "receiptKey" | "speculativeTokens" | "kvCacheDtype">,
  { environment, draft, storeDir }: Served,
): Promise<ReceiptIssuer> {
  const key = await openReceiptKey(config.receiptKey ?? join(storeDir, RECEIPT_KEY_FILE));
  const { kvCacheDtype, speculativeTokens } = config;
  const machine = { ...environment.machine, ...(kvCacheDtype === "int8" ? { kv_cache_dtype: kvCacheDtype } : {}) };
  const draftModel = draft && draftFacts(draft.manifest);
  return new ReceiptIssuer(key, { ...environment, machine, speculativeTokens, draftModel });
}
