/**
 * What the scripts of clients share: the server and its key (arguments), what the demo answers, and the report. A
 * script is run as `node client.mjs <url> <key>`. It prints one JSON object: by API, each feature with "ok", or with
 * what went wrong.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export const [, , URL_OF_SERVER, KEY] = process.argv;
export const BASE_URL = `${URL_OF_SERVER}/v1`;
export const EXPECTED = JSON.parse(readFileSync(new URL("../expected.json", import.meta.url), "utf8"));

/** Of the tool that the demo's adapter `tools` calls, and of one that it has no use for. */
export const OPENING_HOURS = {
  type: "object",
  properties: { day: { type: "string" } },
  required: ["day"],
  additionalProperties: false,
};
export const FORCED = {
  type: "object",
  properties: { place: { type: "string", enum: ["Paris", "Rome"] }, days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["place", "days"],
  additionalProperties: false,
};

export function assertForced({ place, days, ...others }) {
  assert.ok(["Paris", "Rome"].includes(place) && Number.isInteger(days), `place ${place}, days ${days}`);
  assert.deepEqual(others, {});
}

/** A schema whose answers are so long that a client which leaves is gone before their end. */
export const ENDLESS = {
  type: "object",
  properties: { text: { type: "string", minLength: 3000 } },
  required: ["text"],
  additionalProperties: false,
};

async function numAborted() {
  const response = await fetch(`${URL_OF_SERVER}/metrics`, { headers: { authorization: `Bearer ${KEY}` } });
  return Number(
    /^vllm:request_success_total\{[^}]*finished_reason="abort"[^}]*\} (\d+)/m.exec(await response.text())?.[1],
  );
}

/** Runs a request that its client breaks off, and waits until the server has counted it as such. */
export async function assertAborts(breakOff) {
  const before = await numAborted();
  await breakOff();
  for (let tries = 0; tries < 1000; tries++) {
    if ((await numAborted()) === before + 1) return;
    await sleep(10);
  }
  assert.fail("the server counts no aborted request");
}

/** @param isRight of the error that `ask` must end with */
export async function assertFails(ask, isRight) {
  try {
    await ask();
  } catch (error) {
    assert.ok(isRight(error), `another error: ${String(error)}`);
    return;
  }
  assert.fail("no error");
}

/** The stages of one answer's text, joined; there must be several. */
export async function joined(parts) {
  const texts = [];
  for await (const part of parts) if (part) texts.push(part);
  assert.ok(texts.length > 3, `only ${texts.length} pieces`);
  return texts.join("");
}

/**
 * Runs every feature, one after the other, and prints what came of it.
 * @param apis the features by the API that they go over
 */
export async function report(apis) {
  const results = {};
  for (const [api, features] of Object.entries(apis)) {
    results[api] = {};
    for (const [name, run] of Object.entries(features)) results[api][name] = await outcomeOf(run);
  }
  console.log(JSON.stringify(results));
  process.exit(0); // some clients hold connections
}

async function outcomeOf(run) {
  try {
    await run();
    return "ok";
  } catch (error) {
    return String(error?.stack ?? error).slice(0, 2000);
  }
}
