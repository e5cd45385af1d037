/**
 * The entry of the worker thread: it owns one tokenizer and one chat template and runs its jobs one after another.
 * It may be killed at any moment, because it keeps no state outside the model's directory.
 */
import { parentPort, workerData } from "node:worker_threads";
import { toWire } from "../../errors.ts";
import { encodeChat } from "../chat/chat.ts";
import { type ChatTemplate, chatTemplateOf } from "../chat/chat-template.ts";
import { readTextFiles, withTemplate } from "../files/text-files.ts";
import type { TextReply, TextRequest, TextWorkerData } from "./text-protocol.ts";
import { makeTokenizer, type Tokenizer } from "../tokenizer.ts";

const port = parentPort;
if (port === null) throw new Error("internal: text-worker runs only as a worker thread");

const send = (reply: TextReply, transfer: ArrayBuffer[] = []): void => port.postMessage(reply, transfer);

function run(request: TextRequest, tokenizer: Tokenizer, template: ChatTemplate | undefined): number[] {
  if (request.kind === "encode") return tokenizer.encode(request.text, { addSpecialTokens: request.addSpecialTokens });
  const onRendered = (): void => send({ kind: "prompt-rendered", id: request.id });
  return encodeChat(tokenizer, template, request.messages, request.options, onRendered);
}

try {
  const { dir, chatTemplate } = workerData as TextWorkerData;
  const files = withTemplate(await readTextFiles(dir), chatTemplate);
  const tokenizer = makeTokenizer(files.tokenizer, dir);
  const template = chatTemplateOf(files);
  port.on("message", (request: TextRequest) => {
    try {
      const ids = Uint32Array.from(run(request, tokenizer, template));
      send({ kind: "text-encoded", id: request.id, ids }, [ids.buffer]);
    } catch (error) {
      send({ kind: "job-failed", id: request.id, error: toWire(error) });
    }
  });
  send({ kind: "worker-ready" });
} catch (error) {
  send({ kind: "worker-failed", error: toWire(error) });
}
