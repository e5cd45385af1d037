/** Converts values to positions on an axis, and chooses its ticks, evenly or by powers of ten. Pure. */

export interface Scale {
  readonly isLog: boolean;
  /** Values at the two ends. */
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
  /** 0 at `from`, 1 at `to`; limited to the axis. */
  readonly at: (value: number) => number;
}

export interface ScaleOptions {
  /** Approximate largest number of ticks; default 5. */
  readonly numTicks?: number;
  /** Whether the ends are extended to ticks. */
  readonly isRounded?: boolean;
}

/** Even steps of 1, 2 or 5 times a power of ten. Equal ends are moved apart. */
export function linearScale(least: number, most: number, { numTicks = 5, isRounded = true }: ScaleOptions = {}): Scale {
  const size = Math.max(Math.abs(least), Math.abs(most));
  const isEqual = most - least <= Math.max(1e-9 * size, 1e-290); // too close to be distinguished
  const pad = isEqual ? (size > 1e-280 ? 0.1 * size : 1) : 0;
  const [low, high] = [least - pad, most + pad];
  const step = niceStep((high - low) / numTicks);
  const from = isRounded ? Math.floor(low / step + 1e-9) * step : low;
  const to = isRounded ? Math.ceil(high / step - 1e-9) * step : high;
  const first = Math.ceil(from / step - 1e-9);
  const length = Math.max(0, Math.floor(to / step + 1e-9) - first + 1);
  const ticks = Array.from({ length }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  return { isLog: false, from, to, ticks, at: (value) => clamp((value - from) / (to - from)) };
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5].find((one) => one * power >= rough * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/** Powers of ten, with 2 and 5 times them where there would be few. @param least above 0 */
export function logScale(least: number, most: number, { numTicks = 5, isRounded = true }: ScaleOptions = {}): Scale {
  const decades = Math.log10(most / least);
  const factors = decades < 2 ? [1, 2, 5] : [1];
  const stride = Math.max(1, Math.ceil(decades / numTicks));
  const first = Math.floor(Math.log10(least) + 1e-9);
  const last = Math.ceil(Math.log10(most) - 1e-9);
  const candidates = Array.from({ length: last - first + 1 }, (_, i) => first + i)
    .filter((power) => power % stride === 0 || stride === 1)
    .flatMap((power) => factors.map((factor) => Number((factor * 10 ** power).toPrecision(3))));
  const below = candidates.filter((tick) => tick <= least).at(-1);
  const above = candidates.find((tick) => tick >= most);
  const pad = least === most ? 1.1 : 1;
  const from = isRounded ? (below ?? least) : least / pad;
  const to = isRounded ? (above ?? most) : most * pad;
  const [low, high] = from === to ? [from / 1.1, to * 1.1] : [from, to];
  const ticks = candidates.filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
  return {
    isLog: true,
    from: low,
    to: high,
    ticks,
    at: (value) => clamp(Math.log(value / low) / Math.log(high / low)),
  };
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}
