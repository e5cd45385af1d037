/** The messages between the text worker and its owner. */
import type { WireError } from "../../errors.ts";
import type { ChatMessage } from "../chat/chat-message.ts";
import type { RenderOptions } from "../chat/chat-template.ts";

/** The data that a worker starts with. */
export interface TextWorkerData {
  readonly dir: string;
  /** Source of the default chat template; null: the directory's. */
  readonly chatTemplate: string | null;
}

export type TextJob =
  | { readonly kind: "encode"; readonly text: string; readonly addSpecialTokens: boolean }
  | { readonly kind: "encode-chat"; readonly messages: readonly ChatMessage[]; readonly options: RenderOptions };

export type TextRequest = TextJob & { readonly id: number };

export type TextReply =
  | { readonly kind: "worker-ready" }
  | { readonly kind: "worker-failed"; readonly error: WireError }
  /** The template is rendered. Encoding follows and has its own time limit. */
  | { readonly kind: "prompt-rendered"; readonly id: number }
  | { readonly kind: "text-encoded"; readonly id: number; readonly ids: Uint32Array<ArrayBuffer> }
  | { readonly kind: "job-failed"; readonly id: number; readonly error: WireError };
