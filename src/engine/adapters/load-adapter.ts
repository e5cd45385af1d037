/** Loads an adapter's file as a row of the graph's inputs: read, decode, check against the base, lay out. Knows no threads. */
import { type BaseSignature, assertFits } from "../../adapter/adapter.ts";
import { decodeAdapter } from "../../adapter/adapter-file.ts";
import { AppError } from "../../errors.ts";
import type { AdapterLayout } from "../../model/adapter-layout.ts";
import type { AdapterContents } from "../../store/adapter-contents.ts";
import type { AdapterRef } from "../protocol.ts";
import { type AdapterRow, layOutAdapter } from "./adapter-row.ts";

export interface LoadOptions {
  readonly layout: AdapterLayout;
  readonly signature: BaseSignature;
  /** Highest rank of SARA and LoRA targets that is served live. */
  readonly maxLiveRank: number;
}

/** @throws {AppError} adapter_not_found, adapter_invalid, adapter_incompatible, not_live. */
export function loadAdapter(
  ref: AdapterRef,
  contents: Pick<AdapterContents, "read">,
  { layout, signature, maxLiveRank }: LoadOptions,
): AdapterRow {
  const bytes = ref.inlineBytes ?? contents.read(ref.generation);
  if (!bytes)
    throw new AppError(
      "adapter_not_found",
      `The adapter's content ${ref.generation} is no longer in the store. Upload it again.`,
    );
  const adapter = decodeAdapter(bytes);
  assertFits(adapter, signature);
  return layOutAdapter(ref.generation, adapter, layout, maxLiveRank);
}
