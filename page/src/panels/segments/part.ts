/** What each part of the builder is given. */

import type { Draft } from "../../segments";

export interface Props {
  draft: Draft;
  change: (changed: Partial<Draft>) => void;
}
