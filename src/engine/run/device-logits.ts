/**
 * Rows of logits in a device's memory. Token ids or a few candidates are copied to the host. Whole rows are copied only
 * on request.
 */
import { sampleModel } from "../../device-graph/sample-graph.ts";
import {
  BEST_IDS,
  INVERSE_TEMPERATURES,
  ROW_SUMS,
  type SampleGraph,
  UNIT_WEIGHT_SUMS,
  WANTED_ROWS,
  WEIGHT_SUMS,
  candidatePorts,
  logitsPort,
  wantedLogitsPort,
} from "../../model/ports.ts";
import {
  type RuntimeTensor,
  type Session,
  type SessionOptions,
  openSession,
  runtimeTensor,
} from "../../runtime/ort.ts";
import { BLOCK_SIZE } from "../sampling/blocks.ts";
import type { LogitReader } from "./logit-reader.ts";
import type { LogitRow, LogitRows, RowNeed, TopRow } from "../sampling/logit-rows.ts";
// Indices are bounded by their loops, hence `!`.

/**
 * @param logits tensor in which a step leaves `numRows` rows: float32 [at least numRows,V], unchanged until the next
 * step
 */
export async function openDeviceReader(
  vocabSize: number,
  options: SessionOptions,
  logits: (numRows: number) => RuntimeTensor | Promise<RuntimeTensor>,
): Promise<LogitReader & AsyncDisposable> {
  const open = (kind: SampleGraph): Promise<Session> => openSession(sampleModel(kind, vocabSize), options);
  const sessions: DeviceSessions = { best: await open("best"), top: await open("top"), rows: await open("rows") };
  return {
    view: async (needs, numRows) => {
      const left = await logits(numRows);
      return {
        feeds: {},
        fetches: { [logitsPort(vocabSize).name]: left },
        rowsOf: () => new DeviceLogitRows(left, needs.length, vocabSize, sessions),
      };
    },
    [Symbol.asyncDispose]: async () => {
      for (const session of Object.values(sessions) as Session[]) await session[Symbol.asyncDispose]();
    },
  };
}

/** For a row with logits that are not finite. The sampler then requests the whole row, and reports the error. */
const NOTHING: TopRow = { kind: "top", ids: new Int32Array(0), logits: new Float32Array(0), sums: null };

type DeviceSessions = Readonly<Record<"best" | "top" | "rows", Session>>;

class DeviceLogitRows implements LogitRows {
  readonly numRows: number;
  readonly #logits: RuntimeTensor;
  readonly #vocabSize: number;
  readonly #sessions: DeviceSessions;

  constructor(logits: RuntimeTensor, numRows: number, vocabSize: number, sessions: DeviceSessions) {
    this.numRows = numRows;
    this.#logits = logits;
    this.#vocabSize = vocabSize;
    this.#sessions = sessions;
  }

  async read(needs: readonly (RowNeed | null)[]): Promise<readonly (LogitRow | null)[]> {
    const mostTop = Math.max(0, ...needs.map((need) => (need && need.numTop < Infinity ? need.numTop : 0)));
    const tops = mostTop === 0 ? [] : mostTop === 1 ? await this.#best() : await this.#top(needs);
    const wanted = needs.flatMap((need, row) => (need?.numTop === Infinity ? [row] : []));
    const whole = await this.#whole(wanted);
    return needs.map((need, row) => {
      if (need === null) return null;
      if (need.numTop < Infinity) return tops[row]!;
      const at = wanted.indexOf(row) * this.#vocabSize;
      const logits = whole.subarray(at, at + this.#vocabSize);
      return { kind: "whole", logits, maxima: null, blockSize: BLOCK_SIZE };
    });
  }

  async all(): Promise<Float32Array> {
    return await this.#whole(Array.from({ length: this.numRows }, (_, row) => row));
  }

  async #best(): Promise<readonly TopRow[]> {
    const results = await this.#sessions.best.run(this.#feed(), [BEST_IDS.name, ROW_SUMS.name]);
    const ids = results[BEST_IDS.name]!.data as BigInt64Array; // asked for
    const sums = results[ROW_SUMS.name]!.data as Float32Array;
    return Array.from({ length: this.numRows }, (_, row) =>
      Number.isFinite(sums[row])
        ? { kind: "top", ids: Int32Array.of(Number(ids[row])), logits: new Float32Array(1), sums: null }
        : NOTHING,
    );
  }

  async #top(needs: readonly (RowNeed | null)[]): Promise<readonly TopRow[]> {
    const ports = candidatePorts(this.#vocabSize);
    const numFed = this.#logits.dims[0]!; // rows that pad the batch are included
    const inverse = Float32Array.from({ length: numFed }, (_, row) => 1 / (needs[row]?.temperature ?? 1));
    const feeds = { ...this.#feed(), [INVERSE_TEMPERATURES.name]: runtimeTensor("float32", inverse, [numFed, 1]) };
    const names = [ports.ids.name, ports.logits.name, WEIGHT_SUMS.name, UNIT_WEIGHT_SUMS.name];
    const results = await this.#sessions.top.run(feeds, names);
    const [ids, logits, weights, units] = names.map((name) => results[name]!.data) as [
      BigInt64Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const count = results[ports.ids.name]!.dims[1]!;
    return Array.from({ length: this.numRows }, (_, row) =>
      Number.isFinite(units[row])
        ? {
            kind: "top",
            ids: Int32Array.from(ids.subarray(row * count, (row + 1) * count), Number),
            logits: logits.subarray(row * count, (row + 1) * count),
            sums: { unit: units[row]!, weights: weights[row]! },
          }
        : NOTHING,
    );
  }

  async #whole(rows: readonly number[]): Promise<Float32Array> {
    if (rows.length === 0) return new Float32Array(0);
    const wanted = runtimeTensor("int64", BigInt64Array.from(rows, BigInt), [rows.length]);
    const port = wantedLogitsPort(this.#vocabSize);
    const results = await this.#sessions.rows.run({ ...this.#feed(), [WANTED_ROWS.name]: wanted }, [port.name]);
    return results[port.name]!.data as Float32Array; // asked for
  }

  #feed(): Record<string, RuntimeTensor> {
    return { [logitsPort(this.#vocabSize).name]: this.#logits };
  }
}
