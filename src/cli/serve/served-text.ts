/**
 * The text side of a server: tokenizer, chat template and the formats of answers. A template from a file replaces the
 * model's own.
 */
import { readFile } from "node:fs/promises";
import type { ConfigOf } from "../../config/commands.ts";
import { AppError } from "../../errors.ts";
import type { Text } from "../../http/context.ts";
import { findAnswerFormats } from "../../http/completion/answer-format/answer-formats.ts";
import { textOf } from "../../http/worker-text.ts";
import { type TextFiles, readTextFiles, withTemplate } from "../../tokenizer/files/text-files.ts";
import { tokenizerInfo } from "../../tokenizer/files/tokenizer-info.ts";
import { parseJinja } from "../../jinja/jinja.ts";
import { createTextWorker } from "../../tokenizer/worker/text-worker-client.ts";
import type { Cleanup } from "../shared/cleanup.ts";

export interface ServedText {
  readonly files: TextFiles;
  readonly text: Text;
}

type TextFlags = Pick<ConfigOf<"serve">, "chatTemplate" | "toolCallParser" | "reasoningParser">;

/** @throws {AppError} usage for a template that cannot be read; checkpoint_invalid, checkpoint_unsupported. */
export async function openServedText(baseDir: string, flags: TextFlags, cleanup: Cleanup): Promise<ServedText> {
  const chatTemplate = flags.chatTemplate === null ? null : await readTemplate(flags.chatTemplate);
  const files = withTemplate(await readTextFiles(baseDir), chatTemplate);
  const worker = cleanup.use(await createTextWorker(baseDir, { files, chatTemplate }));
  const formats = findAnswerFormats(files.templates, worker.tokenizer, flags);
  return { files, text: textOf(worker, tokenizerInfo(files), formats) };
}

async function readTemplate(path: string): Promise<string> {
  try {
    const source = await readFile(path, "utf8");
    parseJinja(source);
    return source;
  } catch (cause) {
    throw new AppError("usage", `--chat-template ${path} cannot be used: ${(cause as Error).message}`, { cause });
  }
}
