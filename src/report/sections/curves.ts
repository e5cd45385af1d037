/**
 * Prepares long series of steps for drawing: bounded in points without hiding
 * a spike, and smoothed. Pure. Indices are bounded by their loops, hence `!`.
 */

export type Point = readonly [x: number, y: number];

/** At most about `most` points: the smallest and the largest of every bucket, in their order. */
export function thinned(points: readonly Point[], most: number): readonly Point[] {
  if (points.length <= most) return points;
  const numBuckets = Math.max(1, Math.floor(most / 2));
  return Array.from({ length: numBuckets }, (_, i) => {
    const from = Math.floor((i * points.length) / numBuckets);
    const to = Math.floor(((i + 1) * points.length) / numBuckets);
    let [low, high] = [from, from];
    for (let at = from; at < to; at++) {
      if (points[at]![1] < points[low]![1]) low = at;
      if (points[at]![1] > points[high]![1]) high = at;
    }
    return [...new Set([Math.min(low, high), Math.max(low, high)])].map((at) => points[at]!);
  }).flat();
}

/** The mean of each point and up to `radius` neighbours on either side. At the ends both sides have equally many. */
export function smoothed(points: readonly Point[], radius: number): readonly Point[] {
  const sums = new Float64Array(points.length + 1);
  for (let i = 0; i < points.length; i++) sums[i + 1] = sums[i]! + points[i]![1];
  return points.map(([x], i) => {
    const reach = Math.min(radius, i, points.length - 1 - i);
    return [x, (sums[i + reach + 1]! - sums[i - reach]!) / (2 * reach + 1)];
  });
}
