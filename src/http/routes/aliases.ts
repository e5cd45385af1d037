/** The routes of aliases: list, one, put, delete, promote a target, roll back. */
import { z } from "@hono/zod-openapi";
import { type AliasRecord, aliasTag, targetText } from "../../store/aliases/alias-record.ts";
import type { AliasChange } from "../../store/aliases/alias-change.ts";
import { assertAdapterName } from "../../store/adapter-record.ts";
import { listVisibleAliases } from "../../store/visible-names.ts";
import { etagOf, matchesTag, nameParameter, ownerQuery, preconditionOf } from "../adapters/adapter-json.ts";
import { maySeeAlias } from "../adapters/find-adapter.ts";
import { requestFacts } from "../adapters/log-change.ts";
import { aliasWriterOf, refreshAliases, refreshTargets } from "../adapters/shared-names.ts";
import { aliasOwner, assertMayChange, assertMayName, existingAlias } from "../adapters/owner.ts";
import { aliasJson, aliasRequest, aliasSchema, resolvedTarget, ruleOf, aliasTargets } from "../aliases/alias-json.ts";
import type { AppContext, RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { parseRequest } from "../request/parse-request.ts";
import { readJson } from "../request/read-body.ts";
import { jsonResponses, type Route } from "../route.ts";

const MAX_BODY_BYTES = 65_536;
const tags = ["Aliases"];
const listSchema = z.object({ object: z.literal("list"), data: z.array(aliasSchema) }).openapi("AliasList");
const deletedSchema = z
  .object({ id: z.string(), object: z.literal("alias"), deleted: z.literal(true) })
  .openapi("AliasDeleted");
const promoteRequest = z
  .strictObject({
    target: z.string().max(300).openapi({ description: "An adapter, which then answers every request." }),
  })
  .openapi("Promote");
const emptyRequest = z.strictObject({}).openapi("AliasRollback");
const request = { params: nameParameter, query: ownerQuery };
const jsonBody = (schema: z.ZodType) => ({ required: true, content: { "application/json": { schema } } });

const listRoute: Route = {
  method: "get",
  path: "/v1/aliases",
  scope: "use",
  document: {
    summary: "All aliases",
    tags,
    responses: jsonResponses("The aliases, in the order of their names.", listSchema),
  },
  handle: async (context, c) => {
    const caller = c.get("caller");
    await refreshAliases(context, caller);
    const seen = listVisibleAliases(context.store, caller.tenant).filter((alias) => maySeeAlias(caller, alias));
    await refreshTargets(context, seen);
    return c.json({ object: "list", data: seen.map((alias) => aliasJson(context, alias)) });
  },
};

const getRoute: Route = {
  method: "get",
  path: "/v1/aliases/:name",
  scope: "use",
  document: { summary: "One alias", tags, request, responses: jsonResponses("The alias.", aliasSchema) },
  handle: async (context, c) => {
    const alias = await existingAlias(context, c, nameOf(c));
    const etag = etagOf(aliasTag(alias));
    c.header("etag", etag);
    return matchesTag(c.req.header("if-none-match"), etag) ? c.body(null, 304) : c.json(aliasJson(context, alias));
  },
};

const putRoute: Route = {
  method: "put",
  path: "/v1/aliases/:name",
  scope: "write",
  document: {
    summary: "Make or replace an alias",
    tags,
    request: { ...request, body: jsonBody(aliasRequest) },
    responses: {
      ...jsonResponses("The alias was replaced.", aliasSchema),
      201: { description: "The alias is new.", content: { "application/json": { schema: aliasSchema } } },
    },
  },
  handle: async (context, c) => {
    const name = nameOf(c);
    if (name === context.base.name)
      throw invalid(`"${name}" is the name of the served model. Choose another name.`, "name");
    const caller = c.get("caller");
    assertMayName(caller, name);
    const owner = await aliasOwner(context, c, name);
    const { targets: body, rule } = parseRequest(aliasRequest, await readJson(c, MAX_BODY_BYTES));
    const targets = await aliasTargets(context, caller, owner, body);
    for (const target of targets) assertMayName(caller, target.name);
    const before = context.store.aliasesOf(owner).get(name);
    const change: AliasChange = { targets, rule: rule ? ruleOf(rule) : null };
    const alias = await aliasWriterOf(context, owner, before).put(
      name,
      change,
      preconditionOf(c, before && aliasTag(before)),
    );
    noteChange(context, c, { alias, before, change: before ? "replaced" : "created" });
    return c.json(aliasJson(context, alias), before ? 200 : 201);
  },
};

const deleteRoute: Route = {
  method: "delete",
  path: "/v1/aliases/:name",
  scope: "write",
  document: {
    summary: "Delete an alias",
    tags,
    request,
    responses: jsonResponses("The alias is deleted. Its adapters stay.", deletedSchema),
  },
  handle: async (context, c) => {
    const alias = await changeable(context, c);
    await aliasWriterOf(context, alias.tenant, alias).delete(alias.name, preconditionOf(c, aliasTag(alias)));
    logAlias(context, c, { alias: alias.name, owner: alias.tenant, change: "deleted", from: shown(alias) });
    return c.json({ id: alias.name, object: "alias", deleted: true });
  },
};

const promoteRoute: Route = {
  method: "post",
  path: "/v1/aliases/:name/promote",
  scope: "write",
  document: {
    summary: "Let one target answer every request",
    tags,
    request: { ...request, body: jsonBody(promoteRequest) },
    responses: jsonResponses("The alias, which has this target alone.", aliasSchema),
  },
  handle: async (context, c) => {
    const before = await changeable(context, c);
    const body = parseRequest(promoteRequest, await readJson(c, MAX_BODY_BYTES));
    const caller = c.get("caller");
    const target = { ...(await resolvedTarget(context, caller, before.tenant, body.target)), weight: 1 };
    assertMayName(caller, target.name);
    return await changed(context, c, { before, change: "promoted", next: () => ({ targets: [target] }) });
  },
};

const rollbackRoute: Route = {
  method: "post",
  path: "/v1/aliases/:name/rollback",
  scope: "write",
  document: {
    summary: "Restore the targets before the last change",
    tags,
    request: { ...request, body: jsonBody(emptyRequest) },
    responses: jsonResponses("The alias with its previous targets.", aliasSchema),
  },
  handle: async (context, c) => {
    const before = await changeable(context, c);
    parseRequest(emptyRequest, await readJson(c, MAX_BODY_BYTES));
    const next = ({ previous, name }: AliasRecord): AliasChange => {
      if (previous) return { targets: previous };
      throw invalid(`The targets of "${name}" have never changed, so there is nothing to restore.`, "name");
    };
    return await changed(context, c, { before, change: "rolled_back", next });
  },
};

interface Step {
  readonly before: AliasRecord;
  readonly change: "promoted" | "rolled_back";
  readonly next: (before: AliasRecord) => AliasChange;
}

/** Changes an alias and answers with it. */
async function changed(context: AppContext, c: RequestContext, { before, change, next }: Step): Promise<Response> {
  const alias = await aliasWriterOf(context, before.tenant, before).change(
    before.name,
    preconditionOf(c, aliasTag(before)),
    next,
  );
  noteChange(context, c, { alias, before, change });
  return c.json(aliasJson(context, alias));
}

function noteChange(
  context: AppContext,
  c: RequestContext,
  { alias, before, change }: { alias: AliasRecord; before: AliasRecord | undefined; change: string },
): void {
  c.header("etag", etagOf(aliasTag(alias)));
  const from = before && shown(before);
  logAlias(context, c, { alias: alias.name, owner: alias.tenant, change, from, to: shown(alias) });
}

function logAlias({ log }: AppContext, c: RequestContext, facts: object): void {
  log.info({ ...facts, ...requestFacts(c) }, "alias");
}

/** Weights by targets. */
function shown({ targets }: AliasRecord): Readonly<Record<string, number>> {
  return Object.fromEntries(targets.map((target) => [targetText(target), target.weight]));
}

/** @throws {AppError} alias_not_found, insufficient_scope, invalid_request */
async function changeable(context: AppContext, c: RequestContext): Promise<AliasRecord> {
  const alias = await existingAlias(context, c, nameOf(c));
  assertMayChange(c.get("caller"), alias);
  return alias;
}

function nameOf(c: RequestContext): string {
  const name = c.req.param("name") ?? "";
  assertAdapterName(name);
  return name;
}

export const aliasRoutes: readonly Route[] = [listRoute, getRoute, putRoute, deleteRoute, promoteRoute, rollbackRoute];
