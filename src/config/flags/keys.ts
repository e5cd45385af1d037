/** Flags of the commands that edit a keys file: keys add, keys list, keys revoke. */
import { z } from "zod";
import type { Flag, Flags } from "../flag.ts";
import { names, optional, tenant, text } from "../values.ts";

/** The keys file of the commands that edit it. */
export const KEYS_FILE = {
  value: "<file>",
  help: "The keys file. keys add makes it if it does not exist.",
  schema: text,
} satisfies Flag<string>;

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
    help: "When the key ends, such as 2027-01-31T00:00:00Z.",
    defaultText: "never",
    schema: optional(z.iso.datetime({ offset: true, message: "must be a time such as 2027-01-31T00:00:00Z" })),
  },
} satisfies Flags;
