/** A line of a few points, drawn small. What it shows is said beside it, so it is hidden from readers. */

export function Sparkline({ values }: { values: number[] }) {
  const width = 96;
  const height = 24;
  if (values.length < 2) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (place: number) => 2 + (place * (width - 4)) / (values.length - 1);
  const y = (value: number) => (high === low ? height / 2 : height - 3 - ((value - low) * (height - 6)) / (high - low));
  const points = values.map((value, place) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`);
  return (
    <svg class="sparkline" viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <polyline points={points.join(" ")} />
      <circle cx={x(values.length - 1)} cy={y(values[values.length - 1] ?? 0)} r="2.5" />
    </svg>
  );
}
