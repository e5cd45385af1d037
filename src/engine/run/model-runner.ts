/**
 * Sequences → tensors → session → logits. A prefill step runs one chunk of one sequence on that row's own cache; a decode step
 * runs one token of every decoding row. Knows neither sampling nor scheduling.
 */
import { INPUT_IDS, LAST_POSITIONS, LOGIT_ROWS, POSITION_IDS, TOTAL_LENGTH } from "../../model/ports.ts";
import { type RuntimeTensor, type Session, runtimeTensor } from "../../runtime/ort.ts";
import type { ReadyAdapters } from "../adapters/ready-adapters.ts";
import type { AdapterLoader } from "../adapters/adapter-loader.ts";
import type { AdapterRow } from "../adapters/adapter-row.ts";
import type { KvView } from "../kv/kv-cache.ts";
import type { BatchRows } from "../kv/batch-rows.ts";
import { type LogitRows, type RowNeed, WHOLE } from "../sampling/logit-rows.ts";
import type { OpenDevice } from "./open-device.ts";
import type { DeviceBytes } from "../protocol.ts";
import type { StepFeeds } from "../adapters/step-feeds.ts";
import type { DecodeRow, ModelRunner, PrefillStep, PrefixReuse } from "../contracts.ts";

export interface RunnerParts {
  /** Closed with the runner. */
  readonly device: Omit<OpenDevice, "cache" | "keepFeeds" | "facts">;
  readonly kv: BatchRows;
  /** null: a merged engine. */
  readonly adapters: ReadyAdapters | null;
  /** Makes `adapters` ready; closed with the runner. */
  readonly loader?: AdapterLoader | null;
  readonly prefixes?: PrefixReuse | null;
  /** null: the graph has no adapter inputs. */
  readonly feeds: StepFeeds | null;
  readonly vocabSize: number;
  readonly maxModelLen: number;
}

const int64 = (values: readonly number[], shape: readonly number[]): RuntimeTensor =>
  runtimeTensor("int64", BigInt64Array.from(values, BigInt), shape);
const int32 = (values: readonly number[], shape: readonly number[]): RuntimeTensor =>
  runtimeTensor("int32", Int32Array.from(values), shape);

export class SessionRunner implements ModelRunner<AdapterRow> {
  readonly maxModelLen: number;
  readonly vocabSize: number;
  readonly kv: BatchRows;
  readonly adapters: ReadyAdapters | null;
  readonly prefixes: PrefixReuse | null;
  readonly #session: Session;
  readonly #device: RunnerParts["device"];
  readonly #feeds: StepFeeds | null;
  readonly #loader: AdapterLoader | null;
  readonly #takesPositions: boolean;

  constructor(parts: RunnerParts) {
    this.#session = parts.device.session;
    this.#device = parts.device;
    this.kv = parts.kv;
    this.adapters = parts.adapters;
    this.prefixes = parts.prefixes ?? null;
    this.#feeds = parts.feeds;
    this.#loader = parts.loader ?? null;
    this.vocabSize = parts.vocabSize;
    this.maxModelLen = parts.maxModelLen;
    this.#takesPositions = this.#session.inputNames.includes(POSITION_IDS.name);
  }

  async prefill(step: PrefillStep<AdapterRow>): Promise<LogitRows> {
    const { id, past, tokenIds, logitPositions, need = WHOLE } = step;
    const row = this.kv.rowOf(id);
    const length = past + tokenIds.length;
    this.kv.extend(row, length);
    this.kv.allocate(0, length);
    const numTokens = tokenIds.length;
    // The vocabulary projection of an odd number of rows uses another kernel for the last row. The padding repeats that row.
    const wanted = padded(logitPositions, this.kv.paddedRows(logitPositions.length));
    const positions = Array.from({ length: numTokens }, (_, i) => past + i);
    return this.#run(
      {
        [INPUT_IDS.name]: int64([...tokenIds], [1, numTokens]),
        [LAST_POSITIONS.name]: int32([length - 1], [1]),
        [TOTAL_LENGTH.name]: int32([length], []),
        [LOGIT_ROWS.name]: int64(wanted, [wanted.length]),
        ...(this.#takesPositions ? { [POSITION_IDS.name]: int64(positions, [1, numTokens]) } : {}),
        ...(await this.#feeds?.single(step.adapter)),
      },
      await this.kv.cache.view(row, 1, length),
      [length - 1],
      logitPositions.map(() => need),
      wanted.length,
    );
  }

  async decode(rows: readonly DecodeRow<AdapterRow>[]): Promise<LogitRows> {
    const numRows = this.kv.paddedRows(rows.length);
    rows.forEach(({ past }, row) => this.kv.extend(row, past + 1));
    const ids = padded(
      rows.map((row) => row.tokenId),
      numRows,
    );
    // A row that only pads the batch is written one position after the used ones. Nothing reads that position before it is written again.
    const lastPositions = Array.from({ length: numRows }, (_, row) => rows[row]?.past ?? this.kv.lengthOf(row));
    this.kv.allocate(numRows, Math.max(...lastPositions) + 1);
    return this.#run(
      {
        [INPUT_IDS.name]: int64(ids, [numRows, 1]),
        [LAST_POSITIONS.name]: int32(lastPositions, [numRows]),
        [TOTAL_LENGTH.name]: int32([Math.max(...lastPositions) + 1], []),
        [LOGIT_ROWS.name]: int64(
          Array.from({ length: numRows }, (_, row) => row),
          [numRows],
        ),
        ...(this.#takesPositions ? { [POSITION_IDS.name]: int64(lastPositions, [numRows, 1]) } : {}),
        ...(await this.#feeds?.batch(Array.from({ length: numRows }, (_, row) => rows[row]?.adapter ?? null))),
      },
      await this.kv.cache.view(0, numRows, Math.max(...lastPositions) + 1),
      lastPositions.slice(0, rows.length),
      rows.map(({ need = WHOLE }) => need),
      numRows,
    );
  }

  /** Runs the graph. Returns the first rows of its logits, one for each need. @param numLogitRows includes the rows that pad the run */
  async #run(
    feeds: Record<string, RuntimeTensor>,
    cache: KvView,
    lastPositions: readonly number[],
    needs: readonly RowNeed[],
    numLogitRows: number,
  ): Promise<LogitRows> {
    const logits = await this.#device.reader.view(needs, numLogitRows);
    const results = await this.#session.run(
      { ...feeds, ...cache.feeds, ...logits.feeds },
      { ...cache.fetches, ...logits.fetches },
    );
    cache.keep?.(results, lastPositions);
    return logits.rowsOf(results);
  }

  deviceBytes(): DeviceBytes | null {
    return this.#device.bytes();
  }

  async close(): Promise<void> {
    await this.#device[Symbol.asyncDispose]();
    await this.#loader?.[Symbol.asyncDispose]();
  }
}

/** `values` with the last one repeated up to `length`; empty stays empty. */
function padded(values: readonly number[], length: number): readonly number[] {
  const last = values.at(-1);
  return last === undefined ? [] : [...values, ...Array.from({ length: length - values.length }, () => last)];
}
