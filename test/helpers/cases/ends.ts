/** Which tokens end an answer of a served checkpoint, and what is said where none does. */
import { expect } from "vitest";
import { type CheckpointSpec, writeCaseCheckpoint } from "../models/case-checkpoint.ts";
import { complete, mosara, send, startServer, tempDir } from "../server.ts";

interface EndsCase {
  readonly checkpoint: CheckpointSpec;
  readonly right: {
    /** Every other id of the vocabulary that the case asks about ends nothing. */
    readonly ends: readonly number[];
    readonly others: readonly number[];
  };
}

interface ChatAnswer {
  readonly choices: readonly { readonly finish_reason: string; readonly token_ids: readonly number[] }[];
}

const MAX_TOKENS = 3;

export async function check(value: unknown): Promise<void> {
  const { checkpoint, right } = value as EndsCase;
  const dir = writeCaseCheckpoint(checkpoint);
  const flags = ["--weights", "float32", "--cache", tempDir(), "--served-model-name", "base"];
  await using server = await startServer(["--model", dir, ...flags]);
  for (const id of [...right.ends, ...right.others]) {
    const fields = { max_tokens: MAX_TOKENS, temperature: 0, logit_bias: { [id]: 100 }, return_token_ids: true };
    const isEnd = right.ends.includes(id);
    const wanted = {
      finish_reason: isEnd ? "stop" : "length",
      token_ids: Array.from({ length: isEnd ? 1 : MAX_TOKENS }, () => id),
    };
    const text = await complete(server.url, { model: "base", prompt: [3, 4], ignore_eos: false, ...fields });
    expect(text.json.choices[0], `completion of ${id}`).toMatchObject(wanted);
    const messages = [{ role: "user", content: "hi" }];
    const body = { model: "base", messages, ...fields };
    const chat = await send<ChatAnswer>(`${server.url}/v1/chat/completions`, "POST", body);
    expect(chat.json.choices[0], `chat answer of ${id}`).toMatchObject(wanted);
  }
  const isSaid = /no end token is named/;
  if (right.ends.length === 0) expect(server.printed.stderr.match(new RegExp(isSaid, "g"))).toHaveLength(2);
  else expect(server.printed.stderr).not.toMatch(isSaid);
  const { stdout } = await mosara("inspect", dir, "--json");
  const { endTokens } = JSON.parse(stdout) as { endTokens: readonly { id: number }[] };
  expect(endTokens.map(({ id }) => id)).toEqual(right.ends);
}
