/**
 * /v1/fine_tuning/jobs: training runs of tenants, as OpenAI has them, with pause and resume. A tenant sees only its
 * own.
 */
import { randomInt } from "node:crypto";
import { z } from "@hono/zod-openapi";
import { AppError, quote } from "../../errors.ts";
import { smallest } from "../../keys/limits.ts";
import { type JobRecord, adapterNameOf, newId, unixNow } from "../../jobs/records.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { eventStream } from "../fine-tuning/event-stream.ts";
import {
  checkpointSchema,
  checkpointsJson,
  eventJson,
  eventSchema,
  jobJson,
  jobSchema,
} from "../fine-tuning/job-json.ts";
import { jobRequest, settingsOf } from "../fine-tuning/job-request.ts";
import { listOf, pageOf, pageQuery } from "../fine-tuning/list-page.ts";
import { fileOf, jobOf, type Training, trainingOf } from "../fine-tuning/training.ts";
import { findAdapter } from "../adapters/find-adapter.ts";
import { refreshNamed } from "../adapters/shared-names.ts";
import { assertMayName, quotaOf } from "../adapters/owner.ts";
import { parseRequest } from "../request/parse-request.ts";
import { invalid } from "../error-response.ts";
import { readJson } from "../request/read-body.ts";
import { jsonResponses, type Route } from "../route.ts";

const tags = ["Fine-tuning"];
const params = z.object({ id: z.string().openapi({ param: { name: "id", in: "path" } }) });
const jobsQuery = pageQuery(20, 1000).extend({
  metadata: z
    .string()
    .optional()
    .openapi({ description: "metadata[key]=value: jobs with this entry. metadata=null: jobs without metadata." }),
});
const eventsQuery = pageQuery(20, 1000).extend({
  stream: z
    .enum(["true", "false"])
    .optional()
    .openapi({ description: "true: events as they come, until the job ends." }),
});
const checkpointsQuery = pageQuery(10, 1000);

const createRoute: Route = {
  method: "post",
  path: "/v1/fine_tuning/jobs",
  scope: "train",
  document: {
    summary: "Train an adapter",
    tags,
    request: { body: { required: true, content: { "application/json": { schema: jobRequest } } } },
    responses: jsonResponses("The job.", jobSchema),
  },
  handle: async (context, c) => {
    const training = trainingOf(context);
    const job = await newJob(context, c, training);
    const maxActive = smallest(c.get("caller").meters, "trainingJobs");
    return c.json(jobJson(await training.runner.submit(job, maxActive)));
  },
};

/** @throws {AppError} model_not_found, file_not_found, insufficient_scope, unsupported_parameter, invalid_request. */
async function newJob(context: AppContext, c: RequestContext, training: Training): Promise<JobRecord> {
  const body = parseRequest(jobRequest, await readJson(c, context.limits.maxJsonBytes));
  await assertIsBase(context, c, body.model);
  const settings = settingsOf(body);
  const [trainingFile, validationFile] = (["training_file", "validation_file"] as const).map((param) => {
    const id = body[param];
    return id === null || id === undefined ? null : fileOf(training, c, id, param).id;
  });
  const id = newId("ftjob");
  const named = { id, tenant: c.get("tenant"), model: body.model, suffix: body.suffix ?? null };
  const adapterName = adapterNameOf(named);
  assertMayName(c.get("caller"), adapterName);
  return {
    ...named,
    adapterName,
    quota: quotaOf(c.get("caller")),
    state: "validating_files",
    created: unixNow(),
    finished: null,
    trainingFile: trainingFile ?? "", // the schema requires it
    validationFile: validationFile ?? null,
    seed: body.seed ?? randomInt(2 ** 31),
    settings,
    metadata: body.metadata ?? null,
    error: null,
    resultFiles: [],
    trainedTokens: 0,
    lastStep: 0,
    lastEvaluation: -1,
    totalSteps: null,
    finalLoss: null,
    evalLoss: null,
  };
}

async function assertIsBase(context: AppContext, c: RequestContext, model: string): Promise<void> {
  if (model === context.base.name) return;
  await refreshNamed(context, c.get("caller"), model);
  if (findAdapter(context, c.get("caller"), model) !== undefined)
    throw new AppError(
      "unsupported_parameter",
      `"model" is the adapter ${quote(model)}. Jobs begin with the base: "${context.base.name}".`,
      { param: "model" },
    );
  const message = `There is no model ${quote(model)} here. Jobs train adapters of "${context.base.name}".`;
  throw new AppError("model_not_found", message, { param: "model" });
}

const listRoute: Route = {
  method: "get",
  path: "/v1/fine_tuning/jobs",
  scope: "train",
  document: {
    summary: "All jobs",
    tags,
    request: { query: jobsQuery },
    responses: jsonResponses("The jobs, newest first.", listOf(jobSchema, "FineTuningJobList")),
  },
  handle: (context, c) => {
    const { store } = trainingOf(context);
    const { metadata, ...range } = parseRequest(jobsQuery, c.req.query());
    const wanted = metadataFilter(metadata, c.req.query());
    const page = pageOf(store.jobs(c.get("tenant")).filter(wanted), range);
    return c.json({ ...page, data: page.data.map(jobJson) });
  },
};

/**
 * OpenAI's filter of jobs: `metadata[key]=value`, of which all must hold, or `metadata=null`.
 * @throws {AppError} invalid_request.
 */
function metadataFilter(whole: string | undefined, query: Readonly<Record<string, string>>) {
  if (whole !== undefined && whole !== "null")
    throw invalid(`"metadata" is ${quote(whole)}, expected null or entries such as metadata[team]=shop.`, "metadata");
  const entries = Object.entries(query).flatMap(([name, value]) => {
    const key = /^metadata\[(.+)\]$/s.exec(name)?.[1];
    return key === undefined ? [] : [[key, value] as const];
  });
  return ({ metadata }: JobRecord): boolean =>
    (whole === undefined || Object.keys(metadata ?? {}).length === 0) &&
    entries.every(([key, value]) => Object.hasOwn(metadata ?? {}, key) && metadata?.[key] === value);
}

const getRoute: Route = {
  method: "get",
  path: "/v1/fine_tuning/jobs/:id",
  scope: "train",
  document: { summary: "One job", tags, request: { params }, responses: jsonResponses("The job.", jobSchema) },
  handle: (context, c) => c.json(jobJson(jobOf(trainingOf(context), c))),
};

const eventsRoute: Route = {
  method: "get",
  path: "/v1/fine_tuning/jobs/:id/events",
  scope: "train",
  document: {
    summary: "The events of a job",
    tags,
    request: { params, query: eventsQuery },
    responses: jsonResponses(
      "The events, newest first. With stream=true: server-sent events, oldest first.",
      listOf(eventSchema, "FineTuningEventList"),
    ),
  },
  handle: (context, c) => {
    const training = trainingOf(context);
    const job = jobOf(training, c);
    const { stream, ...range } = parseRequest(eventsQuery, c.req.query());
    if (stream === "true") return eventStream(training.store, job);
    const page = pageOf(training.store.events(job).toReversed(), range);
    return c.json({ ...page, data: page.data.map(eventJson) });
  },
};

const checkpointsRoute: Route = {
  method: "get",
  path: "/v1/fine_tuning/jobs/:id/checkpoints",
  scope: "train",
  document: {
    summary: "The adapters that a job has made",
    tags,
    request: { params, query: checkpointsQuery },
    responses: jsonResponses(
      "The adapters of a finished job, newest first.",
      listOf(checkpointSchema, "FineTuningCheckpointList"),
    ),
  },
  handle: (context, c) => {
    const job = jobOf(trainingOf(context), c);
    return c.json(pageOf(checkpointsJson(job), parseRequest(checkpointsQuery, c.req.query())));
  },
};

/** A change of a job's state. */
const changeRoute = (change: "cancel" | "pause" | "resume", summary: string): Route => ({
  method: "post",
  path: `/v1/fine_tuning/jobs/:id/${change}`,
  scope: "train",
  document: { summary, tags, request: { params }, responses: jsonResponses("The job.", jobSchema) },
  handle: async (context, c) => {
    const training = trainingOf(context);
    return c.json(jobJson(await training.runner[change](jobOf(training, c))));
  },
});

export const fineTuningRoutes: readonly Route[] = [
  createRoute,
  listRoute,
  getRoute,
  eventsRoute,
  checkpointsRoute,
  changeRoute("cancel", "Cancel a job"),
  changeRoute("pause", "Pause a job; its state is kept"),
  changeRoute("resume", "Continue a paused job"),
];
