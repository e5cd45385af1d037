/**
 * The tensors of a checkpoint, independent of its file format. Checks which of them the model needs, that each has the
 * right shape, and whether embedding and head are one matrix.
 */
import { AppError } from "../errors.ts";
import type { ModelConfig } from "../model/config/model-config.ts";
import { type RequiredTensor, requiredTensors } from "../model/required-tensors.ts";
import { EMBEDDING, LM_HEAD } from "../model/weight-names.ts";
import type { DType } from "../tensor/dtype.ts";
import { type HostTensor, bytesOf } from "../tensor/host-tensor.ts";

const FLOAT_DTYPES: readonly DType[] = ["float32", "float16", "bfloat16"];

export interface CheckpointTensor extends RequiredTensor {
  readonly dtype: DType;
}

export interface StoredEntry {
  /** A `DType`, or the file's own name of a type that is not a `DType`. */
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** The tensors in the files, under our names and in our layout. */
export interface StoredTensors {
  /** Name of the configuration in messages. */
  readonly configuration: string;
  has(name: string): boolean;
  /** Name of a tensor in the files, for messages. */
  foreignName(name: string): string;
  /** Shape in our layout; undefined where no tensor has that name. */
  entry(name: string): StoredEntry | undefined;
  read(name: string): Promise<HostTensor>;
}

/**
 * The model's tensors and, where an embedding is stored as the head, the stored name.
 * @throws {AppError} checkpoint_invalid, checkpoint_unsupported
 */
export async function resolveTensors(
  config: ModelConfig,
  stored: StoredTensors,
): Promise<{ sources: ReadonlyMap<string, string>; tensors: readonly CheckpointTensor[] }> {
  const sources = new Map<string, string>();
  const hasOwnHead = await ownHead(config, stored, sources);
  const tensors = requiredTensors(config, hasOwnHead).map((wanted): CheckpointTensor => {
    const entry = stored.entry(sources.get(wanted.name) ?? wanted.name);
    const foreign = stored.foreignName(wanted.name);
    if (!entry) throw invalid(`The checkpoint lacks the tensor ${foreign} [${wanted.shape.join(",")}].`);
    if (entry.shape.join() !== wanted.shape.join())
      throw invalid(
        `The tensor ${foreign} is stored as [${entry.shape.join(",")}], but ${stored.configuration} requires [${wanted.shape.join(",")}].`,
      );
    const dtype = FLOAT_DTYPES.find((one) => one === entry.dtype);
    if (dtype === undefined)
      throw new AppError(
        "checkpoint_unsupported",
        `The tensor ${foreign} is ${entry.dtype}; supported: ${FLOAT_DTYPES.join(", ")}.`,
      );
    return { ...wanted, dtype };
  });
  return { sources, tensors };
}

function invalid(message: string): AppError {
  return new AppError("checkpoint_invalid", message);
}

/**
 * Whether the LM head is a separate matrix, decided as in transformers 5. Tied means one matrix, stored as either of
 * the two. Two different stored matrices are not tied, even if the config states it.
 */
async function ownHead(config: ModelConfig, stored: StoredTensors, sources: Map<string, string>): Promise<boolean> {
  const hasHead = stored.has(LM_HEAD);
  if (!config.tiesEmbeddings) {
    if (!hasHead)
      throw invalid(`The checkpoint lacks ${LM_HEAD}, and ${stored.configuration} does not tie it to the embedding.`);
    return true;
  }
  if (!hasHead) return false;
  if (!stored.has(EMBEDDING)) {
    sources.set(EMBEDDING, LM_HEAD);
    return false;
  }
  const [embedding, head] = [await stored.read(EMBEDDING), await stored.read(LM_HEAD)];
  return embedding.dtype !== head.dtype || !sameBytes(embedding, head);
}

function sameBytes(a: HostTensor, b: HostTensor): boolean {
  return Buffer.from(bytesOf(a)).equals(bytesOf(b));
}
