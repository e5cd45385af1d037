/** Flags of `mosara doctor`: those of `serve` that it checks. */
import type { Flags } from "../flag.ts";
import { SERVE } from "./serve.ts";
import { COMPUTE } from "./shared.ts";
import { SPECULATION } from "./speculation.ts";

export const DOCTOR = {
  model: { ...SERVE.model, defaultText: "the shipped demo" },
  data: SERVE.data,
  host: SERVE.host,
  port: { ...SERVE.port, help: "Port to check. 0 checks none." },
  keys: { ...SERVE.keys, help: "File with the hashes of keys, as for mosara serve." },
  receiptKey: SERVE.receiptKey,
  draftModel: { ...SPECULATION.draftModel, help: "Draft model to check with the base, as for mosara serve." },
  maxNumSeqs: SERVE.maxNumSeqs,
  maxModelLen: SERVE.maxModelLen,
  kvCacheBytes: SERVE.kvCacheBytes,
  kvCacheDtype: SERVE.kvCacheDtype,
  ...COMPUTE,
} satisfies Flags;
