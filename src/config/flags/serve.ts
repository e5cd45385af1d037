/** Flags of `mosara serve`. */
import { z } from "zod";
import type { Flags } from "../flag.ts";
import {
  text,
  integer,
  bytes,
  seconds,
  names,
  apiKey,
  optional,
  toggle,
  hostName,
  origin,
  redisUrl,
  storeUrl,
  adapterSource,
} from "../values.ts";
import { COMPUTE } from "./shared.ts";
import { SPECULATION } from "./speculation.ts";

export const SERVE = {
  config: {
    value: "<file>",
    help: "YAML file with settings: names of flags without the dashes, such as max-num-seqs: 32. A flag or a variable replaces the file's value.",
    namesSettings: true,
    schema: optional(text),
  },
  model: {
    value: "<dir>",
    help: "Base directory, checkpoint directory, GGUF file, or a model of the Hub (owner/name, owner/name/file.gguf). The first use of a checkpoint builds a base in the cache.",
    defaultText: "the shipped demo, with its adapters",
    schema: optional(text),
  },
  host: { value: "<address>", help: "Address to listen on.", schema: text.default("127.0.0.1") },
  port: { value: "<n>", help: "Port to listen on. 0 picks a free port.", schema: integer(0, 65_535).default(8080) },
  tlsCert: {
    value: "<file>",
    help: "Certificate in PEM, with its chain. The server then speaks HTTPS. The file is read again when it changes, and on SIGHUP.",
    defaultText: "plain HTTP",
    schema: optional(text),
  },
  tlsKey: {
    value: "<file>",
    help: "Private key of --tls-cert in PEM, without a passphrase. It is read again like the certificate.",
    schema: optional(text),
  },
  data: { value: "<dir>", help: "Directory of the adapter store.", schema: text.default("./data") },
  adapters: {
    value: "<dir>",
    help: "Directory to watch. Its .mosara files and PEFT directories are imported under their own names.",
    schema: optional(text),
  },
  store: {
    value: "<url>",
    help: "Store of adapters that several servers share. s3://bucket/prefix is a bucket: the AWS_ variables have its credentials, region and endpoint. /path or ./path is a directory that all servers mount. Two kinds are read only: hf://owner/name@revision, a repository of the Hub with .mosara files and PEFT directories, and the https:// address of a copy of a bucket. The server looks up a name at its first request, and keeps copies in --data.",
    defaultText: "adapters are in --data alone",
    schema: optional(storeUrl),
  },
  storeRefresh: {
    value: "<seconds>",
    help: "Maximum time until a change by another server is seen. An older copy of a name is compared with the store before it is used.",
    schema: seconds.default(5),
  },
  storeTimeout: {
    value: "<seconds>",
    help: "Time limit of one operation of the store, with its retries.",
    schema: seconds.default(5),
  },
  storeMaxStale: {
    value: "<seconds>",
    help: "How long copies of names are used while the store does not answer. 0 never uses an unchecked copy.",
    schema: seconds.default(3600),
  },
  storeCacheBytes: {
    value: "<bytes>",
    help: "Bytes of adapters in --data above which the copies that were used longest ago are removed.",
    schema: bytes.default(8 * 2 ** 30),
  },
  adapterSource: {
    value: "<url>",
    help: "Allow the routes that load adapters (vLLM's, SGLang's and Dynamo's) to read this address and those below it: hf://owner, hf://owner/name, s3://bucket/path or https://host/path. Repeatable; in the environment separated by commas.",
    isRepeatable: true,
    schema: z.array(adapterSource).default([]),
  },
  servedModelName: {
    value: "<name>",
    help: "Name of the base in requests.",
    defaultText: "the directory's name",
    schema: optional(text.max(256)),
  },
  maxNumSeqs: {
    value: "<n>",
    help: "Maximum number of sequences that run at once.",
    schema: integer(1, 4096).default(16),
  },
  maxModelLen: {
    value: "<n>",
    help: "Maximum number of tokens of prompt and answer together.",
    defaultText: "the model's maximum, or less if the KV cache holds less",
    schema: optional(integer(1)),
  },
  kvCacheBytes: {
    value: "<bytes>",
    help: "Memory for keys and values, in bytes. The suffixes K, M and G are accepted.",
    defaultText: "a quarter of free memory",
    schema: optional(bytes),
  },
  kvCacheDtype: {
    value: "<type>",
    help: "Type of keys and values in memory. auto is float32 on the CPU. int8 holds 3.8 times as many tokens in the same memory, and changes the model's probabilities slightly (KL 4e-4 nats on SmolLM2). Only with --device cpu.",
    schema: z.enum(["auto", "int8"]).default("auto"),
  },
  ...COMPUTE,
  merge: {
    value: "<names>",
    help: "Adapters to serve merged from the start, separated by commas.",
    schema: names.default([]),
  },
  maxMerged: {
    value: "<n>",
    help: "Maximum number of merged engines. Each holds a full copy of the weights.",
    schema: integer(0, 64).default(1),
  },
  maxLiveRank: {
    value: "<n>",
    help: "Highest rank of a SARA or LoRA adapter that is served live. It also limits the sum of such ranks in a blend.",
    schema: integer(1, 65_536).default(64),
  },
  adapterCacheBytes: {
    value: "<bytes>",
    help: "Memory for adapters that are ready to run, in bytes. The suffixes K, M and G are accepted.",
    schema: bytes.default(268_435_456),
  },
  inlineCacheBytes: {
    value: "<bytes>",
    help: 'Memory of each tenant for adapters that came with requests. A later request may send {"sha256": "<hash>"} instead. 0 keeps none.',
    schema: bytes.default(16 * 2 ** 20),
  },
  verifyUploads: {
    value: "<mode>",
    help: "Run the golden answers on the card of an uploaded adapter: off, report or strict. report answers with the result. strict refuses an adapter that fails. ?verify= of a PUT chooses another mode.",
    schema: z.enum(["off", "report", "strict"]).default("report"),
  },
  keepGenerations: {
    value: "<n>",
    help: "Number of generations of each adapter that are kept, including the current one. A replaced adapter can be addressed as name@-1 and rolled back to. 1 keeps the current one alone.",
    schema: integer(1, 100).default(3),
  },
  maxAdapterBytes: {
    value: "<bytes>",
    help: "Largest adapter file that is accepted.",
    schema: bytes.default(67_108_864),
  },
  maxQueue: {
    value: "<n>",
    help: "Maximum number of waiting sequences. The server refuses further requests with 503.",
    schema: integer(0).default(1024),
  },
  maxQueueTokens: {
    value: "<n>",
    help: "Maximum number of waiting prompt tokens. The server refuses further requests with 503.",
    schema: integer(1).default(1_048_576),
  },
  noPrefixCache: {
    help: "Disable prefix caching. By default, prompts of the same tenant and adapter that share a prefix reuse its computation, using up to half of --kv-cache-bytes.",
    schema: toggle,
  },
  ...SPECULATION,
  noBatchInvariance: {
    help: "Allow results to differ in the last bits depending on the other rows in the batch, where that is faster.",
    schema: toggle,
  },
  responseStoreBytes: {
    value: "<bytes>",
    help: "Memory for recent answers of /v1/responses, which previous_response_id continues. 0 keeps none.",
    schema: bytes.default(64 * 2 ** 20),
  },
  maxTrainingJobs: {
    value: "<n>",
    help: "Number of fine-tuning jobs (/v1/fine_tuning/jobs) that train at a time, each in a process of low priority. With 0, the routes of files and jobs answer training_disabled.",
    schema: integer(0, 1024).default(1),
  },
  trainingThreads: {
    value: "<n>",
    help: "Threads of each training process.",
    defaultText: "half of the cores",
    schema: optional(integer(1, 1024)),
  },
  trainingNice: {
    value: "<n>",
    help: "Niceness of the training processes, as for the command nice: 0 is the server's own priority, 19 the lowest.",
    schema: integer(0, 19).default(10),
  },
  maxTrainingFileBytes: {
    value: "<bytes>",
    help: "Maximum size of a file of training data (/v1/files).",
    schema: bytes.default(64 * 2 ** 20),
  },
  receiptKey: {
    value: "<file>",
    help: "Ed25519 key in PEM that signs the receipts of answers. If the file does not exist, the server creates it.",
    defaultText: "receipt-key.pem in --data",
    schema: optional(text),
  },
  receipts: {
    value: "<which>",
    help: "Answers that get the header x-mosara-receipt. all: every answer that is not streamed. asked: an answer whose request asks for a receipt.",
    schema: z.enum(["all", "asked"]).default("all"),
  },
  strictFields: {
    help: "Refuse unknown request fields and suggest the closest known name. By default, unknown fields are ignored.",
    schema: toggle,
  },
  apiKey: {
    value: "<[tenant=]key>",
    help: "Key that callers must send. The name before = is their tenant's. Without a name, the tenant is called default. Repeatable; in the environment separated by commas.",
    isRepeatable: true,
    isSecret: true,
    schema: z.array(apiKey).default([]),
  },
  keys: {
    value: "<file>",
    help: "File with the hashes of further keys. Each has a tenant, scopes, and perhaps an expiry time. mosara keys add writes it. It is read again when it changes, and on SIGHUP.",
    schema: optional(text),
  },
  limitsRedis: {
    value: "<url>",
    help: "Redis or Valkey server in which several servers together count the requests and tokens of keys and tenants: redis://[[user]:password@]host[:port][/database], or rediss:// for TLS. While it does not answer, each server counts for itself.",
    defaultText: "each server counts for itself",
    isSecret: true,
    schema: optional(redisUrl),
  },
  publicMetrics: {
    help: "Serve /metrics without a key, for scrapers that cannot send one.",
    schema: toggle,
  },
  corsOrigin: {
    value: "<origin>",
    help: "Allow pages of this origin, such as https://app.example, to call the API. * allows every page. Repeatable; in the environment separated by commas.",
    isRepeatable: true,
    schema: z.array(origin).default([]),
  },
  allowedHost: {
    value: "<name>",
    help: "Accept requests with this name in the Host header, such as a proxy's. On a loopback --host, only this machine's names are accepted by default. Repeatable; in the environment separated by commas.",
    isRepeatable: true,
    schema: z.array(hostName).default([]),
  },
  shutdownTimeout: {
    value: "<seconds>",
    help: "Time that running requests may take to finish after SIGTERM.",
    schema: seconds.default(30),
  },
  logLevel: {
    value: "<level>",
    help: "debug, info, warn, error or silent. The log goes to stderr, as JSON lines, or readable on a terminal. info logs every request and every change of an adapter. debug adds probes and scrapes.",
    schema: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
  },
  chatTemplate: {
    value: "<file>",
    help: "Jinja template for chats, instead of the model's own default one.",
    defaultText: "the model's",
    schema: optional(text),
  },
  toolCallParser: {
    value: "<name>",
    help: "Format in which the model writes tool calls: auto, none, hermes, llama3_json, mistral, mistral_args, granite, phi4_mini or phi4_mini_json. auto finds it from the chat template.",
    schema: z
      .enum([
        "auto",
        "none",
        "hermes",
        "llama3_json",
        "mistral",
        "mistral_args",
        "granite",
        "phi4_mini",
        "phi4_mini_json",
      ])
      .default("auto"),
  },
  reasoningParser: {
    value: "<name>",
    help: "Marks of the model's reasoning: auto, none, think, mistral, thinking, thought or reasoning. auto finds them from the chat template. none leaves reasoning in the text.",
    schema: z.enum(["auto", "none", "think", "mistral", "thinking", "thought", "reasoning"]).default("auto"),
  },
  logPrompts: {
    help: "Write the prompt of every request to the log. By default no prompt is logged.",
    schema: toggle,
  },
} satisfies Flags;
