/**
 * Sequences → tensors → session → logits. A prefill step runs one chunk of one sequence on that row's own cache; a
 * decode step runs one token of every decoding row. Knows neither sampling nor scheduling.
 */
import {
  HIDDEN_ROWS,
  HIDDEN_STATES,
  INPUT_IDS,
  LAST_POSITIONS,
  LOGIT_ROWS,
  POSITION_IDS,
  TOTAL_LENGTH,
} from "../../model/ports.ts";
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
import type {
  DecodeRow,
  DraftModel,
  Grammars,
  HiddenStep,
  ModelRunner,
  PrefillStep,
  PrefixReuse,
} from "../contracts.ts";

export interface RunnerParts {
  /** Closed with the runner. */
  readonly device: Omit<OpenDevice, "cache" | "keepFeeds" | "facts">;
  readonly kv: BatchRows;
  /** null: a merged engine. */
  readonly adapters: ReadyAdapters | null;
  /** Makes `adapters` ready; closed with the runner. */
  readonly loader?: AdapterLoader | null;
  readonly prefixes?: PrefixReuse | null;
  /** Closed with the runner. */
  readonly grammars?: (Grammars & AsyncDisposable) | null;
  /** Closed with the runner. */
  readonly draftModel?: DraftModel | null;
  /** null: the graph has no adapter inputs. */
  readonly feeds: StepFeeds | null;
  readonly vocabSize: number;
  readonly maxModelLen: number;
}

const int64 = (values: readonly number[], shape: readonly number[]): RuntimeTensor =>
  runtimeTensor("int64", BigInt64Array.from(values, BigInt), shape);
const int32 = (values: readonly number[], shape: readonly number[]): RuntimeTensor =>
  runtimeTensor("int32", Int32Array.from(values), shape);

const NO_ROWS = int64([], [0]);

/** The parts of the rows that a step reads. */
interface WantedRows {
  readonly feeds: Record<string, RuntimeTensor>;
  readonly fetches: Record<string, RuntimeTensor | null>;
  /** The part of the logits that each row needs, for the first rows. */
  readonly needs: readonly RowNeed[];
  /** Includes the rows that pad the run. */
  readonly numLogitRows: number;
}

interface StepResults {
  readonly results: Record<string, RuntimeTensor>;
  /** The first rows of the logits, one for each need. */
  readonly rowsOf: () => LogitRows;
}

export class SessionRunner implements ModelRunner<AdapterRow> {
  readonly maxModelLen: number;
  readonly vocabSize: number;
  readonly kv: BatchRows;
  readonly adapters: ReadyAdapters | null;
  readonly prefixes: PrefixReuse | null;
  readonly grammars: (Grammars & AsyncDisposable) | null;
  readonly draftModel: DraftModel | null;
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
    this.grammars = parts.grammars ?? null;
    this.draftModel = parts.draftModel ?? null;
    this.#feeds = parts.feeds;
    this.#loader = parts.loader ?? null;
    this.vocabSize = parts.vocabSize;
    this.maxModelLen = parts.maxModelLen;
    this.#takesPositions = this.#session.inputNames.includes(POSITION_IDS.name);
  }

  async prefill(step: PrefillStep<AdapterRow>): Promise<LogitRows> {
    const { logitPositions, need = WHOLE } = step;
    // The vocabulary projection of an odd number of rows uses another kernel for the last row. The padding repeats that
    // row.
    const wanted = padded(logitPositions, this.kv.paddedRows(logitPositions.length));
    const { rowsOf } = await this.#prefill(step, {
      feeds: { [LOGIT_ROWS.name]: int64(wanted, [wanted.length]), [HIDDEN_ROWS.name]: NO_ROWS },
      fetches: {},
      needs: logitPositions.map(() => need),
      numLogitRows: wanted.length,
    });
    return rowsOf();
  }

  async prefillHidden(step: HiddenStep<AdapterRow>): Promise<Float32Array> {
    const { hiddenPositions } = step;
    const { results } = await this.#prefill(step, {
      feeds: { [LOGIT_ROWS.name]: NO_ROWS, [HIDDEN_ROWS.name]: int64(hiddenPositions, [hiddenPositions.length]) },
      fetches: hiddenPositions.length > 0 ? { [HIDDEN_STATES.name]: null } : {},
      needs: [],
      numLogitRows: 0,
    });
    return (results[HIDDEN_STATES.name]?.data as Float32Array | undefined) ?? new Float32Array(0);
  }

  async #prefill(
    { id, past, tokenIds, adapter }: Omit<PrefillStep<AdapterRow>, "logitPositions">,
    wanted: WantedRows,
  ): Promise<StepResults> {
    const row = this.kv.rowOf(id);
    const length = past + tokenIds.length;
    this.kv.extend(row, length);
    this.kv.allocate(row, 1, length);
    const numTokens = tokenIds.length;
    const positions = Array.from({ length: numTokens }, (_, i) => past + i);
    const feeds = {
      ...wanted.feeds,
      [INPUT_IDS.name]: int64([...tokenIds], [1, numTokens]),
      [LAST_POSITIONS.name]: int32([length - 1], [1]),
      [TOTAL_LENGTH.name]: int32([length], []),
      ...(this.#takesPositions ? { [POSITION_IDS.name]: int64(positions, [1, numTokens]) } : {}),
      ...(await this.#feeds?.single(adapter)),
    };
    return this.#run({ ...wanted, feeds }, await this.kv.view(row, 1, length), [length - 1]);
  }

  async decode(rows: readonly DecodeRow<AdapterRow>[]): Promise<LogitRows> {
    const numRows = this.kv.paddedRows(rows.length);
    rows.forEach(({ past }, row) => this.kv.extend(row, past + 1));
    const ids = padded(
      rows.map((row) => row.tokenId),
      numRows,
    );
    // A row that only pads the batch is written one position after the used ones. Nothing reads that position before it
    // is written again.
    const lastPositions = Array.from({ length: numRows }, (_, row) => rows[row]?.past ?? this.kv.paddingPosition(row));
    this.kv.allocate(0, numRows, Math.max(...lastPositions) + 1);
    const everyRow = Array.from({ length: numRows }, (_, row) => row);
    const feeds = {
      [INPUT_IDS.name]: int64(ids, [numRows, 1]),
      [LAST_POSITIONS.name]: int32(lastPositions, [numRows]),
      [TOTAL_LENGTH.name]: int32([Math.max(...lastPositions) + 1], []),
      [LOGIT_ROWS.name]: int64(everyRow, [numRows]),
      [HIDDEN_ROWS.name]: NO_ROWS,
      ...(this.#takesPositions ? { [POSITION_IDS.name]: int64(lastPositions, [numRows, 1]) } : {}),
      ...(await this.#feeds?.batch(everyRow.map((row) => rows[row]?.adapter ?? null))),
    };
    const needs = rows.map(({ need = WHOLE }) => need);
    const view = await this.kv.view(0, numRows, Math.max(...lastPositions) + 1);
    const lasts = lastPositions.slice(0, rows.length);
    const { rowsOf } = await this.#run({ feeds, fetches: {}, needs, numLogitRows: numRows }, view, lasts);
    return rowsOf();
  }

  async #run(wanted: WantedRows, cache: KvView, lastPositions: readonly number[]): Promise<StepResults> {
    const logits = await this.#device.reader.view(wanted.needs, wanted.numLogitRows);
    const results = await this.#session.run(
      { ...wanted.feeds, ...cache.feeds, ...logits.feeds },
      { ...wanted.fetches, ...cache.fetches, ...logits.fetches },
    );
    cache.keep?.(results, lastPositions);
    return { results, rowsOf: () => logits.rowsOf(results) };
  }

  deviceBytes(): DeviceBytes | null {
    return this.#device.bytes();
  }

  async close(): Promise<void> {
    await this.#device[Symbol.asyncDispose]();
    await this.#loader?.[Symbol.asyncDispose]();
    await this.grammars?.[Symbol.asyncDispose]();
    await this.draftModel?.close();
  }
}

/** `values` with the last one repeated up to `length`; empty stays empty. */
function padded(values: readonly number[], length: number): readonly number[] {
  const last = values.at(-1);
  return last === undefined ? [] : [...values, ...Array.from({ length: length - values.length }, () => last)];
}
