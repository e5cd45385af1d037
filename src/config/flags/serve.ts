/** Flags of `mosara serve`. */
import { z } from "zod";
import type { Flags } from "../flag.ts";
import { text, integer, bytes, seconds, names, apiKey, optional, toggle, hostName, origin } from "../values.ts";
import { COMPUTE } from "./shared.ts";

export const SERVE = {
  model: {
    value: "<dir>",
    help: "Base directory, or a checkpoint (a Hugging Face directory or a GGUF file), which is built first, once, into the cache.",
    defaultText: "the shipped demo, with its adapters",
    schema: optional(text),
  },
  host: { value: "<address>", help: "Address to listen on.", schema: text.default("127.0.0.1") },
  port: { value: "<n>", help: "Port to listen on; 0 is any free one.", schema: integer(0, 65_535).default(8080) },
  data: { value: "<dir>", help: "The adapter store.", schema: text.default("./data") },
  adapters: {
    value: "<dir>",
    help: "Directory whose .mosara files and PEFT directories are imported and watched; their names are the adapters'.",
    schema: optional(text),
  },
  servedModelName: {
    value: "<name>",
    help: "Name of the base in requests.",
    defaultText: "the directory's name",
    schema: optional(text.max(256)),
  },
  maxNumSeqs: { value: "<n>", help: "Most sequences that run at once.", schema: integer(1, 4096).default(16) },
  maxModelLen: {
    value: "<n>",
    help: "Most tokens of prompt and answer together.",
    defaultText: "the model's, or what fits one row",
    schema: optional(integer(1)),
  },
  kvCacheBytes: {
    value: "<bytes>",
    help: "Memory for keys and values. K, M or G may follow.",
    defaultText: "a quarter of free memory",
    schema: optional(bytes),
  },
  ...COMPUTE,
  merge: {
    value: "<names>",
    help: "Adapters to serve merged from the start, separated by commas.",
    schema: names.default([]),
  },
  maxMerged: {
    value: "<n>",
    help: "Most merged engines; each holds a full copy of the weights.",
    schema: integer(0, 64).default(1),
  },
  maxLiveRank: {
    value: "<n>",
    help: "Highest rank of a SARA or LoRA adapter that is served live.",
    schema: integer(1, 65_536).default(64),
  },
  adapterCacheBytes: {
    value: "<bytes>",
    help: "Memory for adapters kept ready. K, M or G may follow.",
    schema: bytes.default(268_435_456),
  },
  maxAdapterBytes: {
    value: "<bytes>",
    help: "Largest adapter file that is accepted.",
    schema: bytes.default(67_108_864),
  },
  maxQueue: {
    value: "<n>",
    help: "Most sequences that wait; more are refused with 503.",
    schema: integer(0).default(1024),
  },
  maxQueueTokens: {
    value: "<n>",
    help: "Most prompt tokens that wait; more are refused with 503.",
    schema: integer(1).default(1_048_576),
  },
  noPrefixCache: {
    help: "Compute every prompt from its first token. Without it, prompts of one tenant and adapter that begin alike share what was computed of their beginnings, in up to half of --kv-cache-bytes that no row needs.",
    schema: toggle,
  },
  noBatchInvariance: { help: "Give up equal bits alone and in company where that is faster.", schema: toggle },
  strictFields: {
    help: "Refuse request fields that no table has, and say which name was probably meant. Without it they are ignored.",
    schema: toggle,
  },
  apiKey: {
    value: "<[tenant=]key>",
    help: "Key that callers must send. Repeatable; in the environment separated by commas. Without a name the tenant is default.",
    isRepeatable: true,
    schema: z.array(apiKey).default([]),
  },
  publicMetrics: {
    help: "Serve /metrics without a key, for scrapers and pickers that send none.",
    schema: toggle,
  },
  corsOrigin: {
    value: "<origin>",
    help: "Allow pages of this origin, such as https://app.example, to call the API; * allows every page. Repeatable; in the environment separated by commas.",
    isRepeatable: true,
    schema: z.array(origin).default([]),
  },
  allowedHost: {
    value: "<name>",
    help: "Accept requests whose Host header has this name, such as a proxy's. On a loopback --host, other names than this machine's are refused. Repeatable; in the environment separated by commas.",
    isRepeatable: true,
    schema: z.array(hostName).default([]),
  },
  shutdownTimeout: {
    value: "<seconds>",
    help: "How long running requests may go on after SIGTERM.",
    schema: seconds.default(30),
  },
  logLevel: {
    value: "<level>",
    help: "debug, info, warn, error or silent. The log goes to stderr, one JSON object a line, or readable on a terminal: a line for every request and for every change of an adapter at info, probes and scrapes at debug.",
    schema: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
  },
  logPrompts: {
    help: "Write the prompt of every request into its line of the log. Without it no prompt is ever logged.",
    schema: toggle,
  },
} satisfies Flags;
