/** Flags of the commands that edit a keys file: keys add, keys list, keys revoke. */
import { z } from "zod";
import type { Flag, Flags } from "../flag.ts";
import { bytes, integer, names, optional, positive, proportion, tenant, text } from "../values.ts";

/** The keys file of the commands that edit it. */
export const KEYS_FILE = {
  value: "<file>",
  help: "The keys file. If it does not exist, keys add creates it.",
  schema: text,
} satisfies Flag<string>;

/** A flag that limits something. Without it, nothing is limited. */
const limit = <T>(value: string, help: string, schema: z.ZodType<T>, defaultText = "any number") =>
  ({ value, help, defaultText, schema: optional(schema) }) satisfies Flag<T | null>;

/** Limits of the key itself. Those of a tenant are in the file under `tenants`. */
const LIMITS = {
  requestsPerMinute: limit("<n>", "Requests of this key in a minute.", integer(1)),
  tokensPerMinute: limit("<n>", "Prompt tokens and generated tokens of this key in a minute.", integer(1)),
  concurrent: limit("<n>", "Requests of this key that run or wait at the same time.", integer(1)),
  queueShare: limit(
    "<share>",
    "Share of --max-queue that requests of this key may take, above 0 and at most 1.",
    proportion,
    "all of it",
  ),
  maxAdapters: limit("<n>", "Adapters that the tenant may have after an upload with this key.", integer(0)),
  maxBytes: limit(
    "<bytes>",
    "Bytes of all generations of the tenant's adapters after an upload with this key. The suffixes K, M and G are accepted.",
    bytes,
  ),
  priority: limit(
    "<number>",
    "Weight of the key's requests in the order of tenants, 0.01 to 100.",
    positive.refine((n) => n >= 0.01 && n <= 100, "must be 0.01 to 100"),
    "1",
  ),
} satisfies Flags;

export const KEYS_ADD = {
  keys: KEYS_FILE,
  tenant: {
    value: "<name>",
    help: "The tenant that the key belongs to.",
    schema: tenant.default("default"),
  },
  scopes: {
    value: "<scope,…>",
    help: "What the key may do: use, write, train, metrics, admin, separated by commas.",
    defaultText: "use",
    schema: names.pipe(z.array(z.enum(["use", "write", "train", "metrics", "admin"])).min(1)).default(["use"]),
  },
  adapters: {
    value: "<pattern,…>",
    help: "Patterns of the adapters that the key sees, in which * and ? are wildcards, separated by commas.",
    defaultText: "all that its tenant sees",
    schema: optional(names),
  },
  expires: {
    value: "<time>",
    help: "Expiry time of the key, such as 2027-01-31T00:00:00Z.",
    defaultText: "never",
    schema: optional(z.iso.datetime({ offset: true, message: "must be a time such as 2027-01-31T00:00:00Z" })),
  },
  ...LIMITS,
} satisfies Flags;
