/** Responses that the server keeps, by OpenAI's own SDK: continued, read, listed, deleted, and forgotten. */
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import {
  test,
  client,
  reopen,
  body,
  promptText,
  errorOf,
  eventsOf,
  useResponses,
} from "../../helpers/http/responses.ts";

useResponses();

describe("a response that is kept", () => {
  it("is continued by its id, whole and streamed, without its instructions", async () => {
    const first = await client.responses.create({ ...body, instructions: "be brief", max_output_tokens: 4 });
    const second = await client.responses.create({ ...body, input: "more", previous_response_id: first.id });
    const prompt = `<user>hi\n<assistant>${first.output_text}\n<user>more\n<assistant>`;
    expect(promptText()).toBe(prompt);
    const [last] = (await eventsOf({ input: "yet", previous_response_id: second.id })).slice(-1);
    expect(promptText()).toBe(`${prompt}${second.output_text}\n<user>yet\n<assistant>`);
    const id = last?.type === "response.incomplete" ? last.response.id : "";
    expect((await client.responses.retrieve(id)).previous_response_id).toBe(second.id);
  });

  it("is referred to by its items", async () => {
    const first = await client.responses.create({ ...body, max_output_tokens: 4 });
    const input = [
      { type: "item_reference" as const, id: first.output[0]?.id ?? "" },
      { role: "user" as const, content: "more" },
    ];
    await client.responses.create({ ...body, input });
    expect(promptText()).toBe(`<assistant>${first.output_text}\n<user>more\n<assistant>`);
    expect(await errorOf({ input: [{ type: "item_reference", id: "msg_x" }] })).toEqual([
      404,
      "response_not_found",
      "input.0",
    ]);
  });

  it("is read, listed and deleted", async () => {
    const first = await client.responses.create({ ...body, max_output_tokens: 4 });
    const second = await client.responses.create({ ...body, input: "more", previous_response_id: first.id });
    expect(await client.responses.retrieve(second.id)).toEqual(second);
    const asc = await client.responses.inputItems.list(second.id, { order: "asc" });
    expect(asc.data).toMatchObject([
      { type: "message", role: "user", content: [{ type: "input_text", text: "hi" }] },
      { type: "message", role: "assistant" },
      { type: "message", role: "user", content: [{ type: "input_text", text: "more" }] },
    ]);
    const pages: unknown[] = [];
    for await (const item of client.responses.inputItems.list(second.id, { limit: 2 })) pages.push(item);
    expect(pages).toEqual(asc.data.toReversed());
    await client.responses.delete(second.id);
    await expect(client.responses.retrieve(second.id)).rejects.toMatchObject({
      status: 404,
      code: "response_not_found",
    });
    await expect(client.responses.delete(second.id)).rejects.toMatchObject({ status: 404 });
    expect((await client.responses.retrieve(first.id)).id).toBe(first.id);
  });

  it("is not kept with store false, nor by a server that keeps none", async () => {
    const response = await client.responses.create({ ...body, store: false });
    const { id } = response;
    expect(response).toMatchObject({ store: false });
    expect(await errorOf({ previous_response_id: id })).toEqual([404, "response_not_found", "previous_response_id"]);
    await reopen({ responseStoreBytes: 0 });
    expect(await client.responses.create(body)).toMatchObject({ store: false });
    expect(await errorOf({ previous_response_id: id })).toEqual([400, "unsupported_parameter", "previous_response_id"]);
  });

  it("does not exist for another tenant", async () => {
    await reopen({
      keys: [
        { tenant: "acme", key: "secret" },
        { tenant: "globex", key: "other" },
      ],
    });
    const { id, output } = await client.responses.create(body);
    const other = new OpenAI({ apiKey: "other", baseURL: client.baseURL, maxRetries: 0 });
    await expect(other.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    await expect(other.responses.delete(id)).rejects.toMatchObject({ status: 404 });
    await expect(other.responses.create({ ...body, previous_response_id: id })).rejects.toMatchObject({ status: 404 });
    const input = [{ type: "item_reference" as const, id: output[0]?.id ?? "" }];
    await expect(other.responses.create({ ...body, input })).rejects.toMatchObject({ status: 404 });
    expect((await client.responses.retrieve(id)).id).toBe(id);
  });

  it("gives way to later ones when the memory is full", async () => {
    await reopen({ responseStoreBytes: 8192 });
    const ids: string[] = [];
    for (let i = 0; i < 20; i++) ids.push((await client.responses.create(body)).id);
    const kept = ids.filter((id) => test.context.responses.get("default", id) !== undefined);
    expect(kept.length).toBeGreaterThan(1);
    expect(kept).toEqual(ids.slice(-kept.length));
    expect(kept.length).toBeLessThan(20);
  });
});
