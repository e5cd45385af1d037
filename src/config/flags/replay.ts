/** Flags of `mosara replay`. */
import { z } from "zod";
import type { Flags } from "../flag.ts";
import { integer, optional, text, toggle } from "../values.ts";
import { SERVE } from "./serve.ts";
import { COMPUTE, MODEL } from "./shared.ts";
import { SPECULATION } from "./speculation.ts";

export const REPLAY = {
  model: { ...MODEL, defaultText: "none, with --verify-only", schema: optional(text) },
  adapter: {
    value: "<file>",
    help: "A .mosara file of the receipt's adapter, or of a member of its blend. Repeatable.",
    isRepeatable: true,
    schema: z.array(text).default([]),
  },
  data: {
    value: "<dir>",
    help: "Adapter store of the server. Adapters are found in it by their hash, even while the server runs.",
    defaultText: "the files of --adapter alone",
    schema: optional(text),
  },
  publicKey: {
    value: "<key>",
    help: "Public key of the server, as GET /v1/receipts/key returns it: base64url, or a PEM file.",
    defaultText: "the key that the receipt names",
    schema: optional(text),
  },
  verifyOnly: { help: "Check the signature and the hashes, and compute nothing.", schema: toggle },
  draftModel: { ...SPECULATION.draftModel, help: "The draft model of the receipt's server.", defaultText: "none" },
  maxNumSeqs: SERVE.maxNumSeqs,
  kvCacheBytes: SERVE.kvCacheBytes,
  ...COMPUTE,
  threads: {
    value: "<n>",
    help: "Number of threads that compute.",
    defaultText: "the receipt's",
    schema: optional(integer(1, 1024)),
  },
} satisfies Flags;
