/**
 * Every error code with its status, its meaning and its remedy: the one table behind responses and
 * docs/reference/errors.md.
 */
import type { ErrorCode } from "../errors.ts";

interface ErrorRow {
  readonly status: 400 | 401 | 403 | 404 | 405 | 409 | 412 | 413 | 415 | 429 | 500 | 501 | 502 | 503 | 504 | 507;
  readonly meaning: string;
  readonly remedy: string;
}

const command = (meaning: string, remedy: string) => ({ status: 500, meaning, remedy }) as const;

export const ERRORS = {
  adapter_not_found: {
    status: 404,
    meaning: "No adapter has this name.",
    remedy: "List the adapters with GET /v1/adapters, or upload the missing adapter.",
  },
  model_not_found: {
    status: 404,
    meaning: "`model` names neither the base nor an adapter.",
    remedy: "List the names with GET /v1/models.",
  },
  adapter_invalid: {
    status: 400,
    meaning: "The bytes are not an adapter file, or the file is damaged.",
    remedy: "Send a .mosara file. `mosara import` converts a PEFT directory to one.",
  },
  adapter_incompatible: {
    status: 400,
    meaning: "The adapter was made for another base or another basis.",
    remedy: "Serve its base, or train it for this base. The message names both ids.",
  },
  adapter_too_large: {
    status: 413,
    meaning: "The file is larger than --max-adapter-bytes.",
    remedy: "Raise the flag, or train fewer targets or a lower rank.",
  },
  store_failed: {
    status: 507,
    meaning: "The store could not write the change. Nothing was changed, and the server continues.",
    remedy:
      "Make room on the disk of --data (adapters can usually still be deleted), or make it writable, and send the request again.",
  },
  store_unavailable: {
    status: 503,
    meaning:
      "The server cannot use the store of --store, which did not answer in time or refused access. Cached adapters still serve.",
    remedy: "Retry after Retry-After. The message says how the store failed.",
  },
  store_damaged: {
    status: 502,
    meaning: "The store of --store has a pointer or a content that cannot be right, such as a wrong hash.",
    remedy: "Upload the adapter again, or restore the object that the message names.",
  },
  store_read_only: {
    status: 409,
    meaning: "The adapter cannot be changed here, because its store is read only or has no place for it.",
    remedy: "Change it in the store, or start the server with another --store.",
  },
  precondition_unsupported: {
    status: 501,
    meaning:
      "The store of --store does not support conditional writes, so the server cannot check If-Match and If-None-Match.",
    remedy: "Send the change without a precondition, or use a store that has conditional writes.",
  },
  adapter_unknown: {
    status: 404,
    meaning: "The server has no adapter with the hash in `adapter.sha256` for this tenant, or has forgotten it.",
    remedy: 'Send the adapter as `adapter: {"data": …}`. The server remembers it again.',
  },
  ambiguous_generation: {
    status: 400,
    meaning: "Several generations of the adapter begin with the text after the `@`. The message names them.",
    remedy: "Write more characters of the generation.",
  },
  generation_in_use: {
    status: 409,
    meaning: "The generation cannot be deleted alone, because its name points to it or an alias needs it.",
    remedy: "Roll the name back first, change the alias, or delete the name with all its generations.",
  },
  alias_not_found: {
    status: 404,
    meaning: "No alias has this name.",
    remedy: "List the aliases with GET /v1/aliases.",
  },
  name_in_use: {
    status: 409,
    meaning: "The name of a new adapter is an alias, or the name of a new alias is an adapter.",
    remedy: "Choose another name, or delete the other one first.",
  },
  verification_failed: {
    status: 400,
    meaning:
      "With verify=strict, the answers of the adapter differ from the golden answers on its card, or equal the base's.",
    remedy:
      "Upload the file as the trainer wrote it, to the base that it was trained for. verify=report stores it anyway.",
  },
  receipt_invalid: {
    status: 400,
    meaning: "The receipt to sign was not sealed with this server's key, or was changed.",
    remedy: "Send the header x-mosara-receipt of one of this server's answers, unchanged.",
  },
  response_not_found: {
    status: 404,
    meaning: "The server does not keep this response, or this item of a response, for this tenant.",
    remedy: "Send the whole conversation, or raise --response-store-bytes.",
  },
  thread_not_found: {
    status: 404,
    meaning: "The request continues a message thread, but the server keeps no threads.",
    remedy: 'Send the whole conversation without "thread". Anthropic\'s clients do so after this error.',
  },
  file_not_found: {
    status: 404,
    meaning: "The tenant has no file with this id.",
    remedy: "List the files with GET /v1/files, or upload the file again.",
  },
  job_not_found: {
    status: 404,
    meaning: "The tenant has no fine-tuning job with this id.",
    remedy: "List the jobs with GET /v1/fine_tuning/jobs.",
  },
  training_disabled: {
    status: 403,
    meaning: "The server runs no training jobs.",
    remedy: "Start it with --max-training-jobs 1 or more, or train with `mosara train`.",
  },
  precondition_failed: {
    status: 412,
    meaning: "If-Match or If-None-Match does not hold.",
    remedy: "Read the adapter's ETag and content again, then decide.",
  },
  not_mergeable: {
    status: 409,
    meaning: "An adapter with several heads cannot be merged exactly.",
    remedy: "Serve it live, or merge with `mosara merge --mean-gate`.",
  },
  not_live: {
    status: 409,
    meaning: "The adapter's rank is above --max-live-rank and it is not merged.",
    remedy: "Serve it merged (placement), or raise the flag.",
  },
  not_blendable: {
    status: 400,
    meaning:
      "No row can hold this sum exactly: two members have several heads, or the sum of ranks is above --max-live-rank.",
    remedy: "Blend only adapters that the message allows, or raise the flag.",
  },
  insufficient_memory: {
    status: 409,
    meaning: "One more merged engine, or this request on this device, does not fit.",
    remedy: "Raise --max-merged, serve a merged adapter live, or ask for fewer tokens.",
  },
  context_length_exceeded: {
    status: 400,
    meaning: "Prompt and answer together are longer than the context.",
    remedy: "Shorten the prompt, lower max_tokens, or send truncate_prompt_tokens.",
  },
  invalid_request: {
    status: 400,
    meaning: "The body or a field is not as documented. `param` names the field.",
    remedy: "Correct the field as the message says.",
  },
  unsupported_parameter: {
    status: 400,
    meaning: "The field would change the answer and is not supported here.",
    remedy: "Leave the field out. docs/reference/fields.md lists the alternatives.",
  },
  invalid_api_key: {
    status: 401,
    meaning: "The key is missing or unknown.",
    remedy: "Send Authorization: Bearer with a configured key.",
  },
  insufficient_scope: {
    status: 403,
    meaning: "The key is known, but does not have the scope that the request needs.",
    remedy: "Use a key with the scope that the message names.",
  },
  origin_not_allowed: {
    status: 403,
    meaning: "A page of another site sent a preflight, or a request that could change something.",
    remedy: "Allow the page's origin with --cors-origin.",
  },
  host_not_allowed: {
    status: 403,
    meaning:
      "The Host header names another machine. The server checks it on a loopback --host, and with --allowed-host.",
    remedy: "Call the server by its own name, or allow the name with --allowed-host.",
  },
  unsupported_media_type: {
    status: 415,
    meaning: "The content type is not one that the route accepts.",
    remedy: "Send application/json, or an adapter as application/octet-stream.",
  },
  rate_limit_exceeded: {
    status: 429,
    meaning: "The key or its tenant has reached a limit of requests, tokens, or its share of the queue.",
    remedy: "Wait as long as Retry-After says. The x-ratelimit headers show the limits.",
  },
  quota_exceeded: {
    status: 403,
    meaning: "The tenant already has as many adapters, bytes of adapters, or unfinished training jobs, as it may have.",
    remedy: "Delete an adapter, wait for a job to end, or have the limit raised.",
  },
  deadline_exceeded: {
    status: 504,
    meaning: "The deadline of x-request-timeout-ms passed.",
    remedy: "Allow more time, or retry when the server is less busy.",
  },
  request_too_large: {
    status: 413,
    meaning: "The body is larger than the route accepts.",
    remedy: "Send less in one request.",
  },
  not_found: { status: 404, meaning: "There is no such route.", remedy: "GET /docs lists the routes." },
  method_not_allowed: {
    status: 405,
    meaning: "The route exists under another method.",
    remedy: "Use a method of the Allow header.",
  },
  internal_error: {
    status: 500,
    meaning: "A fault of the server. The answer gives no details.",
    remedy: "Look up the x-request-id in the server's log.",
  },
  overloaded: {
    status: 503,
    meaning: "The queue is full, or the server is shutting down.",
    remedy: "Retry after Retry-After, or use another replica.",
  },
  engine_unavailable: {
    status: 503,
    meaning: "The engine is starting, or ended and is being restarted.",
    remedy: "Retry after Retry-After. GET /readyz reports when the engine is ready.",
  },
  // Errors of the command line. Over HTTP they are server faults.
  usage: command("Wrong flags or arguments; exit code 2.", "See `mosara <command> --help`."),
  device_unavailable: command("The device is missing or lacks a library.", "Install what the message names."),
  checkpoint_invalid: command(
    "A checkpoint is damaged or incomplete.",
    "Download it again. The message names the file.",
  ),
  checkpoint_unsupported: command(
    "The model's kind is not supported.",
    "Use a family that docs/reference/checkpoints.md lists.",
  ),
  base_invalid: command("A base directory is damaged or of another format.", "Build it again from its checkpoint."),
  data_invalid: command("A line of training or evaluation data is wrong.", "Correct the line that the message names."),
  training_failed: command("Training cannot continue.", "Read the message. The best state so far is kept."),
} as const satisfies Record<ErrorCode, ErrorRow>;
