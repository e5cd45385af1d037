/** GET /v1/models and /v1/models/{id}: the base, every adapter that fits it, and aliases of such adapters. */
import { z } from "@hono/zod-openapi";
import { AppError, quote } from "../../errors.ts";
import type { AdapterRecord } from "../../store/adapter-record.ts";
import type { AliasRecord } from "../../store/aliases/alias-record.ts";
import { listVisibleAliases } from "../../store/visible-names.ts";
import { listQuery, preconditionOf } from "../adapters/adapter-json.ts";
import { refreshAliases, refreshNamed, refreshTargets } from "../adapters/shared-names.ts";
import { adapterPages } from "../adapters/adapter-pages.ts";
import type { Caller } from "../../keys/caller.ts";
import type { AppContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../request/parse-request.ts";
import { deleteAdapter } from "../adapters/change-adapter.ts";
import { adapterNameIn, findAdapter, findAlias, isCompatible, maySeeAlias } from "../adapters/find-adapter.ts";
import { jsonResponses, type Route } from "../route.ts";

const modelSchema = z
  .object({
    id: z.string(),
    object: z.literal("model"),
    created: z.int(),
    owned_by: z.string(),
    root: z.string(),
    parent: z.string().nullable(),
    max_model_len: z.int().nullable(),
  })
  .openapi("Model");
const listSchema = z
  .object({ object: z.literal("list"), data: z.array(modelSchema), has_more: z.boolean() })
  .openapi("ModelList");

export const listModelsRoute: Route = {
  method: "get",
  path: "/v1/models",
  scope: "use",
  document: {
    summary: "The base, all compatible adapters and their aliases",
    tags: ["OpenAI"],
    request: { query: listQuery },
    responses: jsonResponses("The models: the base first, then the others in the order of their names.", listSchema),
  },
  handle: async (context, c) => {
    const { limit, after } = parseRequest(listQuery, c.req.query());
    const isFirstPage = after === undefined;
    const data = isFirstPage ? [modelJson(context, context.base.name, context.base.created)] : [];
    const cursor = after === context.base.name ? undefined : after;
    let hasMore = false;
    for await (const { name, created } of modelsAfter(context, c.get("caller"), cursor)) {
      hasMore = data.length === limit;
      if (hasMore) break;
      data.push(modelJson(context, name, created));
    }
    return c.json({ object: "list", data, has_more: hasMore });
  },
};

export const getModelRoute: Route = {
  method: "get",
  path: "/v1/models/:id{.+}", // names of bases may contain slashes
  scope: "use",
  document: {
    summary: "One model",
    tags: ["OpenAI"],
    request: { params: z.object({ id: z.string().openapi({ param: { name: "id", in: "path" } }) }) },
    responses: jsonResponses("The model.", modelSchema),
  },
  handle: async (context, c) => {
    const id = c.req.param("id") ?? "";
    await refreshNamed(context, c.get("caller"), adapterNameIn(context, id));
    const model = findModel(context, c.get("caller"), id);
    if (model) return c.json(model);
    const clean = id.replace(/\/{2,}/g, "/").replace(/^\/|\/$/g, "");
    const meant = findModel(context, c.get("caller"), clean) ? ` Did you mean GET /v1/models/${clean}?` : "";
    throw new AppError(
      "model_not_found",
      `There is no model ${quote(id)} here.${meant} List them with GET /v1/models.`,
      { param: "model" },
    );
  },
};

const deletedSchema = z
  .object({ id: z.string(), object: z.literal("model"), deleted: z.literal(true) })
  .openapi("ModelDeleted");

/** OpenAI's clients delete the models of their jobs here. */
export const deleteModelRoute: Route = {
  method: "delete",
  path: "/v1/models/:id{.+}",
  scope: "write",
  document: {
    summary: "Delete an adapter by its name as a model",
    tags: ["OpenAI"],
    request: { params: z.object({ id: z.string().openapi({ param: { name: "id", in: "path" } }) }) },
    responses: jsonResponses("The adapter is deleted. Running requests finish on it.", deletedSchema),
  },
  handle: async (context, c) => {
    const id = c.req.param("id") ?? "";
    if (id === context.base.name) throw invalid(`${quote(id)} is the base, which cannot be deleted.`, "model");
    const text = adapterNameIn(context, id);
    await refreshNamed(context, c.get("caller"), text);
    const record = findAdapter(context, c.get("caller"), text);
    if (!record)
      throw new AppError("model_not_found", `There is no model ${quote(id)} here. List them with GET /v1/models.`, {
        param: "model",
      });
    await deleteAdapter(context, c, { record, text }, preconditionOf);
    return c.json({ id, object: "model", deleted: true });
  },
};

function findModel(context: AppContext, caller: Caller, id: string): z.output<typeof modelSchema> | undefined {
  const { base } = context;
  if (id === base.name) return modelJson(context, id, base.created);
  const name = adapterNameIn(context, id);
  const alias = findAlias(context, caller, name);
  if (alias && isUsable(context, alias)) return modelJson(context, id, alias.created);
  const record = findAdapter(context, caller, name);
  return record && isCompatible(context, record) ? modelJson(context, id, record.created) : undefined;
}

/** The adapters that fit, and the aliases that have one of them, ordered by name, beginning after the name `after`. */
async function* modelsAfter(
  context: AppContext,
  caller: Caller,
  after: string | undefined,
): AsyncGenerator<AdapterRecord | AliasRecord, void, void> {
  await refreshAliases(context, caller);
  const seen = listVisibleAliases(context.store, caller.tenant).filter(
    (alias) => (after === undefined || alias.name > after) && maySeeAlias(caller, alias),
  );
  await refreshTargets(context, seen);
  const aliases = seen.filter((alias) => isUsable(context, alias));
  let next = 0;
  for await (const records of adapterPages(context, caller, after))
    for (const record of records) {
      for (let alias = aliases[next]; alias && alias.name < record.name; alias = aliases[++next]) yield alias;
      if (isCompatible(context, record)) yield record;
    }
  yield* aliases.slice(next);
}

/** Whether any of its targets can answer. */
function isUsable(context: AppContext, { tenant, targets }: AliasRecord): boolean {
  return targets.some(({ name, weight }) => {
    const record = weight > 0 ? context.store.namesOf(tenant).get(name) : undefined;
    return record !== undefined && isCompatible(context, record);
  });
}

function modelJson({ base, engine }: AppContext, id: string, created: number): z.output<typeof modelSchema> {
  return {
    id,
    object: "model",
    created,
    owned_by: "mosara",
    root: base.name,
    parent: id === base.name ? null : base.name,
    max_model_len: engine.limits()?.maxModelLen ?? null,
  };
}
